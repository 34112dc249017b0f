"""The first file of a spawned collector: leave the parent, then import.

Run by path, ``python -I -S launch.py RUNTIME_DIR IMPORT_PATH…``, with the spawn lock at descriptor 3 and at 4 a pipe
that tells the worker our pid, and by its closing that we lead or have ended.  It forks before it imports anything
else, so the process that the worker started ends within milliseconds and what goes on is nobody's child.  Always exits
0: a Gunicorn that is PID 1 reaps us and would log anything else as an error.
"""

from __future__ import annotations

import os
import sys

SPAWN_FD, PIPE_FD = 3, 4

_from_worker = [SPAWN_FD, PIPE_FD]
"""Those that are still open; their numbers are given to other files later."""


def main() -> None:
    pid = os.fork()
    if pid:
        _tell(pid)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    _close_inherited()
    os.set_inheritable(SPAWN_FD, False)
    os.set_inheritable(PIPE_FD, False)
    sys.path[:0] = sys.argv[2:]
    _collect(sys.argv[1])


def _tell(pid: int) -> None:
    """End the process in the middle: who waits for its end knows the collector's pid then."""
    try:
        os.write(PIPE_FD, b"%d" % pid)
    finally:  # also when the worker is gone, and nobody reads it
        os._exit(0)


def _close_inherited() -> None:
    """Everything but stdio, the spawn lock and the pipe: an inherited listening socket would stay bound."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        os.closerange(PIPE_FD + 1, 4096)
        return
    for name in names:
        if int(name) > PIPE_FD:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor of the listing itself


def _collect(directory: str) -> None:
    import logging  # noqa: PLC0415 - nothing may be imported before the fork

    try:
        from recost_collector import process  # noqa: PLC0415 - the same

        process.log_to_file()
        process.run(directory, "spawned", patience_s=2.0, on_leading=_free_spawn_lock)
    except BaseException:
        logging.getLogger("recost_collector").exception("the collector ends on a fault; the next one takes over")
    finally:
        _free_spawn_lock()


def _free_spawn_lock() -> None:
    """Once, for every copy of the descriptor, those that a concurrent fork of the worker has leaked included."""
    import fcntl  # noqa: PLC0415 - nothing may be imported before the fork

    if _from_worker:
        fcntl.flock(SPAWN_FD, fcntl.LOCK_UN)
    while _from_worker:
        os.close(_from_worker.pop())


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)
