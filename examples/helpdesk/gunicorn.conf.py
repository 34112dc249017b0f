"""Four workers with a few threads each; the application is loaded once and forked."""

from __future__ import annotations

workers = 4
threads = 4
worker_class = "gthread"
preload_app = True
graceful_timeout = 20
control_socket_disable = True  # it would be a file in the user's home
