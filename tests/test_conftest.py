"""The net under the suite: a pytest of its own runs a test that leaves something behind, and fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import leaks
from tests.harness import wait_until

ROOT = Path(__file__).parents[1]

HEAD = """
import os, subprocess, sys, threading, time
from tests import leaks
from tests.harness import run_child, start_child

leaks.GRACE_S = 0.5
SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
"""

LEAVING = """
def test_process():
    print("PID of process:", subprocess.Popen(SLEEP).pid)

def test_daemon():
    code = f"import subprocess; print('PID of daemon:', subprocess.Popen({SLEEP!r}, start_new_session=True).pid)"
    subprocess.run([sys.executable, "-c", code], check=True)

def test_daemon_without_environment(place):
    with open(place.runtime / "lock", "w") as lock:
        start = f"subprocess.Popen({SLEEP!r}, pass_fds=[{lock.fileno()}])"
        code = f"import subprocess; print('PID of daemon_without_environment:', {start}.pid)"
        subprocess.run([sys.executable, "-c", code], check=True, env={}, pass_fds=[lock.fileno()])

def test_forked():
    print("PID of forked:", start_child(lambda: time.sleep(60)))

def test_not_waited_for():
    print("PID of not_waited_for:", start_child(int))

def test_that_is_tidy():
    pass
"""


def run_pytest(folder: Path, test: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_inner.py").write_text(HEAD + textwrap.dedent(test))
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    outside = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [*command, "-s", "-c", os.devnull, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**outside, "PYTHONPATH": f"{ROOT}:{ROOT / 'collector'}", **environ},
        timeout=120,
    )


def is_gone(pid: int) -> bool:
    """No such process, or a dead orphan that init has not reaped."""
    try:
        return ") Z " in (leaks.PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or before it was read
        return True


def found(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    assert match, text
    return match.groups()


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A run of tests that each leave a process, and of one that does not."""
    return run_pytest(tmp_path_factory.mktemp("left"), LEAVING)


@pytest.mark.skipif(not leaks.PROC.exists(), reason="looks at /proc")
@pytest.mark.parametrize("what", ["process", "daemon", "daemon_without_environment", "forked", "not_waited_for"])
def test_a_test_that_leaves_a_process_fails_with_its_pid_and_ends_it(left: subprocess.CompletedProcess[str], what: str):
    assert left.returncode == pytest.ExitCode.TESTS_FAILED, left.stdout
    pid = int(found(rf"PID of {what}: (\d+)", left.stdout)[0])
    told = left.stdout.partition(f"ERROR at teardown of test_{what} ")[2].partition("ERROR at")[0]
    assert f"process {pid}:" in told, left.stdout
    wait_until(lambda: is_gone(pid), what=f"{pid} to be gone")


@pytest.mark.skipif(not leaks.PROC.exists(), reason="looks at /proc")
def test_nobody_else_fails_for_what_a_test_leaves(left: subprocess.CompletedProcess[str]):
    assert found(r"(\d+) passed, (\d+) errors", left.stdout) == ("6", "5")


def test_a_test_that_leaves_capture_on_fails_alone(tmp_path: Path):
    ran = run_pytest(
        tmp_path,
        """
        import recost

        def test_it():
            recost.init(enabled=True, collector="external")

        def test_another():
            assert not recost.is_installed()
        """,
    )

    assert "capture is on, for <function record" in ran.stdout
    assert found(r"(\d+) passed, (\d+) error", ran.stdout) == ("2", "1")


def test_a_test_that_leaves_a_thread_fails(tmp_path: Path):
    ran = run_pytest(
        tmp_path,
        """
        def test_it():
            threading.Thread(target=threading.main_thread().join, name="straggler").start()
        """,
    )

    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert "thread straggler" in ran.stdout


