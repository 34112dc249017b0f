"""Four workers that capture, for an application that does not call ``recost.init()`` itself."""

from __future__ import annotations

from recost.workers.gunicorn import configure, on_starting, post_fork, worker_exit

__all__ = ["on_starting", "post_fork", "worker_exit"]  # Gunicorn finds its hooks by name

workers = 4
bind = "127.0.0.1:8000"

# Any setting of init(); RECOST_PROJECT_ID and so on in the environment do the same.
configure(project_id="shop", environment="production")
