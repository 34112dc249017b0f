"""``recost-collector flush`` on a healthy, an idle, a broken and a hung host."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from examples.standins import CloudStandIn, Scripted
from recost_collector import asking
from recost_collector.request_box import Request, RequestBox
from tests.cli.hosts import (
    KEY,
    Command,
    cloud_session,
    damage_spool,
    foreground,
    leave_waiting_file,
    leave_window,
    runtime_files,
    stopped,
)
from tests.collector.collecting import Worker, collector, file_session, runtime, spool_dir, total, turn_until
from tests.harness import closed_port, wait_until


def test_an_idle_host_has_nothing_to_deliver_and_stays_as_it_was(flush: Command) -> None:
    assert flush() == 0
    assert flush.text == "nothing to deliver\n"
    assert runtime_files() == []
    assert not os.listdir(os.environ["RECOST_STATE_DIR"])


def test_what_workers_have_recorded_is_delivered_now(flush: Command) -> None:
    """Long before their window would close."""
    workers = [Worker(file_session(project)) for project in ("shop", "blog")]
    with foreground():
        for worker in workers:
            worker.calls(3)

        found = flush.json()

        assert (total("shop"), total("blog")) == (3, 3)
        assert found["exit_code"] == 0
        assert [outcome["delivered"] for outcome in found["replies"][0]["outcomes"]] == [1, 1]
        assert flush() == 0
        assert flush.text == "nothing to deliver\n"
        assert flush.json()["replies"][0]["is_done"], "it answers at once, and not when the time is up"
        workers[0].call()
        assert flush() == 0
        assert flush.text.splitlines()[0] == "all is delivered: 1 window"
        assert total("shop") == 4
        for worker in workers:
            worker.leave()


def test_without_a_collector_the_command_is_one_for_as_long_as_it_takes(flush: Command) -> None:
    worker = Worker(file_session())
    worker.calls(5)

    assert flush() == 0
    assert total() == 5
    assert flush.text.splitlines()[0] == "all is delivered: 1 window"
    assert "requests" not in runtime_files()
    worker.call()  # and it has left the lead
    with collector() as leadership:
        worker.leave()
        turn_until(leadership, lambda: total() == 6, what="the next call")


def test_what_nobodys_spool_holds_is_delivered_too(flush: Command) -> None:
    """As after a reboot: the runtime directory is gone, and with it whose spool that was."""
    leave_waiting_file(calls=3)
    shutil.rmtree(runtime())

    assert flush() == 0
    assert total() == 3


def test_a_window_that_still_waits_is_told_with_its_reason(flush: Command) -> None:
    with closed_port("127.0.0.2") as port, foreground():
        worker = Worker(cloud_session(port), KEY)
        worker.call()

        assert flush() == 1
        headline, counts, why, *_ = flush.text.splitlines()
        assert headline == "not all is delivered: 1 window waits"
        assert counts.startswith("  1 waiting: http://127.0.0.2:")
        assert "no delivery to 127.0.0.2" in why
        worker.leave()


def test_a_refused_window_is_told_with_what_to_do(flush: Command) -> None:
    with CloudStandIn(keys={KEY}, host="127.0.0.2") as service, foreground():
        service.answers.append(422)
        worker = Worker(cloud_session(service.addresses[0][1]), KEY)
        worker.call()

        assert flush() == 1
        assert flush.text.splitlines()[0] == "not all is delivered: 1 window is parked"
        assert "422" in flush.text
        assert "recost-collector spool" in flush.text
        worker.leave()


def test_without_the_key_it_says_that_a_worker_must_bring_it(flush: Command) -> None:
    """Keys are in memory only: after a reboot windows wait for the project's next worker."""
    with closed_port("127.0.0.2") as port:
        leave_window(cloud_session(port), KEY)
    for file in Path(runtime()).glob("key-*"):
        file.unlink()

    assert flush() == 1
    assert "no key is known for it" in flush.text


def test_a_stopped_collector_is_named_in_time(flush: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "PATIENCE_S", 0.3)
    with stopped() as process:
        worker = Worker(file_session())
        worker.call()

        assert flush("--timeout", "0.2") == 4

        assert f"pid {process.pid}, does not answer" in flush.errors
        assert "requests" not in runtime_files(), "who has given up takes its request back"
        process.send_signal(signal.SIGCONT)
        assert flush() == 0
        assert total() == 1
        worker.leave()


