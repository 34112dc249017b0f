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
from recost.config import Keywords
from recost.errors import ConfigError
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
_TRUE = frozenset({"1", "true", "yes", "on"})

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
    the variable when the key or the project is missing, or the key is none of costara's; and one that names the
    variable when that is no number.
    """
    if disabled or os.environ.get("COSTARA_DISABLED", "").strip().lower() in _TRUE:
        return handle.init(enabled=False)
    _check_key(api_key or os.environ.get("COSTARA_API_KEY"))
    named = project or os.environ.get("COSTARA_PROJECT")
    if not named:
        raise ValueError("project is missing: pass project=... or set COSTARA_PROJECT")
    if not os.environ.get("RECOST_API_KEY") and not _said:
        _said.append(True)
        logger.warning("a costara key is never sent anywhere: windows go to the local file; RECOST_API_KEY sends them")
    if environment == PRODUCTION:
        environment = os.environ.get("COSTARA_ENVIRONMENT") or PRODUCTION
    settings: Keywords = {
        "project_id": to_project_id(named),
        "environment": environment,
        "flush_interval_ms": max(1, round(_number(flush_interval, INTERVAL_S, "COSTARA_FLUSH_INTERVAL") * 1000)),
        "max_batch_size": max(1, round(_number(batch_size, BATCH_SIZE, "COSTARA_BATCH_SIZE"))),
    }
    return handle.init(**settings)


def _number(given: float, default: float, variable: str) -> float:
    """The argument, unless it is the default and there is a variable."""
    said = os.environ.get(variable)
    if given != default or not said:
        return given
    try:
        return float(said)
    except ValueError:
        raise ConfigError(variable, said, "a number") from None


def to_project_id(name: str) -> str:
    """``name`` as a project of recost's: itself where it can be one, else a slug and a short hash of it."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        return name
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-").lower()[:40] or "project"
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _check_key(key: Optional[str]) -> None:
    if not key:
        raise ValueError("api_key is missing: pass api_key=... or set COSTARA_API_KEY")
    if not key.startswith(KEYS):
        raise ValueError(f"api_key: want a key that starts with {' or '.join(KEYS)}")
