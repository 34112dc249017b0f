"""Gunicorn's settings in the tests, with the hooks where the test wants them."""

from __future__ import annotations

import os

workers = 4
bind = "127.0.0.1:0"

if "CONF_HAS_HOOKS" in os.environ:
    from recost.workers import gunicorn as hooks

    hooks.configure(environment="of the hooks")
    if os.environ["CONF_HAS_HOOKS"] == "all":
        on_starting = hooks.on_starting
    post_fork = hooks.post_fork
    worker_exit = hooks.worker_exit
