"""A drop-in for the package costara: ``import recost.compat.costara as costara`` runs unchanged programs.

A ``cst_`` key is checked for its shape and never sent anywhere: without a key of recost's own (``RECOST_API_KEY``)
windows go to the local file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from typing import Optional

from recost import handle
from recost._checks import MAX_NAME, check_number, wrong
from recost._settings import DAY_S, read_flag, read_number
from recost.config import LLM_LOGS, Keywords, is_switched_off
from recost.handle import RecostHandle, flush
from recost.llm.anthropic import patch_anthropic, unpatch_anthropic
from recost.llm.google import patch_google, unpatch_google
from recost.llm.openai import patch_openai, unpatch_openai
from recost.llm.prices import estimate_cost
from recost.llm.track import track
from recost.tags import feature_tag

__all__ = [
    "estimate_cost",
    "feature_tag",
    "flush",
    "init",
    "patch_anthropic",
    "patch_google",
    "patch_openai",
    "track",
    "unpatch_anthropic",
    "unpatch_google",
    "unpatch_openai",
]

KEYS = ("cst_live_", "cst_test_")
PRODUCTION = "production"
INTERVAL_S = 2.0
BATCH_SIZE = 50
MAX_BATCH = 1_000_000

logger = logging.getLogger("recost")
_said: list[bool] = []
"""Not empty: that the key is not sent was said."""


def init(  # noqa: PLR0917 - another SDK's signature, which programs already call
    api_key: Optional[str] = None,
    project: Optional[str] = None,
    environment: str = PRODUCTION,
    flush_interval: float = INTERVAL_S,
    batch_size: int = BATCH_SIZE,
    disabled: bool = False,  # noqa: FBT001, FBT002 - likewise
) -> RecostHandle:
    """``recost.init()`` with costara's arguments, each of which has a variable: ``COSTARA_API_KEY``, ``_PROJECT`` ….

    An argument beats its variable.  ``flush_interval`` in seconds.  Raises ``ValueError`` that names the argument and
    the variable when the key or the project is missing, or the key is none of costara's; and one that names what of
    the two was given when that is no such number or text.
    """
    if disabled or _is_switched_off():
        return handle.init(enabled=False)
    _check_key(api_key or _variable("COSTARA_API_KEY"))
    named = project or _variable("COSTARA_PROJECT")
    if not named:
        raise ValueError("project is missing: pass project=... or set COSTARA_PROJECT")
    if not os.environ.get("RECOST_API_KEY", "").strip() and not _said:
        _said.append(True)
        logger.warning("a costara key is never sent anywhere: windows go to the local file; RECOST_API_KEY sends them")
    if environment in (None, PRODUCTION):
        environment = _variable("COSTARA_ENVIRONMENT") or PRODUCTION
    interval_s = _number("flush_interval", flush_interval, INTERVAL_S, unit="seconds", high=DAY_S)
    size = _number("batch_size", batch_size, BATCH_SIZE, unit="events", high=MAX_BATCH)
    settings: Keywords = {
        "project_id": to_project_id(named),
        "environment": environment,
        "flush_interval_ms": max(1, round(interval_s * 1000)),
        "max_batch_size": max(1, round(size)),
    }
    return handle.init(**settings)


def _variable(name: str) -> str:
    """Of the environment; empty counts as unset, as everywhere."""
    return os.environ.get(name, "").strip()


def _is_switched_off() -> bool:
    """Nothing else in costara's variable stops a program that ran; ours must be a boolean."""
    return read_flag(_variable("COSTARA_DISABLED")) is True or is_switched_off(os.environ)


def _number(name: str, given: Optional[float], default: float, *, unit: str, high: float) -> float:
    """The argument, unless it is the default and there is a variable."""
    variable = f"COSTARA_{name.upper()}"
    said = _variable(variable)
    if said and given in (None, default):
        return check_number(variable, read_number(said), low=0, high=high, unit=unit)
    return check_number(name, default if given is None else given, low=0, high=high, unit=unit)


def to_project_id(name: str) -> str:
    """``name`` as a project of recost's: itself where it can be one, else a slug and a short hash of it."""
    if not isinstance(name, str):
        raise wrong("project", name, "a text")
    fits = len(name) <= MAX_NAME and not name.endswith(LLM_LOGS)
    if fits and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        return name
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-").lower()[:40] or "project"
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _check_key(key: object) -> None:
    if not key:
        raise ValueError("api_key is missing: pass api_key=... or set COSTARA_API_KEY")
    if not isinstance(key, str) or not key.startswith(KEYS):
        raise ValueError(f"api_key: want a key that starts with {' or '.join(KEYS)}")
