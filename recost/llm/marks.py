"""Which HTTP calls are part of an LLM call: those made in its context while its SDK works on it.

The event path asks for each captured call, so this is a look-up and no more, and none in a program that has never made
a mark.  State: ``_open``, each context for itself; ``were_made``, for good; a Mark (whoever made it, and the captured
calls inside).
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Optional

from recost.event import CallEvent


class Mark:
    """One LLM call, as the HTTP calls under it see it. Tasks that inherit it may outlive it: ``is_open`` tells."""

    tag = ""
    is_open = True
    carrier: Optional[CallEvent] = None
    """The last HTTP call that was captured."""
    is_excluded = False
    """An HTTP call was made to where nothing is captured."""


_open: ContextVar[Optional[Mark]] = ContextVar("recost_llm_mark", default=None)

were_made = False
"""Whether there was a mark in this process, so that there may be one here."""

current_mark = _open.get


def enter(mark: Optional[Mark]) -> Token[Optional[Mark]]:
    global were_made  # noqa: PLW0603 - said once, and for all contexts
    were_made = True
    return _open.set(mark)


leave = _open.reset
