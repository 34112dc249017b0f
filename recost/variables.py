"""The variables of the environment: which there are, and what is said of those that look like ours and are none."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from recost._settings import SETTINGS
from recost.config import DEPRECATED, PREFIX

VARIABLES = frozenset(PREFIX + name.upper() for name, setting in SETTINGS.items() if setting.read is not None).union(
    PREFIX + name for name in ("DISABLED", "LOCAL_DIR", "STATE_DIR", "RUNTIME_DIR")
)

logger = logging.getLogger("recost")
_told: set[str] = set()
"""Variables of which this process has said that nobody reads them. Written by ``warn_of_unread_variables``."""


def unread_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that look like ours and are none: what is wrong with each."""
    unread = sorted(name for name in environ if name.startswith(PREFIX) and name not in VARIABLES)
    return {variable: _why_unread(variable) for variable in unread}


def warn_of_unread_variables(environ: Mapping[str, str]) -> None:
    """Once per process and variable, on the logger ``recost``."""
    for variable, why in unread_variables(environ).items():
        if variable not in _told:
            _told.add(variable)
            logger.warning("%s %s", variable, why)


def _why_unread(variable: str) -> str:
    setting = variable[len(PREFIX) :].lower()
    if setting in SETTINGS:
        return f"is not read from the environment; it goes in as init({setting}=…)"
    from recost.nearest import did_you_mean  # noqa: PLC0415 - for those who misspell

    meant = did_you_mean(variable, (known for known in VARIABLES if known != PREFIX + DEPRECATED.upper()))
    return f"is no setting of recost and does nothing{meant}"
