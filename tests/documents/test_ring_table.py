"""ARCHITECTURE's table of the ring's bytes has the places that the code has."""

from __future__ import annotations

import re

from recost.ring import layout
from tests.documents.__main__ import ROOT


def test_the_table_of_bytes_is_that_of_the_layout():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    _, _, section = text.partition("## The ring's format")
    table = section.partition("A record begins")[0]
    told = [
        tuple(map(int, re.findall(r"\d+", row.split("|")[1]))) for row in table.splitlines() if row.startswith("| ")
    ]
    word = layout.WORD
    assert [places for places in told if places] == [
        (0, layout.HEADER_WORDS * word - 1),
        (layout.TAIL * word, layout.RECORDS * word),
        (layout.DROPPED_FULL * word, layout.LOST * word + word - 1),
        (layout.FLUSH_REQUESTED * word, layout.FLUSHES * word + word - 1),
        (layout.HEAD * word,),
        (layout.HEARTBEAT * word, layout.EPOCH * word),
        (layout.FLUSHED_THROUGH * word, layout.FLUSHES_DONE * word + word - 1),
        (layout.NOTICE_AREA, layout.NOTICE_AREA + layout.NOTICE_SLOTS * layout.NOTICE_BYTES - 1),
        (layout.SESSION_BLOCK,),
    ]
