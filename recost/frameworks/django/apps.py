"""The app: ``init()`` when Django is set up, in each process; delivers at exit."""

from __future__ import annotations

from typing import Any, Optional

from recost.config import Keywords, RecostConfig
from recost.errors import ConfigError
from recost.frameworks._start import need, start
from recost.handle import RecostHandle

need("django", "django")

from django.apps import AppConfig  # noqa: E402 - whoever lacks it is told of the extra first
from django.conf import settings  # noqa: E402 - likewise
from django.core.signals import request_finished  # noqa: E402 - likewise

from recost.frameworks.django.routes import leave  # noqa: E402 - likewise

MIDDLEWARE = "recost.frameworks.django.routes.middleware"


class Recost(AppConfig):  # type: ignore[misc]  # Django has no types
    """Raises ``ConfigError`` for a wrong setting. Without ``RECOST`` it uses the program's own ``init()``."""

    name = "recost.frameworks.django"
    label = "recost"
    verbose_name = "recost"
    handle: Optional[RecostHandle] = None

    def ready(self) -> None:
        config, keywords = _given(getattr(settings, "RECOST", None))
        self.handle = start(config, keywords).handle
        if MIDDLEWARE not in settings.MIDDLEWARE:
            # Outermost, and read when the handler is made, which is after this.
            settings.MIDDLEWARE = [MIDDLEWARE, *settings.MIDDLEWARE]
        request_finished.connect(leave, dispatch_uid="recost")


def _given(value: Any) -> tuple[Optional[RecostConfig], Keywords]:
    if isinstance(value, RecostConfig):
        return value, {}
    if value is None or isinstance(value, dict):
        return None, Keywords(**(value or {}))
    raise ConfigError("RECOST", f"a value of type {type(value).__name__}", 'a dict such as {"project_id": "shop"}')
