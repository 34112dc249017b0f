"""The delivered file and the exporter's intent, as a power cut, an editor or a fuzzer leaves them, and what comes next.

A collector delivers and ends before its last outcome is committed; something happens to its files; the next one
delivers that frame again, and new ones.  What was in the file stays in front of them, but for the half of a line.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from recost.event import UNDECODABLE
from recost.session import Destination
from recost_collector.exporters import INTENT, Exporter, Frame, Retry, open_exporter
from tests.faults.fuzz import hostile
from tests.faults.fuzz.hosting import remove
from tests.faults.row import Place

HUGE = 1 << 36
WINDOW = b'{"protocolVersion":"1.0","metrics":['


class Lease:
    """What an exporter asks of the collector that it works for: this one leads."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = str(state_dir)

    def held(self) -> bool:
        return True


class Target:
    """One destination and its files."""

    def __init__(self, place: Place) -> None:
        self.path = place.local / "shop.jsonl"
        self._destination = Destination(self.path.as_uri(), "shop")
        self.intent = place.state / f"{self._destination.id}{INTENT}"
        self._lease = Lease(place.state)

    def exporter(self) -> Exporter:
        """Of a collector that has just started."""
        return open_exporter(self._destination, self._lease)

    def contents(self) -> bytes:
        return self.path.read_bytes() if self.path.exists() else b""


@contextlib.contextmanager
def files(place: Place) -> Iterator[Callable[[random.Random], int]]:
    """Attempts on one file, each from the start."""
    target = Target(place)

    def attempt(chance: random.Random) -> int:
        shutil.rmtree(place.local)
        place.local.mkdir()
        chance.choice(ATTEMPTS)(target, chance)
        return 1

    yield attempt


def _spoil_bytes(target: Target, chance: random.Random) -> None:
    """Something happens to the file, the intent, or both."""
    delivered = _deliver(target, [_frame(chance) for _ in range(chance.randrange(1, 4))])
    kind = chance.randrange(3)
    if kind:
        chance.choice(FILE_SPOILERS)(target, chance)
    if kind != 1:
        target.intent.write_bytes(_spoiled_intent(target.intent.read_bytes(), chance))
    _go_on(target, chance, delivered[-1])


def _cut_last_line(target: Target, chance: random.Random) -> None:
    """A power cut between the intent and the end of the line."""
    *_, last = _deliver(target, [_frame(chance) for _ in range(chance.randrange(1, 4))])
    contents = target.contents()
    cut = contents[: len(contents) - chance.randrange(1, len(last.body) + 2)]
    target.path.write_bytes(cut + chance.choice((b"", bytes(chance.randrange(1, 5000)))))
    _go_on(target, chance, last)


def _put_in_the_way(target: Target, chance: random.Random) -> None:
    """What is at the path is no file; as soon as that is gone, everything goes on."""
    chance.choice(OBSTACLES)(target.path)
    exporter, frame = target.exporter(), _frame(chance)
    for _ in range(2):
        try:
            exporter.export(frame)
        except Retry:
            continue
        raise AssertionError(f"delivered into {target.path.lstat()}")
    remove(target.path)
    exporter.export(frame)
    assert target.contents() == frame.body + b"\n"


def _make_huge(target: Target, chance: random.Random) -> None:
    """A hole of many gigabytes without a newline in it."""
    exporter, frames = target.exporter(), [_frame(chance) for _ in range(2)]
    exporter.export(frames[0])
    os.truncate(target.path, HUGE)
    exporter.export(frames[1])
    with open(target.path, "rb") as file:
        file.seek(HUGE)
        assert file.read() == b"\n" + frames[1].body + b"\n"


def _go_on(target: Target, chance: random.Random, uncommitted: Frame) -> None:
    """The next collector: the frame whose outcome was not committed comes again, and new ones."""
    before = target.contents()
    was_there = _is_where_intended(target, uncommitted)
    fresh = [_frame(chance) for _ in range(chance.randrange(1, 4))]
    _deliver(target, [uncommitted, *fresh])
    after = target.contents()
    new = b"".join(frame.body + b"\n" for frame in fresh)
    line = uncommitted.body + b"\n"
    for kept in _kept_of(before):
        if after == kept + new and line in kept:
            return
        if after == kept + line + new and not was_there:
            return
    raise AssertionError(
        f"{before[-300:]!r} became {after[-300:]!r}, and {line[:80]!r} and {new[:80]!r} were delivered"
    )


