"""What somebody may have meant who wrote a name that there is not. Loaded when that happened."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """The end of a message, ``; did you mean api_key?``; empty when nothing is like it."""
    same = {name.replace("_", "").lower(): name for name in known}
    near = difflib.get_close_matches(written.replace("_", "").replace("-", "").lower(), same, 1)
    return f"; did you mean {same[near[0]]}?" if near else ""
