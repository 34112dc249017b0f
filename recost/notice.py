"""The trouble that the collector meets and the workers hear of: small records in the ring's notice area."""

from __future__ import annotations

from typing import Literal

import msgspec

from recost.errors import RecostAuthError, RecostError, RecostFatalAuthError, RecostRateLimitError, file_error

Kind = Literal["auth", "suspended", "rate", "parked", "undelivered", "file", "overflow", "degraded", "given_up"]


class Notice(msgspec.Struct, array_like=True, frozen=True):
    """One occurrence of trouble. ``to_error`` gives what ``on_error`` is called with."""

    kind: Kind
    message: str = ""
    """Complete, for a person on call; without secrets and response bodies. Unused for auth, suspended and rate."""
    status: int = 0
    """The HTTP status, 0 where there is none."""
    count: int = 0
    """auth and suspended: 401s in a row. overflow: frames dropped."""
    retry_after_ms: int = 0
    endpoint: str = ""
    """rate: the path of the URL."""
    errno: int = 0
    filename: str = ""
    first: bool = True
    """The first of its episode; only these become log lines."""


def to_error(notice: Notice) -> Exception:
    """The exception for ``notice``: typed, complete, and without a traceback."""
    if notice.kind == "auth":
        return RecostAuthError(notice.status, notice.count)
    if notice.kind == "suspended":
        return RecostFatalAuthError(notice.status, notice.count)
    if notice.kind == "rate":
        return RecostRateLimitError(notice.retry_after_ms, notice.endpoint)
    if notice.kind == "file":
        return file_error(notice.errno, notice.message, notice.filename)
    return RecostError(notice.message, notice.status)


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Notice).decode
