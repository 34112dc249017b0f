"""Celery: capture in whatever runs the tasks, and calls tagged with the task's name.

    from recost.frameworks import celery as recost_celery

    recost_celery.connect(project_id="shop")    # in the module of the Celery application

Nothing happens in programs that only send tasks.  State: ``_settings`` (connect), ``_started`` (a worker's signals).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from recost.config import Keywords, RecostConfig, resolve
from recost.frameworks._running import Running, end_here
from recost.frameworks._start import Started, need, start
from recost.handle import is_chosen

if TYPE_CHECKING:
    from typing_extensions import Unpack  # 3.11 has it; no dependency at run time

_settings: Optional[RecostConfig] = None
_started: Optional[Started] = None


def connect(config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]) -> None:
    """Have every worker of this application capture, unless it calls ``init()`` itself: any pool, any start method.

    Raises ``ConfigError`` for a wrong setting and ``ImportError`` without Celery.  Called again, the new settings
    count for workers that start later.
    """
    global _settings  # noqa: PLW0603 - this module's state
    signals = need("celery.signals", "celery")
    _settings = resolve(config, settings, os.environ)
    # The process of the worker; then, where the pool has any, each child, which inherits that unless it is spawned.
    signals.worker_init.connect(_start, weak=False)
    signals.worker_process_init.connect(_start, weak=False)
    signals.task_prerun.connect(_enter, weak=False)
    signals.task_postrun.connect(_leave, weak=False)
    # A child of the pool ends in os._exit, which runs no atexit.
    signals.worker_process_shutdown.connect(_end_child, weak=False)
    signals.worker_shutdown.connect(_dispose, weak=False)


def _start(**_: object) -> None:
    global _started  # noqa: PLW0603 - this module's state
    if not is_chosen():
        _started = start(_settings, {})


def _end_child(exitcode: int, **_: object) -> None:
    # One that is replaced after so many tasks does not keep the pool waiting: the worker goes on, and the collector
    # takes what is in the ring.
    if exitcode != need("billiard.pool", "celery").EX_RECYCLE:
        _dispose()


def _dispose(**_: object) -> None:
    if _started is not None:
        _started.handle.dispose()


def _enter(task: Any, **_: object) -> None:
    # Only a task that is called in the middle of another has one to go back to: what else is there was left behind
    # by one that a time limit struck between two lines.
    Running(task.name.__str__, is_within=task.request.is_eager)


def _leave(**_: object) -> None:
    end_here()
