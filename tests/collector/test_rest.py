"""What a collector does without while there is nothing to do."""

from __future__ import annotations

import subprocess
import sys

from recost.ring.layout import EPOCH, HEARTBEAT
from recost_collector.service import BUSY_POLL_S, IDLE_POLL_S, IDLE_TURNS, REST_POLL_S, REST_TURNS
from tests.collector.collecting import Worker, collector, file_session

LOADED = """
import sys, filelock
before = {*sys.modules}  # some versions of filelock load asyncio, and that ssl
from recost.session import Destination
from recost_collector import process
from recost_collector.exporters import load_exporter
for url in ("file:///tmp/shop.jsonl", "https://api.example.com/projects/shop/telemetry"):
    load_exporter(Destination(url))
    print(sorted({"ssl", "urllib3"} & sys.modules.keys() - before))
"""


def test_polling_eases_while_there_is_no_work_and_is_quick_again_with_the_first_call() -> None:
    with collector() as leadership:
        worker = Worker(file_session())
        pauses = []
        for _ in range(REST_TURNS):
            leadership.service.turn()
            pauses.append(leadership.service.pause_s)
        worker.call()
        leadership.service.turn()

        assert pauses[0] == pauses[IDLE_TURNS - 2] == BUSY_POLL_S
        assert pauses[IDLE_TURNS - 1] == pauses[-2] == IDLE_POLL_S
        assert pauses[-1] == REST_POLL_S
        assert leadership.service.pause_s == BUSY_POLL_S


def test_the_heart_beats_every_turn_and_a_stale_word_of_a_predecessor_stays_until_the_next_commit() -> None:
    with collector() as leadership:
        words = Worker(file_session()).ring.words
        leadership.service.turn()
        epoch, beats = words[EPOCH], []
        words[EPOCH] = epoch - 1
        while words[EPOCH] != epoch:
            leadership.service.turn()
            beats.append(words[HEARTBEAT])

        assert epoch > 0
        assert len(beats) == len(set(beats))


def test_tls_is_loaded_for_the_first_destination_that_needs_it() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    of_file, of_cloud = done.stdout.splitlines()
    assert of_file == "[]"
    assert "'urllib3'" in of_cloud