def _kept_of(before: bytes) -> list[bytes]:
    """What may be left of a file: whole lines stay; half a line goes, or becomes a line of its own."""
    whole = before[: before.rfind(b"\n") + 1]
    return [before] if whole == before else [whole, before + b"\n"]


def _is_where_intended(target: Target, frame: Frame) -> bool:
    """Whether a sound intent names the place of the frame's line, and the line is there."""
    line = frame.body + b"\n"
    try:
        intent = msgspec.json.decode(target.intent.read_bytes())
        at = range(len(target.contents()))[intent["offset"]]
        return bool(intent["key"] == frame.key and intent["offset"] == at and target.contents().startswith(line, at))
    except (OSError, LookupError, TypeError, *UNDECODABLE):
        return False


def _deliver(target: Target, frames: list[Frame]) -> list[Frame]:
    exporter = target.exporter()
    for frame in frames:
        exporter.export(frame)
    exporter.close()
    return frames


def _frame(chance: random.Random) -> Frame:
    """A window with a text in it; some are long."""
    metrics = [hostile.text(chance) for _ in range(chance.choice((0, 1, 3)))]
    body = WINDOW + msgspec.json.encode(metrics)[1:] + b',"n":%d}' % chance.getrandbits(64)
    return Frame(f"{chance.getrandbits(128):032x}", body, "1.2.3", "")


def _mutate(target: Target, chance: random.Random) -> None:
    target.path.write_bytes(hostile.mutated(chance, target.contents(), most=8))


def _cut(target: Target, chance: random.Random) -> None:
    os.truncate(target.path, chance.randrange(len(target.contents()) + 1))


def _append(target: Target, chance: random.Random) -> None:
    more = (
        *(
            chance.randbytes(chance.randrange(1, 3000)),
            bytes(chance.randrange(1, 70_000)),
            WINDOW,
            b"{",
            b"\n\n",
            b"x",
            b"\r",
        ),
        *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a":"' + b"\\u" * 5000, b"{" + b"\xff" * 80, b'{"whole":1}'),
    )
    with open(target.path, "ab") as file:
        file.write(chance.choice(more))


def _replace(target: Target, chance: random.Random) -> None:
    target.path.unlink()
    if chance.random() < 0.7:
        target.path.write_bytes(chance.choice((b"", b"\n", chance.randbytes(5000), WINDOW * 3000)))


def _spoiled_intent(packed: bytes, chance: random.Random) -> bytes:
    """Random, mutated, or JSON with the right key and everything else wrong."""
    key: str = msgspec.json.decode(packed)["key"]
    kind = chance.randrange(4)
    if kind == 0:
        return hostile.mutated(chance, packed)
    if kind == 1:
        return chance.choice(
            (b"", b"{", b"null", b"[" * 50_000, chance.randbytes(200), b'{"key":"\xff\xfe","offset":0}')
        )
    if kind == 2:
        offset = chance.choice((hostile.number(chance), -hostile.number(chance), 2**70, 1e300, -1, "0", None))
        return msgspec.json.encode({"key": key, "offset": offset})
    nested = chance.choice((b"[", b'{"a":')) * chance.choice((10, 2000, 50_000))
    return b'{"more":' + nested + b',"key":"%s","offset":0}' % key.encode()


ATTEMPTS = (*(_spoil_bytes,) * 12, *(_cut_last_line,) * 4, *(_put_in_the_way,) * 2, _make_huge)
FILE_SPOILERS = (_mutate, _mutate, _cut, _append, _append, _replace)
OBSTACLES: tuple[Callable[[Path], object], ...] = (
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("/dev/null"),
    lambda path: path.symlink_to(path),
    os.mkfifo,
)
