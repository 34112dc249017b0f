"""``recost-collector doctor --rings`` as a user meets it: workers, collectors, directories, options."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recost import __version__, session
from recost.ring import layout
from recost.ring.files import create_ring
from recost.session import Registration
from recost_collector import ring_facts
from recost_collector.cli import main
from tests.cli import hosts
from tests.collector.collecting import Worker, collector, file_session, runtime, turn_until
from tests.doctor.asking import KEY, SHOP, Doctor, prove
from tests.harness import start_child, wait_for_child, wait_until


@pytest.fixture
def foreground() -> Iterator[subprocess.Popen[str]]:
    """``recost-collector run``, leading."""
    with hosts.foreground() as process:
        yield process


def test_without_a_ring_all_is_well_and_nothing_is_made(doctor: Doctor) -> None:
    assert doctor() == 0
    assert doctor.text.startswith("no rings")
    assert not os.listdir(os.environ["RECOST_RUNTIME_DIR"])


def test_a_live_ring_that_is_collected_is_well(doctor: Doctor, foreground: subprocess.Popen[str]) -> None:
    worker = Worker(file_session(), KEY)
    worker.calls(7)
    worker.ask_for_flush()
    wait_until(worker.is_settled, what="the flush")

    found = doctor.json("--records", 5)
    ring = found["rings"][0]

    assert found["exit_code"] == 0
    assert found["directories"][0]["collector"] == {
        "state": "at work", "pid": foreground.pid, "version": __version__, "kind": "run",
    }  # fmt: skip
    assert (ring["owner"]["state"], ring["header"]["pid"]) == ("alive", os.getpid())
    assert ring["words"]["flush_status"] == "ok"
    assert ring["words"]["flushed_through"] == ring["words"]["tail"] == ring["words"]["head"]
    assert (ring["records"]["readable"], ring["records"]["released"]) == (0, 7)
    assert [(event["path"], event["released"]) for event in ring["events"]] == [("/v1/things", True)] * 5
    assert doctor() == 0
    assert doctor.text.startswith("all is well: 1 ring\n")
    assert f"pid {os.getpid()}, alive" in doctor.text
    worker.leave()


def test_a_live_ring_with_a_backlog_and_no_collector(doctor: Doctor) -> None:
    worker = Worker(SHOP, KEY)
    worker.calls(5)

    assert doctor("--records", 2) == 3
    assert "PROBLEM     no collector is at work: 400 B wait. To do: " in doctor.text
    assert "shop / production -> https://api.example.com/projects/shop/telemetry, with a key" in doctor.text
    assert re.search(r"GET +api\.example\.com +/v1/things +200 +5\.0 +waits\n", doctor.text)
    assert doctor.text.count("/v1/things") == 2
    worker.leave()


def test_a_collector_that_hangs_is_wrong(doctor: Doctor, foreground: subprocess.Popen[str]) -> None:
    worker = Worker(file_session())
    wait_until(lambda: worker.ring.words[layout.HEARTBEAT], what="a heartbeat")
    foreground.send_signal(signal.SIGSTOP)

    assert doctor() == 1
    assert f"the collector, pid {foreground.pid}, holds its lock and does nothing" in doctor.text
    foreground.send_signal(signal.SIGCONT)
    worker.leave()


def test_what_shows_a_moment_later_in_a_live_ring_was_never_wrong(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor may show the tail before the record."""
    worker = Worker(SHOP)
    worker.calls(5)
    worker.ring.data[100] ^= 1
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        worker.ring.data[100] ^= len(waited) == 2

    monkeypatch.setattr(time, "sleep", sleep)
    assert doctor() == 3
    assert len(waited) == 2
    assert "5 readable of those that wait" in doctor.text

    worker.ring.data[100] ^= 1
    assert doctor() == 1
    assert "unreadable from position 80 on: its checksum is wrong; 3 whole records behind it" in doctor.text
    worker.leave()


def test_a_killed_worker_leaves_all_its_calls_to_be_read(doctor: Doctor, dead: Path) -> None:
    found = doctor.json()

    assert found["exit_code"] == 3
    assert found["rings"][0]["path"] == str(dead)
    assert found["rings"][0]["owner"] == {"state": "dead", "lock_pid": None}
    assert found["rings"][0]["records"]["readable"] == 12
    assert "its worker is dead" in found["rings"][0]["problems"][0]["text"]


