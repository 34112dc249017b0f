"""What a host can be examined for, a subject a file. Each check looks, leaves nothing behind, and says the mend."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct):
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    text: str
    mend: str = ""
    """What to do; empty when nothing is to be done."""
    exit_code: int = 0


def ok(name: str, text: str) -> Check:
    return Check(name, "ok", text)


def warn(name: str, text: str, mend: str = "") -> Check:
    """It works, and not as it could."""
    return Check(name, "warn", text, mend)


def fail(name: str, text: str, mend: str = "", exit_code: int = 1) -> Check:
    return Check(name, "fail", text, mend, exit_code)