def test_ctrl_c_before_the_outcome_is_known_is_no_success(flush: Command) -> None:
    with collector():  # it leads, and does nothing before the end
        worker = Worker(file_session())
        worker.call()
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        presser = threading.Thread(target=lambda: (wait_until(_asked), os.kill(os.getpid(), signal.SIGINT)))
        presser.start()
        try:
            assert flush() == 130
        finally:
            signal.signal(signal.SIGINT, before)
        presser.join()
        assert "requests" not in runtime_files()
        worker.leave()


def test_a_slow_destination_does_not_hold_the_command_up(flush: Command) -> None:
    """The collector answers when the time is up, and goes on."""
    with CloudStandIn(keys={KEY}, host="127.0.0.2") as service, foreground() as process:
        worker = Worker(cloud_session(service.addresses[0][1]), KEY)
        service.script = lambda *_: Scripted(200, delay_s=30)
        worker.call()

        for seconds in ("0", "0.2"):
            assert flush("--timeout", seconds) == 1
            assert "still being tried" in flush.text
        worker.leave()
        process.kill()  # it would wait for the answer


def test_a_worker_that_comes_just_before_the_request_is_part_of_it() -> None:
    with collector() as leadership:
        leadership.turn(0.0)
        worker = Worker(file_session())
        worker.call()
        box = RequestBox(runtime())
        name = box.post(Request("flush", 5.0))
        leadership._desk.look(0)  # of a turn that had looked for rings before

        turn_until(leadership, lambda: box.answer_to(name) is not None, what="the answer")

        answer = box.answer_to(name)
        assert answer is not None
        assert [outcome.delivered for outcome in answer.outcomes] == [1]
        worker.leave()


def test_a_collector_that_dies_over_a_request_is_replaced_by_the_command(flush: Command) -> None:
    worker = Worker(file_session())
    worker.calls(2)
    with stopped() as process:
        killer = threading.Thread(target=lambda: (wait_until(_asked, what="a request"), process.kill()))
        killer.start()

        assert flush() == 0
        assert total() == 2
        killer.join()
        worker.leave()


def test_a_corrupt_spool_is_moved_aside_without_a_traceback(flush: Command) -> None:
    folder = leave_waiting_file()
    damage_spool(folder)
    worker = Worker(file_session())
    worker.call()

    assert flush() == 0
    assert "the spool was corrupt; it is kept as" in flush.errors
    assert "Traceback" not in flush.errors
    assert total() == 1
    worker.leave()


def test_a_runtime_directory_of_somebody_else_is_refused_with_a_clear_message(
    flush: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv("RECOST_RUNTIME_DIR", str(open_to_all))

    assert flush() == 4
    assert str(open_to_all) in flush.errors


def test_hostile_files_among_the_requests_are_set_aside(flush: Command) -> None:
    with collector() as leadership:
        folder = Path(runtime()) / "requests"
        folder.mkdir(mode=0o700)
        (folder / ("0" * 16 + ".ask")).write_bytes(os.urandom(4096))
        (folder / ("1" * 16 + ".ask")).write_text('{"want": "explode"}')
        (folder / ("2" * 16 + ".ask")).mkdir()
        os.mkfifo(folder / ("3" * 16 + ".ask"))
        (folder / ("4" * 16 + ".ask")).symlink_to("/etc/passwd")
        (folder / ("5" * 16 + ".ask")).write_bytes(b"[" * 100_000)
        (folder / ("6" * 16 + ".ask")).write_text('{"want": "flush", "timeout_s": 1e300}')
        os.truncate(folder / ("6" * 16 + ".ask"), 1 << 30)

        turn_until(leadership, lambda: len(list(folder.iterdir())) == 1, what="all but the directory to go")

        box = RequestBox(runtime())
        name = box.post(Request("flush"))
        turn_until(leadership, lambda: box.answer_to(name), what="the answer to a good one beside it")
        shutil.rmtree(folder)


@pytest.mark.parametrize("arguments", [("--timeout", "soon"), ("--timeout", "-1"), ("--timeout", "nan"), ("more",)])
def test_wrong_usage_is_exit_code_2(flush: Command, arguments: tuple[str, ...]) -> None:
    assert flush(*arguments) == 2
    assert "usage:" in flush.errors


def _asked() -> list[Path]:
    return list((Path(runtime()) / "requests").glob("*.ask"))


def test_spool_is_where_it_was(flush: Command) -> None:
    """Leading for a moment makes no second spool."""
    folder = leave_waiting_file()

    assert flush() == 0
    assert spool_dir() == folder
