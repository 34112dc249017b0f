"""What is wrong with the positions, records and counts of a ring, in a line each, and what to do about it."""

from __future__ import annotations

from recost.ring.layout import WORD
from recost_collector.figures import plural
from recost_collector.ring_facts import Problem, RingReport, Tally, WordFacts

END = 1 << 62
"""No ring gets so far."""
HEALING = frozenset({"positions", "unreadable", "lost", "count", "notice"})
"""Kinds that a ring in use may show for an instant, because it was written to while it was read."""

_KEEP = "keep a copy of the file and report it; a collector gives up what is left of the ring, and counts it"
_NEW_RING = "restart its worker: a new process makes a new ring"


def judge_positions(report: RingReport, words: WordFacts, capacity: int) -> bool:
    """False when no record can be found by them."""
    head, tail = words.head, words.tail
    text = ""
    if max(head, tail) >= END:
        text = f"tail {tail:,} or head {head:,} is beyond what any ring reaches: collectors set the ring aside"
    elif tail < head:
        text = f"the tail, {tail:,}, is before the head, {head:,}: its worker can record nothing"
    elif tail - head > capacity:
        text = f"{tail - head:,} bytes lie between head and tail, the ring has room for {capacity:,}"
    elif head % WORD or tail % WORD:
        text = f"tail {tail:,} or head {head:,} is no multiple of {WORD}, where every record starts"
    if text:
        report.problems.append(Problem("positions", text, _NEW_RING))
    return not text


def judge_records(report: RingReport, words: WordFacts, tally: Tally) -> None:
    wrong = report.problems.append
    if tally.unreadable_at is not None:
        behind = f"; {plural(tally.readable_behind, 'whole record')} behind it" if tally.readable_behind else ""
        text = f"unreadable from position {tally.unreadable_at:,} on: {tally.unreadable_why}{behind}"
        wrong(Problem("unreadable", text, _KEEP))
    if tally.lost:
        text = f"a gap in the numbers before position {tally.lost_at:,}: {plural(tally.lost, 'record')} missing in all"
        wrong(Problem("lost", text, "please report it: only a second writer in the ring makes one"))
    if tally.undecodable:
        text = f"{plural(tally.undecodable, 'whole record')} of a content that this version does not know"
        wrong(Problem("undecodable", text, "use the recost-collector of its worker's version"))
    if tally.unreadable_at is None and not tally.moved_on and tally.last_sequence is not None:
        more = words.published - tally.last_sequence - 1
        if more not in (0, -1):  # -1: it was killed between moving the tail and counting
            text = f"its worker counts {words.published:,} records, the last one is number {tally.last_sequence:,}"
            wrong(Problem("count", text, "please report it"))


def judge_counts(report: RingReport) -> None:
    """What its worker could not record."""
    words = report.words
    if words is None:
        return
    wrong = report.problems.append
    if words.dropped_full:
        text = f"{plural(words.dropped_full, 'call')} not recorded because the ring was full"
        wrong(Problem("dropped", text, "raise ring_bytes, or see why no collector empties it"))
    if words.dropped_big:
        wrong(Problem("dropped", f"{plural(words.dropped_big, 'call')} too large to record", "raise ring_bytes"))
    if words.lost:
        text = f"{plural(words.lost, 'call')} that no ring kept: an earlier one was damaged, or none could be made"
        wrong(Problem("dropped", text, "see that there is room in the runtime directory, and that nobody writes to it"))
    if words.faults:
        text = f"{plural(words.faults, 'bug')} of recost contained in its worker"
        wrong(Problem("faults", text, "please report it, with the worker's version"))
