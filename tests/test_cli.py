"""``recost-collector`` as a user meets it: real processes, exit codes, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recost import session
from recost.paths import make_private_dir, runtime_dirs
from recost.ring.files import create_ring
from recost.ring.layout import MIN_CAPACITY
from recost.session import Registration
from recost_collector.cli import main
from tests.cli import hosts
from tests.collector.collecting import Worker, collector, file_session, runtime, spool_dir, total, turn_until
from tests.harness import END_S, wait_until


def cli(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "recost_collector", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
    )


@pytest.fixture
def foreground() -> Iterator[subprocess.Popen[str]]:
    """``recost-collector run``, leading."""
    with hosts.foreground(stderr=subprocess.PIPE) as process:
        yield process


def test_without_anything_status_says_idle() -> None:
    done = cli("status")

    assert done.returncode == 0
    assert done.stdout.startswith("idle")
    assert not os.listdir(os.environ["RECOST_RUNTIME_DIR"]), "asking leaves nothing"


def test_run_leads_delivers_and_ends_on_sigterm(foreground: subprocess.Popen[str]) -> None:
    worker = Worker(file_session())
    worker.calls(6)
    worker.ask_for_flush()
    wait_until(worker.is_settled, what="the flush")
    assert total() == 6

    foreground.send_signal(signal.SIGTERM)
    assert foreground.wait(END_S) == 0
    assert "leads" in (foreground.stderr.read() if foreground.stderr else "")
    worker.leave()


def test_a_second_run_says_who_leads(foreground: subprocess.Popen[str]) -> None:
    done = cli("run")

    assert done.returncode == 1
    assert f"pid {foreground.pid} (run) already leads" in done.stderr


def test_status_of_a_healthy_host(
    foreground: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts.wait_for_a_slow_collector(monkeypatch)
    status = hosts.Command(capsys, "status")
    worker = Worker(file_session(), api_key=hosts.KEY)
    worker.calls(6)
    worker.ask_for_flush()
    wait_until(worker.is_settled, what="the flush")

    assert status("--json") == 0, status.text
    found = json.loads(status.text)
    assert found["leading"] is True
    assert found["beating"] is True
    assert found["leader"]["pid"] == foreground.pid
    assert [ring["recorded"] for ring in found["rings"]] == [6]
    assert found["rings"][0]["pid"] == os.getpid()
    assert found["destinations"][0]["delivered"] == 1
    assert status() == 0
    assert status.text.startswith("all is well")
    assert "shop" in status.text
    worker.leave()


def test_status_when_the_collector_is_stopped(foreground: subprocess.Popen[str]) -> None:
    worker = Worker(file_session())
    wait_until(lambda: worker.ring.words[520], what="a heartbeat")
    foreground.send_signal(signal.SIGSTOP)
    worker.calls(3)

    done = cli("status")

    assert done.returncode == 1
    assert "does nothing" in done.stdout
    foreground.send_signal(signal.SIGCONT)
    worker.leave()


def test_status_when_nobody_collects_although_something_waits() -> None:
    worker = Worker(file_session())
    worker.calls(3)

    done = cli("status")

    assert done.returncode == 3
    assert "no collector runs" in done.stdout
    worker.leave()
    with collector() as leadership:
        turn_until(leadership, lambda: total() == 3, what="the calls")


def test_status_shows_drops_and_files_that_are_no_rings() -> None:
    worker = Worker(file_session())
    while worker.call():
        pass
    garbage = Path(runtime()) / "ring-garbage"
    garbage.write_bytes(b"nothing")
    with collector() as leadership:
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        found = json.loads(cli("status", "--json").stdout)
        assert found["rings"][0]["dropped"] == 1
        assert "ring-garbage" in found["refused"]
        assert any("ring_bytes" in problem for problem in found["problems"])
        worker.leave()
    garbage.unlink()


@pytest.mark.parametrize("command", [(), ("nonsense",), ("status", "--nonsense"), ("report", "--since", "soon")])
def test_wrong_usage_is_exit_code_2_without_a_traceback(command: tuple[str, ...]) -> None:
    done = cli(*command)

    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_directory_of_somebody_else_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)

    done = cli("status", RECOST_RUNTIME_DIR=str(open_to_all))

    assert done.returncode == 4
    assert str(open_to_all) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_runtime_directory_that_is_a_file_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")

    done = cli("status", RECOST_RUNTIME_DIR=str(path))

    assert done.returncode == 4
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", ["UPDATE destinations SET state = x'c1'", "DROP TABLE frames", hosts.GARBAGE])
def test_status_says_that_a_spool_cannot_be_read(damage: str) -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        worker.leave()
        folder = spool_dir(leadership)
    hosts.damage_spool(folder, damage)

    done = cli("status")

    assert done.returncode == 1, done.stdout
    assert "the spool cannot be read" in done.stdout
    assert "Traceback" not in done.stderr


def test_parked_windows_are_shown_with_the_reason_they_were_parked_for() -> None:
    worker = Worker(file_session())
    with collector() as leadership:
        worker.call()
        worker.ask_for_flush()
        turn_until(leadership, worker.is_settled)
        worker.leave()
        path = spool_dir(leadership) / "spool.sqlite3"
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO frames (destination, key, body, size, parked, status, reason)"
            " SELECT id, 'k', x'00', 1, 1, 404, 'no such project' FROM destinations"
        )
    db.close()

    done = cli("status")

    assert done.returncode == 1
    assert "1 window is parked" in done.stdout
    assert "will not take them: no such project (404)" in done.stdout


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m recost_collector --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_stream_that_the_shell_closed_takes_what_is_written() -> None:
    for closed in (">&-", "2>&-"):
        command = f"{sys.executable} -m recost_collector status {closed}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_is_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "recost_collector", "status"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (4, "recost-collector: no space left on device\n")


@pytest.mark.parametrize(
    ("typed", "said_by", "what"),
    [
        ("stats", "recost-collector", "did you mean status?"),
        ("report --by modle", "recost-collector report", "did you mean model?"),
        ("report --jsn", "recost-collector report", "unrecognized arguments: --jsn; did you mean --json?"),
        ("spool list --parkt", "recost-collector spool list", "did you mean --parked?"),
        ("doctor --bogus", "recost-collector doctor", "unrecognized arguments: --bogus"),
        ("", "recost-collector", "required: COMMAND"),
        ("spool", "recost-collector spool", "required: ACTION"),
    ],
)
def test_a_mistyped_command_is_met_where_it_was_typed(
    typed: str, said_by: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ending:
        main(typed.split())

    assert ending.value.code == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"{said_by}: error: ")
    assert last.endswith(what)


@pytest.mark.parametrize(
    "command", ["", "run", "status", "report", "top", "flush", "spool", "spool list", "doctor", "purge"]
)
def test_help_is_there(command: str) -> None:
    done = cli(*command.split(), "--help")

    assert done.returncode == 0
    assert "usage: recost-collector" in done.stdout


def test_what_a_terminal_cannot_show_becomes_a_question_mark(tmp_path: Path) -> None:
    state = tmp_path / "\N{LATIN SMALL LETTER E WITH ACUTE}tat"
    state.mkdir(mode=0o700)
    (state / "collector.log").touch()

    done = cli("purge", "--yes", RECOST_STATE_DIR=str(state), PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{tmp_path}/?tat/collector.log" in done.stdout
    assert not list(tmp_path.glob("*tat/*"))


def test_status_shows_rings_that_the_runtime_directory_did_not_take(tmp_path: Path) -> None:
    """They are in the temp directory, with a collector of their own."""
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    first, lesser = runtime_dirs({"RECOST_RUNTIME_DIR": str(in_the_way)})
    assert first == str(in_the_way)
    make_private_dir(lesser)
    ring = create_ring(lesser, session.encode(Registration(file_session())), MIN_CAPACITY)
    try:
        done = cli("status", RECOST_RUNTIME_DIR=str(in_the_way))
        assert done.returncode == 3
        assert f"degraded: rings are in {lesser}" in done.stdout
        assert str(in_the_way) in done.stdout
        assert "doctor says why" in done.stdout
        assert "doctor says" not in cli("doctor", RECOST_RUNTIME_DIR=str(in_the_way)).stdout
        assert str(os.getpid()) in done.stdout
        found = json.loads(cli("status", "--json", RECOST_RUNTIME_DIR=str(in_the_way)).stdout)
        assert [ring["pid"] for ring in found["elsewhere"][0]["rings"]] == [os.getpid()]
    finally:
        ring.close()
        shutil.rmtree(lesser)
