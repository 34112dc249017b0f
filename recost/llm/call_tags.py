"""The tag that one call carries in its ``extra_body``, and that without it: a tag is never sent. Pure."""

from __future__ import annotations

from typing import Any

from recost.tags import clean

KEYS = ("costara_feature_tag", "recost_feature_tag")
DEFAULT_TAG = "default"
"""What is called so has no tag."""


def take(extra: Any) -> tuple[str, Any]:
    """The tag in ``extra``, and ``extra`` without it: the very same where there is none, else a copy."""
    if not isinstance(extra, dict) or not any(key in extra for key in KEYS):
        return "", extra
    given = next((extra[key] for key in KEYS if isinstance(extra.get(key), str)), "")
    return named(given), {key: value for key, value in extra.items() if key not in KEYS} or None


def named(given: str) -> str:
    """``given`` as a tag; empty where it names none."""
    tag = clean(given)
    return "" if tag == DEFAULT_TAG else tag
