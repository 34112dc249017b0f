"""SIGKILL for one process and no other."""

from __future__ import annotations

import contextlib
import os
import signal

from recost.origins import process_start


def kill(pid: int, process_start_ticks: int) -> None:
    """SIGKILL exactly that process: through a pidfd where there is one, so that a reused pid is safe."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = _open_pidfd(pid)
        try:
            if process_start(pid) == process_start_ticks:
                _send_kill(pid, pidfd)
        finally:
            if pidfd >= 0:
                os.close(pidfd)


def _open_pidfd(pid: int) -> int:
    """-1 where there is none: an old Python or kernel, or a sandbox that knows no such call."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return -1
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except OSError:
        return -1


def _send_kill(pid: int, pidfd: int) -> None:
    if pidfd >= 0:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            raise
        except OSError:  # the sandbox refuses this one only
            os.kill(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)
