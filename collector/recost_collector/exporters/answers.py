"""What an answer of the service means for the frame that was sent: the table of statuses. Pure.

Nothing of an answer is kept but its status, ``Retry-After`` and ``x-request-id``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Optional, Union

from recost.notice import Notice
from recost_collector.exporters import WAITING, Reject, Retry

DEFAULT_RETRY_AFTER_S = 60.0
MIN_RETRY_AFTER_S = 1.0
MAX_RETRY_AFTER_S = 86_400.0
MAX_FAILURE_RETRY_AFTER_S = 300.0
"""After a failure we wait no longer than delivery would by itself at its slowest."""

_FAILURES_BELOW_500 = frozenset({408, 409, 425})
_TRIES = {403: 3, 404: 3}
_HINTS = {
    403: "check api_key and project_id",
    404: "check project_id, api_key and base_url",
    413: "the payload is too large for the service",
    422: "the service cannot read the payload; is it older than this recost?",
}


class Answer(NamedTuple):
    """What counts of an HTTP response."""

    status: int
    retry_after_s: Optional[float] = None
    request_id: str = ""


def read_answer(status: int, headers: Mapping[str, str], now_s: float) -> Answer:
    """``now_s``: the wall clock, in seconds since the epoch."""
    return Answer(status, retry_after_s(headers, now_s), plain(headers.get("x-request-id") or "", 64))


def outcome(answer: Answer, host: str, path: str) -> Union[Retry, Reject, None]:
    """None: the frame was taken. Else what to raise; ``host`` and ``path`` are where the frame was sent."""
    status = answer.status
    which = f" (x-request-id {answer.request_id})" if answer.request_id else ""
    text = f"{host}{path} answered {status}{which}"
    if 200 <= status < 300:
        return None
    if status == 401:
        return Retry(Notice("auth", text, status))
    if status == 429:
        after_s = DEFAULT_RETRY_AFTER_S if answer.retry_after_s is None else answer.retry_after_s
        return Retry(Notice("rate", text, status, retry_after_ms=round(after_s * 1000), endpoint=path), after_s)
    if status in _FAILURES_BELOW_500 or not 300 <= status < 500:
        wish_s = answer.retry_after_s
        return undelivered(text, status, None if wish_s is None else min(wish_s, MAX_FAILURE_RETRY_AFTER_S))
    return Reject(Notice("parked", f"{text}: {_hint(status)}", status), _TRIES.get(status, 1))


def undelivered(text: str, status: int = 0, after_s: Optional[float] = None, mend: str = "") -> Retry:
    """The outcome of an attempt that failed for a reason that may pass. ``mend``: what to do; may be empty."""
    waiting = f"{WAITING} and are tried again{'; ' if mend else ''}{mend}"
    return Retry(Notice("undelivered", f"{text}{waiting}", status), after_s)


def retry_after_s(headers: Mapping[str, str], now_s: float) -> Optional[float]:
    """Seconds that ``Retry-After`` asks for, within a second and a day; None when missing or unreadable.

    A date counts from the answer's own ``Date``, for two clocks differ; from ``now_s`` where there is none.
    """
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        wanted_s = float(value)
    else:
        until_s, from_s = _date_s(value), _date_s(headers.get("Date") or "")
        if until_s is None:
            return None
        wanted_s = until_s - (now_s if from_s is None else from_s)
    return min(max(wanted_s, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)


def plain(text: str, most: int) -> str:
    """What came from outside, on one line and at most ``most`` characters."""
    return "".join(c if c.isprintable() else " " for c in text[:most])


def _date_s(value: str) -> Optional[float]:
    try:
        date = parsedate_to_datetime(value)
        # RFC 9110: a date is in GMT, also in the old form that does not say so.
        return (date if date.tzinfo else date.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):  # what it raises for a bad date differs by version
        return None


def _hint(status: int) -> str:
    if status < 400:
        return "redirects are not followed, the key must not travel on; set base_url to the final address"
    return _HINTS.get(status, "the service does not take this window")
