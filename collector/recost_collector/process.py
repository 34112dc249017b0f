"""A process that is nothing but a collector: spawned by a worker, or run by hand or by systemd."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import logging.handlers
import os
import resource
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Optional

from recost.leader import HANDOVER_SIGNAL, LeaderKind
from recost.paths import make_private_dir, state_dir
from recost_collector.leading import Leadership, lead
from recost_collector.service import LostLead
from recost_collector.supervisor import Supervisor
from recost_collector.wake import Wake

LOG_FILE = "collector.log"
LOG_BYTES = 1 << 20
HANG_S = 30.0
"""A turn that takes longer ends the process through a kernel timer: the next leader goes on from the spool."""
STAY_FOR_WORKERS_S = 10.0
"""After SIGTERM a spawned collector stays so long for its workers: systemd signals the whole group at once."""
LAST_DELIVERY_S = 3.0
MANY_FILES = 65_536
STDERR = 2
"""By number, for it may be closed."""

logger = logging.getLogger("recost_collector")


class Stop:
    """What the signals have asked for. Handlers only note it; the loop acts."""

    def __init__(self) -> None:
        self.terminate_at: Optional[float] = None
        self.terminated_by = ""
        """The signal's name."""
        self.handover = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._terminate)
        signal.signal(HANDOVER_SIGNAL, self._hand_over)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _terminate(self, number: int, _frame: Optional[FrameType]) -> None:
        self.terminated_by = signal.Signals(number).name
        self.terminate_at = time.monotonic()

    def _hand_over(self, _number: int, _frame: Optional[FrameType]) -> None:
        self.handover = True


def run(
    directory: str,
    kind: LeaderKind,
    patience_s: float,
    *,
    on_leading: Optional[Callable[[], None]] = None,
    supervisor: Optional[Supervisor] = None,
) -> bool:
    """Lead in ``directory`` until the work is done or a signal ends it. False: another collector leads.

    ``supervisor`` hears of each step; None: there is none.
    """
    supervisor = supervisor or Supervisor({})
    stop = Stop()
    stop.install()
    _rearm()
    _raise_file_limit()
    leadership = lead(directory, kind, patience_s, lambda: _progress(supervisor))
    if leadership is None:
        _disarm()
        return False
    if on_leading is not None:
        on_leading()
    if isinstance(leadership.wake, Wake):
        signal.set_wakeup_fd(leadership.wake.fd, warn_on_full_buffer=False)
    supervisor.ready(directory)
    leadership.service.log_delivery()
    try:
        why = _loop(leadership, kind, stop, supervisor)
        supervisor.stopping()
        _rearm()
        leadership.finish(LAST_DELIVERY_S)
        logger.info("ends: %s; windows on disk: %d", why, leadership.service.delivery.windows)
    except LostLead as exc:
        logger.warning("another collector leads, leaving without a word: %s", exc)
        leadership.give_back()
        logger.info("ends: it has lost the lead")
    finally:
        _disarm()
        signal.set_wakeup_fd(-1)
    return True


def log_to_file() -> None:
    """Log to a bounded file in the state directory; without one, to nowhere."""
    folder = state_dir().path
    try:
        make_private_dir(folder)
        handler: logging.Handler = logging.handlers.RotatingFileHandler(
            os.path.join(folder, LOG_FILE), maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8", delay=True
        )
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(process)d %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    logging.raiseExceptions = False  # a full disk must not put tracebacks anywhere
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def _loop(leadership: Leadership, kind: LeaderKind, stop: Stop, supervisor: Supervisor) -> str:
    """Turn until it is time to go. Returns why it is."""
    while True:
        _rearm()
        supervisor.alive()
        leadership.turn(time.monotonic())
        why = _why_go(leadership, kind, stop, time.monotonic())
        if why:
            return why
        leadership.wake.wait(leadership.service.pause_s)


def _why_go(leadership: Leadership, kind: LeaderKind, stop: Stop, now: float) -> str:
    """Empty: it is not time to go."""
    if stop.handover:
        return "it hands over to a newer version"
    if kind == "spawned" and leadership.service.is_done(now):
        return "its workers are gone"
    if stop.terminate_at is not None and _may_go(leadership, kind, now - stop.terminate_at):
        return stop.terminated_by
    return ""


def _may_go(leadership: Leadership, kind: LeaderKind, since_s: float) -> bool:
    return kind == "run" or not leadership.service.rings.sources or since_s > STAY_FOR_WORKERS_S


def _raise_file_limit() -> None:
    """Every ring and every connection takes descriptors; the soft limit is for programs that use ``select``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, MANY_FILES) if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _progress(supervisor: Supervisor) -> None:
    _rearm()
    supervisor.starting()


def _rearm() -> None:
    """The default action of SIGALRM ends the process even when its loop hangs in C code.

    Not the first process of a container, for which the kernel ignores it: there a C thread does.  It is made anew
    each time, so that is done less often.
    """
    global _rearmed_at  # noqa: PLW0603 - one timer per process
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    now = time.monotonic()
    if os.getpid() == 1 and now - _rearmed_at >= HANG_S / 10:
        _rearmed_at = now
        faulthandler.dump_traceback_later(HANG_S, exit=True, file=STDERR)


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()


_rearmed_at = 0.0
