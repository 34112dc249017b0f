"""Flask: capture from the moment the application is made, and calls tagged with its URL rules.

    RecostExtension(app, api_key="rc-…", project_id="shop")     # or init_app(app) later

A request costs one contextvar, which holds its rule until the response is through, streamed ones included.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Optional

from recost.config import Keywords, RecostConfig
from recost.frameworks._start import need, start
from recost.handle import RecostHandle
from recost.tags import origin

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack  # 3.11 has it; no dependency at run time


class RecostExtension:
    """``init()`` when it gets the application; delivers at exit. Several applications may share one.

    Raises ``ImportError`` without Flask; ``init_app`` raises ``ConfigError`` for a wrong setting.  Without settings it
    uses the program's own ``init()``.
    """

    handle: Optional[RecostHandle] = None
    """None until ``init_app``."""

    def __init__(
        self, app: Optional[Flask] = None, config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]
    ) -> None:
        self._flask = need("flask", "flask")
        RecostConfig(**settings)  # knows the names
        self._config = config
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        if self.handle is None:
            self.handle = start(self._config, self._settings).handle
        app.extensions["recost"] = self
        # signals, not before_request: first of all, whatever the application has registered before
        self._flask.request_started.connect(self._enter, app)
        self._flask.request_finished.connect(_finish, app)
        self._flask.request_tearing_down.connect(_tear_down, app)

    def _enter(self, app: object, **_: object) -> None:  # noqa: ARG002 - what Flask calls it with
        rule = self._flask.request.url_rule
        origin.set(None if rule is None else rule.rule.__str__)


class ReCost(RecostExtension):
    """Deprecated: the old name of ``RecostExtension``."""

    def __init__(
        self, app: Optional[Flask] = None, config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]
    ) -> None:
        warnings.warn("ReCost is deprecated: use RecostExtension", DeprecationWarning, stacklevel=2)
        super().__init__(app, config, **settings)


def _finish(app: object, response: Any, **_: object) -> None:  # noqa: ARG001 - what Flask calls it with
    if response.is_streamed and not response.direct_passthrough:
        response.call_on_close(_leave)  # its body is still to be made
    else:
        _leave()


def _tear_down(app: object, exc: Optional[BaseException] = None, **_: object) -> None:  # noqa: ARG001 - likewise
    if exc is not None:  # there may be no response
        _leave()


def _leave() -> None:
    origin.set(None)