def test_a_tidy_test_passes_and_its_folders_go(tmp_path: Path):
    """The control: what leaves in time is no leak, a daemon thread neither."""
    ran = run_pytest(
        tmp_path,
        """
        def test_it(place):
            leaks.GRACE_S = 60
            assert os.environ["RECOST_RUNTIME_DIR"] == str(place.runtime)
            assert not any(any(folder.iterdir()) for folder in place)
            print("PLACE", place.runtime, place.home)
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.2)"]).wait()
            threading.Thread(target=time.sleep, args=[0.1]).start()
            threading.Thread(target=time.sleep, args=[60], daemon=True).start()
            assert run_child(lambda: os._exit(7)) == 7
            assert run_child(lambda: 1 / 0) == 1
            assert run_child(lambda: os.kill(os.getpid(), 9)) == -9
            assert run_child(lambda: os.kill(os.getpid(), 15)) == -15
        """,
    )

    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    folders = found(r"PLACE (\S+) (\S+)", ran.stdout)
    assert [Path(folder).parents[2].exists() for folder in folders] == [False, False]


def test_a_run_that_is_ended_by_sigterm_ends_in_order(tmp_path: Path):
    """As by Ctrl-C, which a gate that takes too long does not get."""
    ran = run_pytest(
        tmp_path,
        """
        def test_it(place):
            print("PLACE", place.runtime, place.home)
            os.kill(os.getpid(), 15)
            threading.Event().wait()
        """,
    )

    assert ran.returncode == pytest.ExitCode.INTERRUPTED, ran.stdout
    folders = found(r"PLACE (\S+) (\S+)", ran.stdout)
    assert [Path(folder).parents[2].exists() for folder in folders] == [False, False]


def test_what_a_fixture_of_the_module_started_is_no_leak_of_the_tests(tmp_path: Path):
    """Not even of the one that runs in the same hundredth of a second: start times are known no finer."""
    ran = run_pytest(
        tmp_path,
        """
        import pytest

        @pytest.fixture(scope="module")
        def process():
            with subprocess.Popen(SLEEP) as process:
                yield process
                process.kill()

        def test_one(process):
            leaks.GRACE_S = 60

        def test_another(process):
            assert process.poll() is None
        """,
    )

    assert ran.returncode == pytest.ExitCode.OK, ran.stdout


def test_processes_of_one_tick_are_told_apart_by_their_pids():
    moment = leaks.Moment(ticks=100, last_pid=50)

    began = [moment.is_before(pid, ticks) for pid, ticks in [(40, 99), (60, 99), (50, 100), (51, 100), (40, 101)]]

    assert began == [False, False, False, True, True]


def test_a_runtime_directory_outside_the_test_s_own_place_is_seen(tmp_path: Path):
    before = leaks.look("no such mark", shared_memory=tmp_path)
    stray = tmp_path / f"recost-{os.geteuid()}-v1"
    stray.mkdir()
    (stray / "ring-1").touch()
    (tmp_path / "recost-test-00000000").mkdir()  # a run of the suite

    left = leaks.look("no such mark", shared_memory=tmp_path).without(before)

    assert left.directories == {stray}
    assert str(left) == f"directory {stray}: ['ring-1']"


def test_settings_of_the_shell_do_not_reach_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RECOST_API_KEY", "rc-somebody")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")

    ran = run_pytest(
        tmp_path,
        """
        def test_it():
            assert "https_proxy" not in os.environ
            assert sorted(n for n in os.environ if n.startswith("RECOST_")) == [
                "RECOST_LOCAL_DIR", "RECOST_RUNTIME_DIR", "RECOST_STATE_DIR"
            ]
        """,
    )

    assert ran.returncode == pytest.ExitCode.OK, ran.stdout


@pytest.mark.parametrize(("environ", "code"), [({"CI": "true"}, 5), ({}, 0)], ids=["gate", "by_hand"])
def test_a_gate_in_which_every_test_was_skipped_fails(tmp_path: Path, environ: dict[str, str], code: int):
    """By hand it is what was asked for."""
    ran = run_pytest(tmp_path, "def test_it():\n    __import__('pytest').skip()", **environ)

    assert ran.returncode == code, ran.stdout
