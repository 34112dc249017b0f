"""Two versions on one host: the newer one takes over, the older one uses it."""

from __future__ import annotations

import os
import subprocess
import sys

from recost.leader import read_leader
from tests.collector.collecting import total
from tests.harness import END_S, wait_until

PROGRAM = """
import sys, http.server, threading
import recost, recost._link
recost._link.__version__ = sys.argv[1]
import urllib3

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
recost.init(project_id="shop")
pool = urllib3.PoolManager()
for line in sys.stdin:
    for _ in range(int(line)):
        pool.request("GET", f"http://127.0.0.2:{server.server_port}/v1/x")
    print(recost.flush(60), flush=True)
"""


class Program:
    """A worker of some version that makes calls when told."""

    def __init__(self, version: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "RECOST_COLLECTOR_IDLE_EXIT_S": "0.2"},
        )

    def calls(self, count: int) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "True\n"

    def end(self) -> None:
        self._process.communicate(timeout=END_S)
        assert self._process.returncode == 0


def _leader_pid() -> int:
    leader = read_leader(os.environ["RECOST_RUNTIME_DIR"])
    return 0 if leader is None else leader.pid


def test_a_newer_worker_replaces_the_collector_and_no_call_is_lost_or_doubled() -> None:
    older = Program("0.0.1")
    older.calls(10)
    first = _leader_pid()
    newer = Program("99.0.0")
    newer.calls(5)
    wait_until(lambda: _leader_pid() != first, what="the newer one's collector")
    second = _leader_pid()
    older.calls(10)
    newer.calls(5)

    assert _leader_pid() == second, "it stays"
    older.end()
    newer.end()
    wait_until(lambda: total() == 30, what="all calls")


def test_an_older_worker_uses_the_collector_that_is_there() -> None:
    newer = Program("0.1.0")
    newer.calls(3)
    first = _leader_pid()
    older = Program("0.0.1")
    older.calls(3)

    assert _leader_pid() == first
    older.end()
    newer.end()
    wait_until(lambda: total() == 6, what="all calls")
