"""Hostile session blocks in sound rings, with events behind them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from recost import session
from recost.ring.layout import MAX_SESSION_BYTES
from recost.session import Destination, ProviderDef, Registration, Session
from tests.collector.collecting import file_session
from tests.faults.fuzz import hostile
from tests.faults.fuzz.hosting import BAD, Guest, Host
from tests.faults.row import Place

CHANGED, WRONG_TYPE = 0.3, 0.03
"""So many fields are changed, and so many of these to a value of any type."""


@contextlib.contextmanager
def sessions(place: Place) -> Iterator[Callable[[random.Random], int]]:
    """Attempts with session blocks, each with events behind it."""
    host = Host()

    def attempt(chance: random.Random) -> int:
        block = _block(place, chance)
        while len(block) > MAX_SESSION_BYTES:
            block = _block(place, chance)
        guest = host.invite(Guest(block))
        for _ in range(chance.randrange(10)):
            guest.writer.offer(hostile.event(chance))
        guest.calls(chance.randrange(10))
        if chance.random() < 0.5:
            guest.ask_for_flush()
        host.check(chance)
        return 1

    yield attempt
    host.finish()


def _block(place: Place, chance: random.Random) -> bytes:
    """A registration with hostile fields, or with changed bytes."""
    if chance.random() < 0.3:
        return hostile.mutated(chance, session.encode(Registration(file_session(BAD), "rc-key")))
    destination = {**_some_fields(Destination, chance), "url": _url(place, chance)}
    fields = {"session": {**_some_fields(Session, chance), "destination": destination}, "api_key": hostile.text(chance)}
    if chance.random() < WRONG_TYPE:
        fields[hostile.text(chance, 40)] = hostile.value(chance)
    return msgspec.msgpack.encode(fields)


def _some_fields(kind: type[msgspec.Struct], chance: random.Random) -> dict[str, Any]:
    return {field.name: _value(field, chance) for field in msgspec.structs.fields(kind) if chance.random() < CHANGED}


def _value(field: msgspec.structs.FieldInfo, chance: random.Random) -> Any:
    """For one field of a session or destination, most often of the right type."""
    if chance.random() < WRONG_TYPE:
        return hostile.value(chance)
    make = SPECIAL.get(field.name) or OF_TYPE[type(field.default)]
    return make(chance)


def _rules(chance: random.Random) -> list[ProviderDef]:
    count = chance.choice((1, 1, 100, 2000))
    longest = MAX_SESSION_BYTES // (32 * count)
    host, provider, prefix, category = (hostile.text(chance)[:longest] for _ in range(4))
    return [ProviderDef(host, provider, prefix, category, _float(chance))] * count


def _pairs(chance: random.Random) -> list[tuple[str, str]]:
    return [(hostile.text(chance), hostile.text(chance)) for _ in range(3)]


def _float(chance: random.Random) -> float:
    return chance.choice((*hostile.FLOATS, 1e9))


def _url(place: Place, chance: random.Random) -> str:
    local = place.local
    return chance.choice(
        (
            *(
                f"file://{local}/{BAD}.jsonl",
                f"file://{local}",
                f"file://{local}/../{BAD}.jsonl",
                f"file://{local}/%00",
            ),
            *(
                f"file://{local}/{'a' * 300}",
                f"file://{local}/%ff%fe/x",
                "file:relative",
                "file:///proc/self/mem",
                "file://",
            ),
            *(
                "http://127.0.0.1:9/x",
                "https://127.0.0.1:9",
                "ws://127.0.0.1:9",
                "http://127.0.0.1:99999",
                "http://[",
                "gopher://a",
            ),
            hostile.text(chance),
        )
    )


SPECIAL: dict[str, Callable[[random.Random], Any]] = {
    "custom_providers": _rules,
    "proxies": _pairs,
    "llm_log": lambda chance: _some_fields(Destination, chance),
    "directory": lambda chance: (hostile.number(chance), hostile.number(chance)),
}
OF_TYPE: dict[type, Callable[[random.Random], Any]] = {
    int: hostile.number,
    float: _float,
    bool: lambda chance: chance.random() < 0.5,
    str: hostile.text,
    type(msgspec.NODEFAULT): hostile.text,
}
"""By the type of a field's default."""
