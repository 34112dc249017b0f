"""Forked workers that do what a row tells them: the real ``init``, ring, watcher thread and link, and a ledger.

Whatever a worker is told has a deadline, so a call that hangs is seen; an exception that reaches it is a violation, and
so is a traceback on its stderr.  What ``on_error`` hears is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

from recost.event import CallEvent
from recost.ring.files import open_ring
from recost.ring.layout import HEAD, TAIL
from tests.faults.offering import DURATION_NS, HOST, Ledger, Offering
from tests.faults.row import Trial
from tests.harness import start_child, wait_for_child, wait_until

ANSWER_S = 30.0
"""What a worker is told takes milliseconds; later than this, it hangs."""
HEAR_S = 10.0
PATH = "/v1/things"


class Died(Exception):  # noqa: N818 - a finding
    """The worker ended instead of answering."""


class Worker:
    """One of them. Whoever hires it ends it."""

    def __init__(
        self,
        trial: Trial,
        folder: Path,
        ledger: Ledger,
        slot: int,
        become: Optional[Callable[[], object]],
        settings: dict[str, Any],
    ) -> None:
        """``folder``: for its stderr. ``slot``: its own of the ledger."""
        self.slot = slot
        self._trial = trial
        self._stderr = folder / f"stderr-{slot}"
        self._text = b""
        self._code: Optional[int] = None
        orders, self._tell = os.pipe()
        self._hear, answers = os.pipe()

        def work() -> None:
            os.close(self._tell)
            os.close(self._hear)
            os.dup2(os.open(self._stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
            if become is not None:
                become()
            _obey(orders, answers, ledger, slot, settings)

        self.pid = start_child(work)
        os.close(orders)
        os.close(answers)

    def tell(self, *order: Any) -> None:
        """Give an order without waiting for the answer."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._tell, json.dumps(order).encode() + b"\n")

    def answer(self, timeout_s: float = ANSWER_S) -> Any:
        """The answer to the oldest order that has none yet. Raises ``Died``; a hang fails."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._text:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._hear], [], [], left_s)[0]:
                raise AssertionError(f"worker {self.slot} did not answer within {timeout_s:g} s: a call of ours hangs")
            data = os.read(self._hear, 1 << 16)
            if not data:
                raise Died(f"worker {self.slot} ended with {self.end()}: {self.stderr[-400:]}")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        value, raised = json.loads(line)
        self._trial.check(not raised, f"an exception reached the application: {raised[-600:]}")
        return value

    def ask(self, *order: Any) -> Any:
        self.tell(*order)
        return self.answer()

    def offer(self, count: int = 1, path: str = PATH) -> int:
        """Make so many calls, whatever becomes of them; how many were acknowledged."""
        accepted: int = self.ask("offer", count, path) or 0
        return accepted

    def offer_all(self, count: int, path: str = PATH) -> None:
        """Make calls until so many are acknowledged, waiting for room."""
        self.ask("offer_all", count, path)

    def flush(self, timeout_s: float = 5.0) -> bool:
        settled: bool = self.ask("flush", timeout_s)
        return settled

    def errors(self) -> list[str]:
        """What ``on_error`` has heard so far."""
        heard: list[str] = self.ask("errors")
        return heard

    def hears(self, words: str, timeout_s: float = HEAR_S) -> bool:
        """Wait for ``on_error`` to hear something with these words in it."""
        with contextlib.suppress(AssertionError):
            return wait_until(lambda: any(words in text for text in self.errors()), timeout_s)
        return False

    def must_hear(self, words: str, times: Optional[int] = 1) -> None:
        """``on_error`` hears these words, and so often; None: at least once."""
        self.hears(words)
        heard = [text for text in self.errors() if words in text]
        holds = len(heard) == times if times is not None else heard
        self._trial.check(holds, f"on_error was to hear {words!r}, {times or 'some'} times, and heard {self.errors()}")

    @property
    def ring(self) -> Path:
        """The file of its ring."""
        return Path(self.ask("ring"))

    def wait_until_read(self, timeout_s: float = ANSWER_S) -> None:
        """Until a collector has committed all that is in its ring."""
        ring = open_ring(str(self.ring))
        wait_until(lambda: ring.words[HEAD] == ring.words[TAIL], timeout_s, "the collector to commit")
        ring.close()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""

    @property
    def has_ended(self) -> bool:
        return self._code is not None

    def leave(self) -> None:
        """End without a word, as ``os._exit`` does. It must have had nothing to complain of."""
        if not self.has_ended:
            self.tell("leave")
            code = self.end()
            self._trial.check(code == 0, f"worker {self.slot} ended with {code}: {self.stderr[-400:]}")
            self._trial.check("Traceback" not in self.stderr, f"a traceback in a worker: {self.stderr[-600:]}")

    def kill(self) -> None:
        if not self.has_ended:
            os.kill(self.pid, signal.SIGKILL)
            self.end()

    def end(self) -> int:
        """Wait for its end. The exit code; ``-n`` for a signal."""
        if self._code is None:
            self._code = wait_for_child(self.pid, ANSWER_S)
            os.close(self._tell)
            os.close(self._hear)
        return self._code


def _obey(orders: int, answers: int, ledger: Ledger, slot: int, settings: dict[str, Any]) -> None:
    heard: list[str] = []
    offering = Offering(on_error=lambda error: heard.append(f"{type(error).__name__}: {error}"), **settings)
    following = _Following(offering, ledger, slot, heard)
    for order, *arguments in _lines(orders):
        value, raised = None, ""
        try:
            value = getattr(following, order)(*arguments)
        except BaseException:  # noqa: BLE001 - that is the finding
            raised = traceback.format_exc()
        os.write(answers, json.dumps([value, raised]).encode() + b"\n")


def _lines(fd: int) -> Iterator[list[Any]]:
    with open(fd, "rb") as lines:
        for line in lines:
            yield json.loads(line)


class _Following:
    """What a worker can be told; each method is an order."""

    def __init__(self, offering: Offering, ledger: Ledger, slot: int, heard: list[str]) -> None:
        self._runtime = offering.runtime
        self._ledger = ledger
        self._slot = slot
        self._heard = heard

    def offer(self, count: int, path: str) -> int:
        accepted = 0
        for number in range(count):
            if self._publish(path.replace("#", str(number))):
                self._ledger.add(self._slot)
                accepted += 1
        return accepted

    def offer_all(self, count: int, path: str) -> None:
        done = 0
        while done < count:
            taken = self.offer(1, path)
            done += taken
            if not taken:
                time.sleep(0.001)

    def flush(self, timeout_s: float) -> bool:
        return self._runtime.flush(timeout_s)

    def errors(self) -> list[str]:
        return self._heard

    def looks(self) -> int:
        return -1 if self._runtime.link is None else self._runtime.link.looks

    def ring(self) -> str:
        return "" if self._runtime.ring is None else self._runtime.ring.path

    def leave(self) -> None:
        os._exit(0)

    def _publish(self, path: str) -> bool:
        """As capture does it. True when a ring took the call: the one there was, or one that was made for it."""
        runtime = self._runtime
        writer = runtime.recorder.writer
        before = 0 if writer is None else writer.published[1]
        runtime.record(CallEvent(time.time_ns(), DURATION_NS, "GET", "https", HOST, path, 200, 10, 20))
        if writer is not None and writer.published[1] > before:
            return True
        newer = runtime.recorder.writer
        return newer is not None and newer is not writer and newer.published[1] > 0 and not newer.refused
