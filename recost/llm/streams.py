"""What stands in for the iterator inside an SDK's stream: the same pieces, and it sees the end.

It is the iterator that decides how a stream ended: an SDK closes the response before it raises what went wrong.  One
that is dropped before its end is a call that is over.
"""

from __future__ import annotations

from typing import Any, Callable, Optional

from recost._capture.wrap import contained
from recost.llm.calls import LlmCall

Make = Callable[[], Any]


class _Watched:
    __slots__ = ("_inner", "_make", "call")

    def __init__(self, call: LlmCall, inner: Any, make: Optional[Make]) -> None:
        """``inner`` is the SDK's own iterator, or ``make`` gives it at the first use."""
        self.call = call
        self._inner = inner
        self._make = make

    def _iterator(self) -> Any:
        if self._inner is None and self._make is not None:
            self._inner, self._make = self._make(), None
        return self._inner

    def _is_hidden(self, piece: Any) -> bool:
        """The one that says what was used, where the user has not asked for it."""
        hides = self.call.hides_usage
        return hides and getattr(piece, "choices", None) == [] and getattr(piece, "usage", None) is not None

    def __del__(self) -> None:
        contained(self.call.finish)


class Pieces(_Watched):
    __slots__ = ()

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Any:
        try:
            piece = next(self._iterator())
            while self._is_hidden(piece):
                piece = next(self._iterator())
        except StopIteration:
            contained(self.call.finish)
            raise
        except BaseException:
            contained(self.call.finish_failed)
            raise
        return piece


class AsyncPieces(_Watched):
    __slots__ = ()

    def __aiter__(self) -> AsyncPieces:
        return self

    async def __anext__(self) -> Any:
        try:
            piece = await self._iterator().__anext__()
            while self._is_hidden(piece):
                piece = await self._iterator().__anext__()
        except StopAsyncIteration:
            contained(self.call.finish)
            raise
        except BaseException:
            contained(self.call.finish_failed)
            raise
        return piece
