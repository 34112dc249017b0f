"""``recost-collector top`` on a healthy, an idle, a broken and a hung host."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recost.event import CallEvent, LlmEvent, encode
from recost.ring.layout import HEARTBEAT
from tests.cli.hosts import Command, cloud_session, foreground, leave_window, runtime_files
from tests.collector.collecting import Worker, file_session, runtime, total
from tests.harness import free_port, wait_until

FAST = ("--once", "--interval", "0.7")
"""More than the half second between two commits."""
MS = 1_000_000


def call(worker: Worker, ms: int, status: int = 200, tag: str = "") -> None:
    """A call that openai is asked."""
    path = "/v1/chat/completions"
    event = CallEvent(time.time_ns(), ms * MS, "POST", "https", "api.openai.com", path, status, 10, 20, tag=tag)
    assert worker.writer.offer(encode(event))


def rows(text: str) -> list[list[str]]:
    """The cells of each line."""
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "130")


def test_a_healthy_host_shows_what_all_workers_call_now(top: Command) -> None:
    workers = [Worker(file_session()), Worker(file_session("blog"))]
    with foreground():
        top(*FAST)  # from now on somebody watches
        for worker in workers:
            for ms in (10, 20, 30, 40):
                call(worker, ms, status=500 if ms == 40 else 200, tag="checkout")
        workers[0].call("/v1/things")

        assert top(*FAST) == 0
        for worker in workers:
            worker.leave()

    shown = rows(top.text)
    assert shown[0] == ["all is well: 2 workers, nothing waits"]
    assert shown[1][0].startswith("2 workers")
    assert "9 calls, $0.1600" in top.text
    titles = next(row for row in shown if row[0] == "PROVIDER")
    assert titles == ["PROVIDER", "ENDPOINT", "CALLS/S", "ERR %", "P50", "P95", "COST/S", "CALLS", "ERRORS", "COST"]
    (chat,) = [row for row in shown if row[:2] == ["openai", "chat_completions"]]
    assert float(chat[2]) > 0
    assert chat[3:6] == ["25.0%", "20 ms", "40 ms"]
    assert chat[7:] == ["8", "2", "$0.1600"]
    assert [row[-3] for row in shown if row[0] == "TOTAL"] == ["9"]
    assert [row[-3:] for row in shown if row[0] == "checkout"] == [["8", "2", "$0.1600"]]
    assert {row[-1] for row in shown if row[0] == str(os.getpid())} == {"shop / development", "blog / development"}


def test_models_are_shown_where_there_are_some(top: Command) -> None:
    worker = Worker(file_session())
    event = LlmEvent(time.time_ns(), 20 * MS, "openai", "gpt-4o", 10, 5, 0, cost_pico_usd=2 * 10**10)
    with foreground():
        top(*FAST)
        assert worker.writer.offer(encode(event))

        top(*FAST, "--by", "model")
        worker.leave()

    (row,) = [row for row in rows(top.text) if row[:2] == ["openai", "gpt-4o"]]
    assert row[4:6] == ["20 ms", "20 ms"]
    assert row[-3:] == ["1", "0", "$0.0200"]
    assert "ENDPOINT" not in top.text


def test_an_idle_host_is_said_to_be_idle_and_stays_as_it_was(top: Command) -> None:
    assert top("--once") == 0

    assert top.text.startswith("idle: nothing to collect")
    assert runtime_files() == []


def test_on_a_broken_host_the_trouble_comes_first(top: Command) -> None:
    """A service that does not answer; nobody who collects; a directory that is not ours."""
    leave_window(cloud_session(free_port()))
    assert top("--once") == 3
    assert top.text.startswith("not well: no collector runs although something waits")

    worker = Worker(file_session())
    worker.calls(3)
    assert top(*FAST) == 3
    assert "Nobody collects now" in top.text
    assert [row[2] for row in rows(top.text) if row[0] == str(os.getpid())] == ["3"]
    worker.leave()

    directory = Path(runtime())
    directory.chmod(0o777)
    assert top("--once") == 4
    assert str(directory) in top.errors
    directory.chmod(0o700)


def test_when_the_collector_hangs_the_workers_are_still_shown(top: Command) -> None:
    worker = Worker(file_session())
    with foreground() as process:
        wait_until(lambda: worker.ring.words[HEARTBEAT], what="a heartbeat")
        process.send_signal(signal.SIGSTOP)
        worker.calls(5)

        assert top(*FAST) == 1

        assert top.text.startswith("not well: the collector holds its lock and does nothing")
        assert f"the collector, pid {process.pid}, is stopped or hangs" in top.text
        assert [row[2] for row in rows(top.text) if row[0] == str(os.getpid())] == ["5"]
        process.send_signal(signal.SIGCONT)
        worker.ask_for_flush()
        wait_until(lambda: total() == 5, what="the calls")
        worker.leave()


def test_on_a_terminal_it_stays_until_q_and_gives_the_terminal_back() -> None:
    shown, status = on_terminal(NO_COLOR="")

    assert status == 0
    assert shown.startswith("\x1b[?1049h")
    assert "idle: nothing to collect" in shown
    assert "\x1b[?1049l" in shown
    assert "\x1b[1;32m" in shown, "in green"


def test_no_color_is_no_colour() -> None:
    shown, _ = on_terminal(NO_COLOR="1")

    assert "idle: nothing to collect" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", shown)


def on_terminal(**environ: str) -> tuple[str, int]:
    """All that it writes until q is pressed, after the first frame, and its exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "recost_collector", "top"]
    found = {**os.environ, "TERM": "xterm-256color", **environ}
    if not found.get("NO_COLOR"):
        found.pop("NO_COLOR", None)  # for old versions of rich an empty one counts as well
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=found) as process:
        os.close(theirs)
        shown = b""
        while b"idle" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, b"q")
        while select.select([ours], [], [], 20)[0]:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # nobody has it open any more
                break
        status = process.wait(20)
    os.close(ours)
    return shown.decode(), status


def test_without_rich_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('No module named rich', name='rich')")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "recost_collector", "top", "--once"]

    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)

    assert done.returncode == 4
    assert done.stderr == 'recost-collector top: needs rich, which is not installed: pip install "recost[cli]"\n'
