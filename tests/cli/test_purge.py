"""``recost-collector purge`` on a healthy, an idle, a broken and a hung host."""

from __future__ import annotations

import os
from pathlib import Path

from recost_collector import belongings
from recost_collector.purge import _remove_all
from tests.cli.hosts import (
    Command,
    damage_spool,
    foreground,
    leave_waiting_file,
    runtime_files,
    stopped,
)
from tests.collector.collecting import Worker, collector, file_session, runtime, total, turn_until
from tests.harness import wait_until


def _all_files() -> list[str]:
    """Below the directories of this test, but for the telemetry."""
    roots = [os.environ[name] for name in ("RECOST_RUNTIME_DIR", "RECOST_STATE_DIR")]
    return [os.path.join(above, name) for root in roots for above, _, names in os.walk(root) for name in names]


def test_an_idle_host_has_nothing(purge: Command) -> None:
    assert purge() == 0
    assert purge.text == "no files of recost\n"
    assert purge("--yes") == 0


def test_it_lists_what_there_is_and_what_would_be_lost_and_removes_nothing(purge: Command) -> None:
    leave_waiting_file(calls=3)
    assert purge() == 0
    before = _all_files()

    assert purge() == 0

    assert _all_files() == before
    assert "what would be lost: 1 window not delivered yet" in purge.text
    assert f"--yes removes {len(before)} files" in purge.text
    assert "spool.sqlite3" in purge.text
    found = purge.json()
    assert found["windows_waiting"] == 1
    assert sorted(file["path"] for folder in found["folders"] for file in folder["files"]) == sorted(before)


def test_yes_removes_all_but_telemetry_and_what_is_not_ours(purge: Command, flush: Command) -> None:
    session = file_session()
    worker = Worker(session)
    worker.calls(3)
    assert flush() == 0
    worker.leave()
    mine = Path(os.environ["RECOST_STATE_DIR"]) / "notes.txt"
    mine.write_text("mine")

    assert purge("--yes") == 0

    assert "kept, --local removes them, too: telemetry" in purge.text
    assert _all_files() == [str(mine)]
    assert total() == 3


def test_local_removes_telemetry_and_no_other_lines(purge: Command, flush: Command) -> None:
    worker = Worker(file_session())
    worker.call()
    assert flush() == 0
    worker.leave()
    local = Path(os.environ["RECOST_LOCAL_DIR"])
    (local / "training.jsonl").write_text('{"prompt": "mine"}\n')

    assert purge("--local", "--yes") == 0
    assert [file.name for file in local.iterdir()] == ["training.jsonl"]


def test_it_refuses_while_somebody_is_at_work(purge: Command, flush: Command) -> None:
    with foreground() as process:
        worker = Worker(file_session())
        worker.call()
        wait_until(lambda: flush() == 0 and total() == 1, what="the flush")

        assert purge("--yes") == 1
        assert f"still at work: collector {process.pid}, worker {os.getpid()}" in purge.text
        assert total() == 1
        worker.leave()


def test_a_worker_alone_is_enough_to_refuse(purge: Command) -> None:
    worker = Worker(file_session())
    worker.calls(2)

    assert purge("--yes") == 1
    assert f"still at work: worker {os.getpid()}" in purge.text
    assert "of calls in rings that nobody has collected" in purge.text
    worker.leave()
    assert purge("--yes") == 0
    assert _all_files() == []


def test_a_stopped_collector_does_not_hold_it_up(purge: Command) -> None:
    leave_waiting_file()
    with stopped() as process:
        assert purge("--yes") == 1
        assert f"collector {process.pid}" in purge.text
        assert purge("--yes", "--force") == 0
        assert runtime_files() == []
        process.kill()


def test_what_is_damaged_goes_too(purge: Command) -> None:
    folder = leave_waiting_file()
    damage_spool(folder)
    (Path(os.environ["RECOST_RUNTIME_DIR"]) / f"ring-{'0' * 32}").write_bytes(os.urandom(9000))

    assert purge("--yes") == 0
    assert _all_files() == []


def test_a_linked_directory_is_not_entered(purge: Command, tmp_path: Path) -> None:
    """Somebody's files under our names, reached by a link, are not ours."""
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (target / "spool.sqlite3").write_text("")
    (Path(os.environ["RECOST_STATE_DIR"]) / ("a" * 16)).symlink_to(target)

    assert purge("--yes") == 0
    assert (target / "spool.sqlite3").exists()


def test_files_whose_names_only_resemble_ours_stay(purge: Command) -> None:
    """A setting may name a directory of the user's as the place for rings."""
    folder = Path(runtime())
    names = ["key-backup.pem", "new-report.txt", "ring-of-fire.mp3", "mark-twain.txt", "wake", "leader.json.bak"]
    for name in names:
        (folder / name).write_text("mine")
    spool = Path(os.environ["RECOST_STATE_DIR"]) / ("a" * 16)
    spool.mkdir(mode=0o700, parents=True)
    (spool / "letter.intent").write_text("mine")
    unfinished = spool / f"{'a' * 20}.intent.new"
    unfinished.touch()

    assert purge("--yes") == 0
    assert purge.text.splitlines()[1:] == [f"  {unfinished}  0 B", "removed: 1 file"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(names)
    assert (spool / "letter.intent").exists()


def test_a_collector_that_starts_after_the_look_keeps_its_spool() -> None:
    leave_waiting_file()
    folders = belongings.find(local=False)
    with collector() as leadership:
        failed = _remove_all(folders, force=False)

        assert failed == dict.fromkeys((runtime(), leadership.state_dir), "a collector has just started there")
        assert (Path(leadership.state_dir) / "spool.sqlite3").exists()
        turn_until(leadership, total, what="the window that waited")
