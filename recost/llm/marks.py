"""Which HTTP calls are part of an LLM call: those made in its context while its SDK works on it.

The event path asks for each captured call, so this is a look-up and no more.  State: ``_open``, each context for
itself; a Mark (whoever made it, and the captured calls inside).
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Optional

from recost.event import CallEvent


class Mark:
    """One LLM call, as the HTTP calls under it see it. Tasks that inherit it may outlive it: ``is_open`` tells."""

    __slots__ = ("carrier", "is_excluded", "is_open", "tag")

    def __init__(self, tag: str = "") -> None:
        self.tag = tag
        self.is_open = True
        self.carrier: Optional[CallEvent] = None
        """The last HTTP call that was captured."""
        self.is_excluded = False
        """An HTTP call was made to where nothing is captured."""


_open: ContextVar[Optional[Mark]] = ContextVar("recost_llm_mark", default=None)

current_mark = _open.get
enter = _open.set
leave = _open.reset
