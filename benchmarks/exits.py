"""How long a program that made three calls takes to end, from its last statement on."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Effort, interleaved
from benchmarks.place import place, wait_for_heartbeat
from benchmarks.rows import Row, compare
from benchmarks.server import running_server
from benchmarks.traffic import an_event, settings
from examples.standins import CloudStandIn
from recost._runtime import Runtime

TITLE = (
    "End of a script after three calls: wall time from the last one to the end of the process, with the default timeout"
)
KEY = "rc-stand-in"
OFFLINE = "127.0.0.3"
SCRIPT = """
import sys, time, urllib3
if sys.argv[2] == "recost":
    import recost
    recost.init()
with urllib3.PoolManager() as pools:
    for _ in range(3):
        assert pools.request("GET", sys.argv[1]).status == 200
print(time.monotonic_ns(), flush=True)
if sys.argv[3] == "flush":
    assert recost.flush()
"""

Variables = dict[str, str]


def measure(effort: Effort) -> Iterator[Row]:
    with running_server() as url, contextlib.ExitStack() as servers:
        cloud, refusing, silent = (_cloud(servers.enter_context(made())) for made in (_taking, _refusing, _silent))
        variants = {
            "without recost": partial(_bare, url),
            "file, a collector is there": partial(_warm, url, {}),
            "file, a collector is there, flush() first": partial(_warm, url, {}, "flush"),
            "file, none yet": partial(_cold, url, {}),
            "cloud, a collector is there": partial(_warm, url, cloud),
            "cloud, a collector is there, flush() first": partial(_warm, url, cloud, "flush"),
            "cloud, none yet": partial(_cold, url, cloud),
            "offline: connections refused": partial(_cold, url, refusing),
        }
        found = interleaved(variants, effort.times(9), effort.seconds(25))
        # It takes the timeout, whatever else: few repetitions tell.
        found["offline: connected, no answer"] = [_cold(url, silent) for _ in range(effort.times(2))]
    without = found.pop("without recost")
    for what, samples in found.items():
        yield compare(what, samples, "ms", "without recost", without)


def _bare(url: str) -> float:
    with place():
        return _exit_ms(url, "bare")


def _cold(url: str, variables: Variables) -> float:
    """The script's is the first call of the host. Its collector is not waited for: offline it stays to try again."""
    with place(**variables) as here:
        took_ms = _exit_ms(url, "recost")
        here.end_collectors()
        return took_ms


def _warm(url: str, variables: Variables, last: str = "") -> float:
    with place(**variables) as here:
        other = Runtime(settings())
        other.record(an_event())
        assert other.ring is not None
        wait_for_heartbeat(other.ring)
        took_ms = _exit_ms(url, "recost", last)
        other.dispose(0)
        here.end_collectors()
        return took_ms


def _exit_ms(url: str, how: str, last: str = "") -> float:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, url, how, last], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        last_statement_ns = int(process.stdout.readline())
        process.wait()
        return (time.monotonic_ns() - last_statement_ns) / 1e6


def _cloud(base_url: str) -> Variables:
    return {"RECOST_API_KEY": KEY, "RECOST_PROJECT_ID": "bench", "RECOST_BASE_URL": base_url}


@contextlib.contextmanager
def _taking() -> Iterator[str]:
    with CloudStandIn([KEY]) as cloud:
        yield cloud.url


@contextlib.contextmanager
def _refusing() -> Iterator[str]:
    """An address that nobody listens on, kept from others."""
    with socket.socket() as bound:
        bound.bind((OFFLINE, 0))
        yield _url_of(bound)


@contextlib.contextmanager
def _silent() -> Iterator[str]:
    """The kernel accepts connections; nobody reads them."""
    with socket.socket() as listening:
        listening.bind((OFFLINE, 0))
        listening.listen(128)
        yield _url_of(listening)


def _url_of(bound: socket.socket) -> str:
    host, port = bound.getsockname()
    return f"http://{host}:{port}"
