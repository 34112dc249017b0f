"""What a captured call costs whoever makes it: with recost, and with what a user could have instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.caller import LOOPBACK, STUBBED
from benchmarks.clients import CLIENTS
from benchmarks.measure import Effort, median, quartiles
from benchmarks.pair import CallerError, Pair, Turns, running_pair
from benchmarks.place import place
from benchmarks.products import CONTROL, PRODUCTS, Product
from benchmarks.rows import Row
from benchmarks.server import running_server
from benchmarks.sink import running_sink
from benchmarks.venvs import set_up, versions

TITLE = "Time that a product adds to a call; two processes take turns on one processor, one with it and one without"
ROUNDS = 5
"""Each with two new processes: where their memory happens to lie makes some percent of difference."""
TURNS_S = 0.5
"""A round of one client on one wire."""
WIRES = (STUBBED, LOOPBACK)
AT_ONCE = 200
ASYNC = tuple(name for name in CLIENTS if name not in {"requests", "urllib3", "httpx", "httpx2"})


class Cell(NamedTuple):
    product: str
    client: str
    wire: str


def measure(effort: Effort) -> Iterator[Row]:
    wanted = [product for product in PRODUCTS if effort.others or not product.requirements]
    products = [product for product in wanted if set_up(product)]
    told = {product.name: f"{versions(product)}; {product.how}".lstrip("; ") for product in products}
    found: dict[Cell, list[Turns]] = {}
    at_once: dict[Cell, int] = {}
    with place(), running_sink() as sink, running_server() as server_url:
        for _ in range(effort.times(ROUNDS)):
            for product in list(products):
                try:
                    with running_pair(product, sink, server_url) as pair:
                        _take_turns(product, pair, effort, found)
                        at_once.update(_all_at_once(product, pair))
                except CallerError as error:
                    print(f"bench: {product.name}: {error}; not measured any further", flush=True)
                    products.remove(product)
    for cell, rounds in found.items():
        yield _row(cell, rounds, told[cell.product])
    for cell, captured in at_once.items():
        yield _at_once_row(cell, captured, told[cell.product])


def _take_turns(product: Product, pair: Pair, effort: Effort, found: dict[Cell, list[Turns]]) -> None:
    for client in list(CLIENTS)[: effort.times(50)]:  # a smoke test makes do with the first
        for wire in WIRES:
            turns = pair.take_turns(client, wire, effort.seconds(TURNS_S))
            found.setdefault(Cell(product.name, client, wire), []).append(turns)


def _all_at_once(product: Product, pair: Pair) -> dict[Cell, int]:
    if product.name == CONTROL:
        return {}
    return {Cell(product.name, client, STUBBED): pair.captured_together(client, AT_ONCE) for client in ASYNC}


def _row(cell: Cell, rounds: Sequence[Turns], told: str) -> Row:
    added = [median(turns.with_product) - median(turns.without) for turns in rounds]
    return Row(
        f"{cell.client}, {cell.wire}: {cell.product}",
        median(added),
        "us",
        "a call without",
        median([call_us for turns in rounds for call_us in turns.without]),
        note=told,
        quartiles=quartiles(added),
        made=sum(turns.made for turns in rounds),
        captured=None if cell.product == CONTROL else sum(turns.captured for turns in rounds),
        case=cell._asdict(),
        also={
            "lowest round": min(added),
            "highest": max(added),
            "calls timed": sum(len(turns.with_product) for turns in rounds),
        },
    )


def _at_once_row(cell: Cell, captured: int, told: str) -> Row:
    what = f"{cell.client}, {AT_ONCE} calls at once: {cell.product}"
    case = {**cell._asdict(), "at_once": str(AT_ONCE)}
    return Row(what, captured, "captured", "calls", AT_ONCE, note=told, made=AT_ONCE, captured=captured, case=case)
