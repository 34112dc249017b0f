"""In a sandbox of the kernel's recost works, or says once what is missing; the program never notices."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.standins import CloudStandIn
from tests.cloud.application import KEY
from tests.conftest import Place
from tests.processes.support import ROOT, Api, delivered, run_program
from tests.sandboxes.enter import ARCHITECTURES

CALLS = 5
PROGRAM = """
import sys, time, urllib3, recost
api, collector = sys.argv[1:]
recost.init(collector=collector)
pool = urllib3.PoolManager(retries=False)
for _ in range(5):
    assert pool.request("GET", api).status == 200
print("flushed" if recost.flush(60) else "not flushed")
print(f"{time.process_time():.3f} s of CPU")
"""
WITHOUT_LOCKS = """
import logging, sys, urllib3
logging.basicConfig(format="recost said: %(message)s")
import recost, recost.workers.multiprocessing, recost.frameworks
seen = []
recost.install(seen.append)
for _ in range(2):
    with recost.init() as handle, recost.feature_tag("checkout"):
        assert urllib3.PoolManager().request("GET", sys.argv[1]).status == 200
        assert handle.flush_blocking() and recost.flush() and handle.last_flush_status is None
assert [event.status_code for event in seen] == [200, 200]
"""
NOTICE = re.compile(r"^(?:recost said: )?.*(?:collector|ring|captured|state is|wait).*$", re.MULTILINE)

pytestmark = pytest.mark.skipif(
    platform.machine() not in ARCHITECTURES, reason="the seccomp filter is written for x86-64 and arm64"
)


def refusal(*restrictions: str) -> str:
    """Why this machine lets nobody make such a sandbox; empty: it does."""
    probe = [sys.executable, "-m", "tests.sandboxes.enter", *restrictions, "--", os.devnull]
    done = subprocess.run(probe, check=False, capture_output=True, text=True, cwd=ROOT)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder that may stay writable, and with no more of recost's variables than a user would set."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def sandboxed(program: Path, *restrictions: str, arguments: tuple[str, ...], **environ: str) -> str:
    """What the program prints and logs. It must end in good order, and soon."""
    if why := refusal(*restrictions):
        pytest.skip(f"this machine does not permit it: {why}")
    started = time.monotonic()
    output = run_program("-m", "tests.sandboxes.enter", *restrictions, "--", program, *arguments, code=0, **environ)
    assert time.monotonic() - started < 30
    return output


def notices(output: str) -> list[str]:
    return NOTICE.findall(output)


def test_as_in_aws_lambda_the_thread_delivers_and_has_nothing_to_say(
    api: Api, program: Path, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shared memory, everything read-only but one folder, no processes: and whoever tries one is killed."""
    for name in ("RECOST_RUNTIME_DIR", "RECOST_LOCAL_DIR"):
        monkeypatch.delenv(name)
    with CloudStandIn(keys={KEY}) as cloud:
        output = sandboxed(
            program,
            "no-shared-memory",
            f"read-only={tmp_path}",
            "deadly-processes",
            arguments=(api.url, "thread"),
            TMPDIR=str(tmp_path),
            RECOST_STATE_DIR=str(tmp_path / "state"),
            RECOST_API_KEY=KEY,
            RECOST_PROJECT_ID="shop",
            RECOST_BASE_URL=cloud.url,
        )
        assert cloud.calls("shop") == CALLS
    assert "flushed" in output.splitlines()
    assert notices(output) == []


def test_without_shared_memory_rings_are_in_the_temp_directory(
    api: Api, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECOST_RUNTIME_DIR")
    output = sandboxed(program, "no-shared-memory", arguments=(api.url, "auto"), TMPDIR=str(tmp_path))
    assert "flushed" in output.splitlines()
    assert notices(output) == []
    assert list(tmp_path.glob("recost-*-v*"))


def test_where_no_process_may_be_started_it_says_what_helps_and_the_next_collector_delivers(
    api: Api, program: Path
) -> None:
    output = sandboxed(program, "no-processes", arguments=(api.url, "auto"))
    (notice,) = notices(output)
    assert 'collector="thread"' in notice
    assert "not flushed" in output
    run_program("-m", "recost_collector", "flush")
    assert delivered() == CALLS


@pytest.mark.parametrize("collector", ["auto", "thread"])
def test_where_nothing_can_be_written_at_all_it_says_so_once(api: Api, program: Path, collector: str) -> None:
    output = sandboxed(program, "read-only", arguments=(api.url, collector))
    (notice,) = notices(output)
    assert "no ring can be made" in notice
    assert api.calls == CALLS


def test_a_read_only_root_with_shared_memory_is_enough_for_the_cloud(
    api: Api, program: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with ``readOnlyRootFilesystem``: the spool is in memory, and that is said."""
    monkeypatch.setenv("RECOST_COLLECTOR_IDLE_EXIT_S", "0")
    with CloudStandIn(keys={KEY}) as cloud:
        output = sandboxed(
            program,
            f"read-only={place.runtime}",
            arguments=(api.url, "auto"),
            RECOST_API_KEY=KEY,
            RECOST_PROJECT_ID="shop",
            RECOST_BASE_URL=cloud.url,
        )
        assert cloud.calls("shop") == CALLS
    (notice,) = notices(output)
    assert "RECOST_STATE_DIR" in notice


def test_where_no_file_can_be_locked_it_captures_nothing_and_says_so_once(api: Api, program: Path) -> None:
    """What such a system has not is taken away here: imports, capture by ``install()`` and every call stay harmless."""
    program.write_text(WITHOUT_LOCKS)
    output = sandboxed(program, "no-locks", arguments=(api.url,))
    (notice,) = notices(output)
    assert "lacks fcntl" in notice
    assert api.calls == 2
