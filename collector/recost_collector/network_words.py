"""Why something far away could not be reached, in words for a person: not in those of urllib3's classes and objects."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Optional

import urllib3.exceptions

from recost_collector import words

DEEPEST = 8
"""Of exceptions in each other."""


def in_words(exc: BaseException) -> str:
    """The end of a sentence that names the host: ``connection refused``."""
    chain = list(_chain(exc))
    said = [text for text in map(_said, chain) if text]
    text = said[-1] if said else words.in_words(exc)
    through_proxy = any(isinstance(each, urllib3.exceptions.ProxyError) for each in chain)
    return f"its proxy cannot be reached: {text}" if through_proxy else text


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """``exc`` and what it was made of, the innermost last."""
    each: Optional[BaseException] = exc
    for _ in range(DEEPEST):
        if each is None:
            return
        yield each
        if isinstance(each, OSError):  # the system's own; what came before it is another story
            return
        inner = [getattr(each, "reason", None), *reversed(each.args), each.__cause__, each.__context__]
        each = next((found for found in inner if isinstance(found, BaseException)), None)


def _said(exc: BaseException) -> str:
    """Empty: it says nothing that a person could use."""
    if isinstance(exc, socket.gaierror):
        return f"its name cannot be resolved ({words.in_words(exc)})"
    if isinstance(exc, ssl.SSLCertVerificationError):
        why = getattr(exc, "verify_message", "") or str(exc)  # urllib3 1.26 compares host names itself and has no such
        return f"its certificate is not trusted: {words.sentence(why)}"
    if isinstance(exc, ssl.SSLError):
        why = getattr(exc, "reason", None) or str(exc)
        return f"TLS failed: {why.replace('_', ' ').lower()}"
    if isinstance(exc, (TimeoutError, socket.timeout, urllib3.exceptions.TimeoutError)):
        return "no answer in time"
    if isinstance(exc, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    return words.in_words(exc) if isinstance(exc, OSError) else ""
