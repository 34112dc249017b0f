"""What many tests need and no test is about: waiting for a condition, a forked child, a closed port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Callable, NoReturn, Optional, TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""When a wait for something that is sure to come is given up. Only a test that fails takes this long."""

END_S = 120.0
"""The same, for the end of a program: at its exit it may wait for a delivery, and a server for its workers' exits."""

CHILD_S = PATIENCE_S + 15
"""The same, for a child: it may wait in vain itself, and then says for what."""

POLL_S = 0.01
"""Between two looks at a condition, once the first ones were in vain."""
FIRST_POLL_S = 0.0005


def wait_until(
    predicate: Callable[[], Optional[T]],
    timeout_s: float = PATIENCE_S,
    what: str = "the condition",
    poll_s: float = POLL_S,
) -> T:
    """The first true value of ``predicate``. Fails the test, naming ``what``, when none came in time."""
    give_up_at = time.monotonic() + timeout_s
    pause_s = FIRST_POLL_S
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= give_up_at:
            message = f"waited {timeout_s:g} s for {what}; the last look gave {value!r}"
            raise AssertionError(message)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, poll_s)


def start_child(run: Callable[[], object]) -> int:
    """Run ``run`` in a forked child and give its pid. The child never returns into pytest, and exits 0 or 1."""
    pid = os.fork()
    if pid == 0:
        _run_and_leave(run)
    return pid


def wait_for_child(pid: int, timeout_s: float = CHILD_S) -> int:
    """The exit code of the child; ``-n`` when signal ``n`` ended it. One that does not end in time is killed."""

    def ended() -> Optional[tuple[int, int]]:
        which, status = os.waitpid(pid, os.WNOHANG)
        return (which, status) if which else None

    try:
        return os.waitstatus_to_exitcode(wait_until(ended, timeout_s, f"child {pid} to end")[1])
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def run_child(run: Callable[[], object], timeout_s: float = CHILD_S) -> int:
    """Run ``run`` in a forked child and wait. 0: it returned; 1: it raised; ``-n``: signal ``n`` ended it."""
    return wait_for_child(start_child(run), timeout_s)


def _run_and_leave(run: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        run()
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it was, the child ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def closed_port(host: str = "127.0.0.1") -> Iterator[int]:
    """A port that refuses connections, and that nobody else is given meanwhile."""
    with socket.socket() as taken:
        taken.bind((host, 0))
        yield taken.getsockname()[1]


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now; anybody may be given it next. For programs that cannot be given port 0."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
