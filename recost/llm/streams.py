"""What stands in for the iterator inside an SDK's stream: the same pieces, and it sees the end.

It is the iterator that decides how a stream ended: an SDK closes the response before it raises what went wrong, so a
close counts only while nobody is reading.  One that is dropped before its end is a call that is over.
"""

from __future__ import annotations

import weakref
from typing import Any, Callable, Optional

from recost._capture.wrap import contained
from recost.llm.calls import LlmCall

Make = Callable[[], Any]


class _Watched:
    __slots__ = ("__weakref__", "_inner", "_make", "_number", "call", "is_reading")

    def __init__(self, call: LlmCall, inner: Any, make: Optional[Make]) -> None:
        """``inner`` is the SDK's own iterator, or ``make`` gives it at the first use."""
        call.stream_number += 1
        self._number = call.stream_number
        self._inner = inner
        self._make = make
        self.call = call
        self.is_reading = False

    @property
    def tells(self) -> bool:
        """A helper may have made another stream of the same response: then that one tells how the call ends."""
        return self._number == self.call.stream_number

    def _iterator(self) -> Any:
        if self._inner is None and self._make is not None:
            self._inner, self._make = self._make(), None
        return self._inner

    def _is_hidden(self, piece: Any) -> bool:
        """The one that says what was used, where the user has not asked for it."""
        hides = self.call.hides_usage
        return hides and getattr(piece, "choices", None) == [] and getattr(piece, "usage", None) is not None

    def _ended(self) -> None:
        if self.tells:
            contained(self.call.complete)

    def _failed(self, error: BaseException) -> None:
        if self.tells:
            contained(self.call.fail, error)

    def __del__(self) -> None:
        if self.tells:
            contained(self.call.drop)


class Pieces(_Watched):
    __slots__ = ()

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Any:
        self.is_reading = True
        try:
            piece = next(self._iterator())
            while self._is_hidden(piece):
                piece = next(self._iterator())
        except StopIteration:
            self._ended()
            raise
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self.is_reading = False
        contained(self.call.handed_on)
        return piece


class AsyncPieces(_Watched):
    __slots__ = ()

    def __aiter__(self) -> AsyncPieces:
        return self

    async def __anext__(self) -> Any:
        self.is_reading = True
        try:
            piece = await self._iterator().__anext__()
            while self._is_hidden(piece):
                piece = await self._iterator().__anext__()
        except StopAsyncIteration:
            self._ended()
            raise
        except BaseException as error:
            self._failed(error)
            raise
        finally:
            self.is_reading = False
        contained(self.call.handed_on)
        return piece


class Closing:
    """Stands in for ``close`` of one response while its stream is read, whoever calls it: the stream or a helper."""

    __slots__ = ("_pieces", "_response")

    def __init__(self, response: Any, pieces: _Watched) -> None:
        self._response = weakref.ref(response)  # weak, both: what is dropped must go at once
        self._pieces = weakref.ref(pieces)

    def __call__(self) -> None:
        response = self._response()
        if response is not None:
            self._told()
            type(response).close(response)

    def _told(self) -> None:
        pieces = self._pieces()
        if pieces is not None and pieces.tells and not pieces.is_reading:
            contained(pieces.call.close)


class AsyncClosing(Closing):
    __slots__ = ()

    async def __call__(self) -> None:  # type: ignore[override]  # as aclose is to close
        response = self._response()
        if response is not None:
            self._told()
            await type(response).aclose(response)
