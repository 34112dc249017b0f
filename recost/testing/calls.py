"""The calls that were captured, and what one asks of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Callable, Optional, TypeVar, Union, overload

from recost.bucket import PICO_USD_PER_CENT
from recost.testing.budget import Budget
from recost.testing.call import Call
from recost.testing.table import format_cents, format_table

SHOWN_CALLS = 30

Key = TypeVar("Key", bound=Hashable)


class Calls:
    """Calls in the order in which they ended. While they are captured it grows; any thread may look."""

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        self._calls = list(calls)

    @property
    def count(self) -> int:
        return len(self._calls)

    @property
    def cost_cents(self) -> float:
        """US cents, the sum of the rules' averages."""
        return self.cost_pico_usd / PICO_USD_PER_CENT

    @property
    def cost_pico_usd(self) -> int:
        return sum(call.cost_pico_usd for call in self._calls)

    @property
    def hosts(self) -> set[str]:
        return {call.host for call in self._calls}

    @property
    def errors(self) -> Calls:
        """Those without a response or with a status of 400 or more."""
        return self.where(lambda call: call.error)

    @property
    def by_host(self) -> dict[str, Calls]:
        return self._by(lambda call: call.host)

    @property
    def by_provider(self) -> dict[str, Calls]:
        """By ``openai``, ``stripe``, …, and ``unknown``."""
        return self._by(lambda call: call.provider)

    @property
    def by_endpoint(self) -> dict[tuple[str, str], Calls]:
        """By (provider, endpoint), as in a report."""
        return self._by(lambda call: (call.provider, call.endpoint))

    def where(self, fits: Callable[[Call], object]) -> Calls:
        """Those for which ``fits(call)`` is true."""
        return Calls(call for call in self._calls if fits(call))

    def check(
        self,
        *,
        max_calls: Optional[int] = None,
        max_cost_cents: Optional[float] = None,
        allow: Optional[Sequence[str]] = None,
        forbid: Optional[Sequence[str]] = None,
    ) -> None:
        """``AssertionError`` with a table when a limit is passed; ``ValueError`` for a limit that is none.

        ``allow``: no calls to other hosts, so an empty list allows none at all. ``forbid``: none to these.
        A host is a name without port, or ``*.example.com`` for any below it.
        """
        limits = {"max_calls": max_calls, "max_cost_cents": max_cost_cents, "allow": allow, "forbid": forbid}
        text = self.excess_of(Budget.of(limits))
        if text:
            raise AssertionError(text)

    def excess_of(self, budget: Budget) -> str:
        """What is over ``budget`` and the table of calls, those too many marked; empty when all is within."""
        reasons, places = budget.excess(self._calls)
        return f"over budget: {'; '.join(reasons)}\n{self.show(places)}" if reasons else ""

    def clear(self) -> None:
        """Forget the calls so far: those of a preparation, say."""
        self._calls.clear()

    def add(self, call: Call) -> None:
        """What capture does, on the thread that made the call."""
        self._calls.append(call)

    def show(self, marked: Iterable[int] = ()) -> str:
        """The table, with a ``>`` before the calls at these places. Of very many, those come first."""
        calls, places = list(self._calls), frozenset(marked)
        shown = sorted(sorted(range(len(calls)), key=lambda place: place not in places)[:SHOWN_CALLS])
        rows = [(">" if place in places else "", *_cells(calls[place])) for place in shown]
        more = f"\n… and {len(calls) - len(shown)} more" if len(calls) > len(shown) else ""
        return format_table(("", "call", "status", "provider", "endpoint", "cents"), rows, numbers=(2, 5)) + more

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    @overload
    def __getitem__(self, index: int) -> Call: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: Union[int, slice]) -> Union[Call, Calls]:
        return Calls(self._calls[index]) if isinstance(index, slice) else self._calls[index]

    def __eq__(self, other: object) -> bool:
        return self._calls == other._calls if isinstance(other, Calls) else NotImplemented

    def __str__(self) -> str:
        return self.show()

    def __repr__(self) -> str:
        hosts = ", ".join(f"{host} {count}" for host, count in Counter(call.host for call in self._calls).most_common())
        return f"<Calls: {self.count}, {format_cents(self.cost_pico_usd)} cents{': ' if hosts else ''}{hosts}>"

    def _by(self, key_of: Callable[[Call], Key]) -> dict[Key, Calls]:
        found: dict[Key, Calls] = {}
        for call in self._calls:
            found.setdefault(key_of(call), Calls()).add(call)
        return found


def _cells(call: Call) -> tuple[str, ...]:
    status = str(call.status_code) if call.status_code else "none"
    return f"{call.method} {call.url}", status, call.provider, call.endpoint, format_cents(call.cost_pico_usd)
