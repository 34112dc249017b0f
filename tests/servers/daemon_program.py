"""A program that makes itself a daemon: ``python -m tests.servers.daemon_program HOW URL``, and calls from there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import recost
from tests.servers.folder import NAME, call, work

DESCRIPTORS = 256
"""More than this program has."""
FILES = 20

own: dict[int, str] = {}
"""Files of the program's own, by descriptor."""


def fork_twice() -> None:
    """Only the grandchild returns: it leads no session, and nobody waits for it."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")


def redirect_stdio() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)


def close_all() -> None:
    """As daemons do, whosever descriptors they are; what the program opens next gets their numbers."""
    os.closerange(3, DESCRIPTORS)
    for number in range(FILES):
        path = os.path.join(os.environ[NAME], f"log-{number}")
        own[os.open(path, os.O_RDWR | os.O_CREAT)] = path


def all_is_there() -> bool:
    """Nobody else has closed the files that took the numbers, nor put something in their place."""
    return all(os.path.samestat(os.fstat(fd), os.stat(path)) and not os.fstat(fd).st_size for fd, path in own.items())


def with_redirected_stdio() -> None:
    fork_twice()
    redirect_stdio()


def with_closed_stdio() -> None:
    fork_twice()
    os.closerange(0, 3)


def closing_all() -> None:
    fork_twice()
    redirect_stdio()
    close_all()


def closing_all_amid_calls() -> None:
    """After calls of its own, so that the descriptors of ring and lock go too."""
    fork_twice()
    call(sys.argv[2])
    redirect_stdio()
    close_all()


def closing_all_at_the_start() -> None:
    """The same, right after the first call of all: while the collector is being started."""
    closing_all_amid_calls()


def with_python_daemon() -> None:
    from daemon import DaemonContext

    DaemonContext(working_directory="/").open()


HOW: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        with_redirected_stdio,
        with_closed_stdio,
        closing_all,
        closing_all_amid_calls,
        closing_all_at_the_start,
        with_python_daemon,
    )
}

if __name__ == "__main__":
    recost.init()
    if sys.argv[1] != "closing_all_at_the_start":
        call(sys.argv[2])  # so there is a ring, a watcher and a collector before the fork
    HOW[sys.argv[1]]()
    work(sys.argv[2])
    assert all_is_there()
    with open(os.path.join(os.environ[NAME], "sound"), "x"):
        pass  # who started it has no other way to know
