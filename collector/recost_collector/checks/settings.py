"""The settings in this environment: what ``init()`` without arguments would make of them."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple, Optional

from recost.config import RecostConfig, resolve
from recost.errors import ConfigError
from recost.hosts import travels_unencrypted
from recost.variables import unread_variables
from recost_collector.checks import Check, fail, ok, warn


class Settings(NamedTuple):
    """``config`` is None when the environment holds a wrong one."""

    config: Optional[RecostConfig]
    trouble: str = ""


def read() -> Settings:
    """As a worker with this environment would. Warns and logs nothing."""
    logger = logging.getLogger("recost")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Settings(resolve(None, {}, os.environ))
    except (ConfigError, ImportError) as exc:
        return Settings(None, str(exc))
    finally:
        logger.disabled = before


def check(settings: Settings, urls: list[str]) -> Iterator[Check]:
    """``urls``: of the destinations that are in use."""
    yield _values(settings)
    yield from _unknown_variables()
    if settings.config is not None and not settings.config.enabled:
        yield warn("enabled", "recost is switched off in this environment", "unset RECOST_ENABLED and RECOST_DISABLED")
    if any(url.startswith("ws:") for url in urls) and importlib.util.find_spec("websockets") is None:
        yield fail("extra", "windows go to a WebSocket listener, and the package websockets is missing here", _EXTRA)


_EXTRA = "pip install 'recost[local]' where the collector runs"


def _values(settings: Settings) -> Check:
    config = settings.config
    if config is None:
        mend = "" if "pip install" in settings.trouble else "correct the variable: init() raises this"
        return fail("settings", settings.trouble, mend)
    if not config.enabled or config.api_key is None:
        how = f"windows go to {'a file' if config.local_transport == 'file' else 'a WebSocket listener'}"
        return ok("settings", f"local mode by this environment: {how}; arguments of init() count more")
    if travels_unencrypted(config.base_url):
        text = f"the key travels unencrypted to {config.base_url}"
        return warn("settings", text, "use https in RECOST_BASE_URL")
    return ok("settings", f"cloud mode by this environment: project {config.project_id} at {config.base_url}")


def _unknown_variables() -> Iterator[Check]:
    for variable, why in unread_variables(os.environ).items():
        what, _, mend = why.partition("; ")
        yield warn("settings", f"{variable} {what}", mend or "see the settings in the README")
