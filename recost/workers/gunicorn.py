"""Gunicorn's hooks, for applications that do not call ``init()`` themselves.

In ``gunicorn.conf.py``, or called from hooks of one's own::

    from recost.workers.gunicorn import configure, on_starting, post_fork, worker_exit

    configure(project_id="shop")  # or RECOST_* in the environment

State: ``_config`` and ``_settings`` (configure, in the master, so every worker has them), ``_handle`` (post_fork, in
a worker).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional

from recost.config import Keywords, RecostConfig, resolve
from recost.handle import RecostHandle, init, is_chosen

if TYPE_CHECKING:
    from typing_extensions import Unpack  # 3.11 has it; no dependency at run time

_config: Optional[RecostConfig] = None
_settings: Keywords = {}
_handle: Optional[RecostHandle] = None


def configure(config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]) -> None:
    """What ``post_fork`` will call ``init()`` with. Raises ``TypeError`` for an unknown setting.

    Values are checked by the hooks: Gunicorn's ``raw_env`` comes into the environment only after its file is read.
    """
    global _config, _settings
    RecostConfig(**settings)  # knows the names
    _config, _settings = config, settings


def on_starting(server: object) -> None:  # noqa: ARG001 - what Gunicorn calls it with
    """Check the settings once, in the master: a wrong one raises and stops Gunicorn before it forks. Optional."""
    resolve(_config, _settings, os.environ)


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001 - what Gunicorn calls it with
    """Start capturing in this worker, unless the application has called ``init()`` already (``preload_app``).

    One that calls it later, while it is loaded, replaces this.  A wrong setting raises, and Gunicorn stops.
    """
    global _handle  # noqa: PLW0603 - this module's state
    if not is_chosen():
        _handle = init(_config, **_settings)


def worker_exit(server: object, worker: object) -> None:  # noqa: ARG001 - what Gunicorn calls it with
    """Deliver what is left, bounded by ``shutdown_flush_timeout_ms``. Leaves the application's own handle alone."""
    if _handle is not None:  # None: also in the master, where Gunicorn calls this for a worker that is gone
        _handle.dispose()
