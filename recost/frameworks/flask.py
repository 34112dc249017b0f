"""Flask: capture from the moment the application is made, and calls tagged with its URL rules.

    RecostExtension(app, api_key="rc-…", project_id="shop")     # or init_app(app) later

A request costs one contextvar, which holds its rule until the response is through, streamed ones included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from recost.config import Keywords, RecostConfig
from recost.frameworks._running import Running
from recost.frameworks._start import deprecated, need, start
from recost.handle import RecostHandle

if TYPE_CHECKING:
    from flask import Flask
    from typing_extensions import Unpack  # 3.11 has it; no dependency at run time

RUNNING = "_recost_running"
"""The attribute of Flask's request that holds ours: requests are made within requests, in a view or by a test."""


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

    def init_app(self, app: Flask, config: Optional[RecostConfig] = None, **settings: Unpack[Keywords]) -> None:
        """Capture, and tag the calls of ``app``. Settings that are given here beat the constructor's."""
        if self.handle is None or config is not None or settings:
            self.handle = start(config or self._config, {**self._settings, **settings}).handle
        app.extensions["recost"] = self
        # signals, not before_request: first of all, whatever the application has registered before
        self._flask.request_started.connect(self._enter, app)
        self._flask.request_finished.connect(self._finish, app)
        self._flask.request_tearing_down.connect(self._tear_down, app)

    def _enter(self, app: object, **_: object) -> None:  # noqa: ARG002 - what Flask calls it with
        request = self._flask.request
        if not hasattr(request, RUNNING):  # two extensions may serve one application
            rule = request.url_rule
            setattr(request, RUNNING, Running(str if rule is None else rule.rule.__str__))

    def _finish(self, app: object, response: Any, **_: object) -> None:  # noqa: ARG002 - likewise
        if response.is_streamed and not response.direct_passthrough:
            response.call_on_close(self._running().end)  # its body is still to be made
        else:
            self._running().end()

    def _tear_down(self, app: object, exc: Optional[BaseException] = None, **_: object) -> None:  # noqa: ARG002 - likewise
        if exc is not None and hasattr(self._flask.request, RUNNING):  # there may be no response
            self._running().end()

    def _running(self) -> Running:
        running: Running = getattr(self._flask.request, RUNNING)
        return running


class ReCost(RecostExtension):
    """Deprecated: the old name of ``RecostExtension``."""

    __init__ = deprecated(RecostExtension.__init__, "ReCost", "RecostExtension")