def test_a_worker_that_was_killed_and_not_waited_for_is_dead(doctor: Doctor) -> None:
    ready, tell = os.pipe()

    def work() -> None:
        Worker(SHOP).calls(1)
        os.write(tell, b"x")
        signal.pause()

    child = start_child(work)
    os.read(ready, 1)
    assert doctor.json()["rings"][0]["owner"] == {"state": "alive", "lock_pid": child}
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: ") Z " in Path(f"/proc/{child}/stat").read_text(), what="the zombie")
    assert doctor.json()["rings"][0]["owner"] == {"state": "dead", "lock_pid": None}
    wait_for_child(child)
    os.close(ready)
    os.close(tell)


def test_an_owner_in_another_pid_namespace_is_known_by_its_lock_alone(doctor: Doctor, tmp_path: Path) -> None:
    ring = create_ring(str(tmp_path), session.encode(Registration(SHOP)), layout.MIN_CAPACITY)
    with open(ring.path, "r+b") as file:
        header = prove(bytearray(file.read(16 * 8)), 13, struct.pack("=Q", 1))
        file.seek(0)
        file.write(header)

    assert doctor.json(ring.path)["rings"][0]["owner"] == {"state": "alive", "lock_pid": os.getpid()}
    ring.close()
    assert doctor.json(ring.path)["rings"][0]["owner"] == {"state": "another pid namespace", "lock_pid": None}


@pytest.mark.parametrize("trouble", ["mode", "link"])
def test_a_runtime_directory_that_workers_refuse_is_wrong(doctor: Doctor, tmp_path: Path, trouble: str) -> None:
    folder, link = tmp_path / "run", tmp_path / "link"
    folder.mkdir()
    folder.chmod(0o777 if trouble == "mode" else 0o700)
    link.symlink_to(folder)

    assert doctor("--runtime-dir", folder if trouble == "mode" else link) == 1
    assert ("others may write to it" if trouble == "mode" else "it is a link") in doctor.text
    assert folder.stat().st_mode & 0o777 == (0o777 if trouble == "mode" else 0o700)


def test_what_a_collector_gave_up_is_pointed_at(doctor: Doctor) -> None:
    worker = Worker(file_session())
    worker.calls(3)
    worker.ring.data[100] ^= 1
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: not list(Path(runtime()).glob("ring-*")), what="the ring to be reaped")
        found = doctor.json()
        assert found["directories"][0]["quarantine"].startswith(os.environ["RECOST_STATE_DIR"])
        assert found["directories"][0]["quarantine_bytes"] == 160
        assert doctor() == 0
        assert "gave up: " in doctor.text


def test_the_key_is_never_said(doctor: Doctor, dead: Path) -> None:
    content = bytearray(dead.read_bytes())
    for form in ("--json", "--records=9"):
        doctor(form)
        assert "secret" not in doctor.text + doctor.errors
        assert "pw@" not in doctor.text + doctor.errors
    content[layout.SESSION_BLOCK + 3] ^= 1
    dead.write_bytes(content)
    for form in ("--json", "--records=9"):
        assert doctor(form) == 1
        assert "secret" not in doctor.text + doctor.errors


def test_what_is_not_there_is_said_and_the_rest_is_looked_at(doctor: Doctor, dead: Path, tmp_path: Path) -> None:
    assert doctor(tmp_path / "gone", dead, "x" * 5000) == 4
    assert f"cannot look at {tmp_path / 'gone'}: No such file or directory" in doctor.errors
    assert "File name too long" in doctor.errors
    assert "12 readable of those that wait" in doctor.text
    assert doctor("--runtime-dir", tmp_path / "gone") == 4


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["somewhere"], "go with --rings"),
        (["--runtime-dir", "/tmp"], "go with --rings"),
        (["--rings", "--records", "0"], "want a number from 1"),
        (["--rings", "--records", "many"], "want a number from 1"),
        (["--rings", "--runtime-dir", "/tmp", "/tmp"], "exclude each other"),
    ],
)
def test_wrong_usage_is_said_in_a_line(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *arguments])

    assert caught.value.code == 2
    assert text in capsys.readouterr().err.splitlines()[-1]


def test_help_names_every_field_of_the_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recost_collector", "doctor", "--help"], capture_output=True, text=True, check=False
    )
    said = set(re.findall(r"\w+", done.stdout))
    structs = [found for found in vars(ring_facts).values() if isinstance(found, type)]
    fields = {name for struct_ in structs for name in getattr(struct_, "__struct_fields__", ())}
    assert len(fields) > 60
    assert not fields - said
