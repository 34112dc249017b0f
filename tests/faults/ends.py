"""How a forked worker can end, other than by coming back to where it was forked."""

from __future__ import annotations

import atexit
import os
import signal


def leave_through_atexit() -> None:
    """A normal end: what ``sys.exit`` runs before the process is gone."""
    atexit._run_exitfuncs()
    os._exit(0)


def leave_at_once() -> None:
    os._exit(0)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
