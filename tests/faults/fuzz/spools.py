"""A spool that something has damaged, and the leader that starts from it.

The spool is made by a real leader: an open window, frames that wait for a server that is not there, a delivered one,
cursors, counters; it is copied while it is open, so that half of it is in the journal, as a kill leaves it.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from recost.session import Destination, Session
from recost_collector.service import LostLead
from recost_collector.spool import PAGE_BYTES, SPOOL_FILE
from tests.collector.collecting import Worker, file_session, runtime, total, turn_until
from tests.faults.fuzz import hostile
from tests.faults.fuzz.hosting import HONEST, start_leader
from tests.faults.row import Place

NOWHERE = "http://127.0.0.1:9/projects/shop/telemetry"
LEADERS = 3
SUFFIXES = ("", "", "-wal", "-wal", "-shm")
"""Of the spool's files, as often as they are damaged."""
TABLES = ("meta", "cursors", "sessions", "deltas", "frames", "settles", "destinations")


@contextlib.contextmanager
def spools(_place: Place) -> Iterator[Callable[[random.Random], int]]:
    """Attempts on the spool; each starts from the same one."""
    folder, template = _make_template()
    made = 0

    def attempt(chance: random.Random) -> int:
        nonlocal made
        _restore(folder, template)
        chance.choice(DAMAGES)(folder / SPOOL_FILE, chance)
        made += _lead_and_deliver(chance)
        found = total(HONEST)
        assert found == made, f"{made} calls were made after the damage, {found} are delivered"
        return 1

    yield attempt


def _lead_and_deliver(chance: random.Random) -> int:
    """Leaders start from what is there, and deliver what a worker records from now on. Returns how many calls.

    One that finds its spool damaged leaves, as it must, and the next one does better.
    """
    worker = Worker(file_session(HONEST))
    made = worker.calls(chance.randrange(1, 20))
    worker.ask_for_flush()
    for _ in range(LEADERS):
        leadership = start_leader()
        try:
            turn_until(leadership, worker.is_settled, what="the flush")
        except LostLead:
            leadership.give_back()
            continue
        worker.leave()
        leadership.finish(1.0)
        return made
    raise AssertionError(f"{LEADERS} leaders in a row left")


def _make_template() -> tuple[Path, dict[Path, bytes]]:
    """(the folder of the spool, every file of spool and runtime directory as a kill would leave them)."""
    leadership = start_leader()
    delivered, is_open = Worker(file_session("delivered")), Worker(file_session("open", flush_interval_ms=600_000))
    waiting = Worker(Session(Destination(NOWHERE, "shop"), max_retries=0), "rc-key")
    for worker in (delivered, waiting, waiting, waiting):
        worker.calls(5)
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled, what="the first flush")
    for _ in range(3):
        is_open.calls(30)
        leadership.service.ask(lambda _changes: None)
        leadership.turn(0.0)
    folder = Path(leadership.state_dir)
    files = [path for where in (folder, Path(runtime())) for path in where.iterdir() if path.is_file()]
    template = {path: path.read_bytes() for path in files if not path.name.endswith(".lock")}
    for worker in (delivered, is_open, waiting):
        worker.leave()
    leadership.give_back()
    return folder, template


def _restore(folder: Path, template: dict[Path, bytes]) -> None:
    """Put everything back as it was, the rings of the workers that are gone included."""
    for path in (*folder.iterdir(), *Path(runtime()).iterdir()):
        if path.is_file():
            path.unlink()
    for path, contents in template.items():
        path.write_bytes(contents)


def _change_bytes(path: Path, chance: random.Random) -> None:
    """Bits, stretches, cuts, wherever they may fall."""
    target = Path(f"{path}{chance.choice(SUFFIXES)}")
    target.write_bytes(hostile.mutated(chance, target.read_bytes(), most=12))


def _change_pages(path: Path, chance: random.Random) -> None:
    """Whole pages: zeroed, random, or where another one belongs. Of the file with all that the journal had."""
    _check_in(path)
    contents = bytearray(path.read_bytes())
    pages = len(contents) // PAGE_BYTES
    for _ in range(chance.randrange(1, 4)):
        to, source = (chance.randrange(pages) * PAGE_BYTES for _ in range(2))
        page = chance.choice((bytes(PAGE_BYTES), chance.randbytes(PAGE_BYTES), contents[source : source + PAGE_BYTES]))
        contents[to : to + PAGE_BYTES] = page
    path.write_bytes(contents)


def _change_bits_of_the_whole(path: Path, chance: random.Random) -> None:
    """A few bits of the file with all that the journal had: no checksum watches these."""
    _check_in(path)
    contents = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 3, 10, 100))):
        contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
    path.write_bytes(contents)


def _change_rows(path: Path, chance: random.Random) -> None:
    """A sound file with hostile rows."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        for _ in range(chance.randrange(1, 6)):
            table = chance.choice(TABLES)
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            rows = db.execute(f"SELECT * FROM {table}").fetchall()
            row = list(chance.choice(rows)) if rows else [None] * len(columns)
            at = chance.randrange(len(columns))
            row[at] = _column(chance, row[at])
            with contextlib.suppress(sqlite3.Error):  # no key twice
                db.execute(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(columns))})", row)


def _change_schema(path: Path, chance: random.Random) -> None:
    """Tables that are missing, or other ones of the same name."""
    table = chance.choice(TABLES)
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            chance.choice(
                (
                    f"DROP TABLE {table}",
                    f"DROP TABLE {table}; CREATE TABLE {table} (id, x, y)",
                    f"ALTER TABLE {table} RENAME TO gone",
                    f"DROP TABLE {table}; CREATE VIEW {table} AS SELECT 1 AS id",
                    f"CREATE TRIGGER odd BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END",
                    "PRAGMA user_version = 99",
                    "UPDATE meta SET value = 99 WHERE name = 'schema'",
                    "UPDATE meta SET value = 9223372036854775807 WHERE name = 'epoch'",
                    "UPDATE meta SET value = 9223372036854775807 WHERE name = 'last_frame'",
                    "DELETE FROM meta",
                )
            )
        )


def _replace_files(path: Path, chance: random.Random) -> None:
    """One of the files is random, empty, gone, or another one's."""
    target = Path(f"{path}{chance.choice(SUFFIXES)}")
    other = Path(f"{path}{chance.choice(SUFFIXES)}").read_bytes()
    contents = chance.choice((b"", chance.randbytes(100), chance.randbytes(70_000), other, None))
    target.unlink()
    if contents is not None:
        target.write_bytes(contents)


def _column(chance: random.Random, old: Any) -> Any:
    if isinstance(old, bytes) and chance.random() < 0.7:
        return hostile.mutated(chance, old)
    number = min(hostile.number(chance), 2**63 - 1)
    return chance.choice(
        (number, number, hostile.text(chance), chance.choice(hostile.FLOATS), None, chance.randbytes(20))
    )


def _check_in(path: Path) -> None:
    """Move everything from the journal into the file."""
    sqlite3.connect(path).close()


DAMAGES = (
    *(_change_bytes, _change_bytes, _change_pages, _change_bits_of_the_whole, _change_bits_of_the_whole),
    *(_change_rows, _change_rows, _change_rows, _change_schema, _replace_files),
)
