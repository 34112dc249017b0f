"""Calls as they could have happened, and workers' rings to put them into."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterable

from recost import session
from recost._destination import registration
from recost.config import RecostConfig, resolve
from recost.event import CallEvent
from recost.paths import make_private_dir
from recost.ring.files import RingFile, create_ring
from recost.ring.layout import HEAD, TAIL, seed_of
from recost.ring.sentinel import new_sentinel
from recost.ring.writer import Writer

TARGETS = (
    ("api.openai.com", "/v1/chat/completions"),
    ("api.openai.com", "/v1/embeddings"),
    ("api.anthropic.com", "/v1/messages"),
    ("api.stripe.com", "/v1/charges"),
    ("api.twilio.com", "/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json"),
    ("shop.svc.pinecone.io", "/vectors/upsert"),
    ("s3.eu-central-1.amazonaws.com", "/invoices/2026/0000017.pdf"),
    ("crm.internal.example", "/customers/4711/orders/815"),
)
"""Hosts with and without a rule, and paths with ids."""


def an_event(number: int = 0) -> CallEvent:
    """One call; consecutive numbers go to all of ``TARGETS``."""
    host, path = TARGETS[number % len(TARGETS)]
    duration_ns = 40_000_000 + number * 7919 % 60_000_000
    return CallEvent(time.time_ns(), duration_ns, "POST", "https", host, path, 200, 900, 4200)


def settings(**changed: object) -> RecostConfig:
    """What ``init()`` would go by in the environment as it is."""
    return resolve(RecostConfig(**changed), {}, os.environ)  # type: ignore[arg-type]  # names and types are the caller's


class WorkerRing:
    """The ring of a worker, without the rest of one."""

    def __init__(self, directory: str) -> None:
        make_private_dir(directory)
        chosen = settings()
        self.file: RingFile = create_ring(directory, session.encode(registration(chosen)), chosen.ring_bytes)
        self.writer = Writer(self.file.words, self.file.data, seed_of(self.file.header.ring_id), new_sentinel())

    def fill(self, payloads: Iterable[bytes]) -> int:
        """Offer them round and round until the ring is full. How many it took."""
        offer = self.writer.offer
        return sum(1 for _ in itertools.takewhile(offer, itertools.cycle(payloads)))

    def release_all(self) -> None:
        """What a collector does that has committed everything."""
        self.file.words[HEAD] = self.file.words[TAIL]

    @property
    def is_drained(self) -> bool:
        return self.file.words[HEAD] == self.file.words[TAIL]

    def leave(self) -> None:
        """The lock goes, as when the process ends, and the collector removes the file."""
        self.file.close()
