"""``recost-collector doctor``: directories and files that are missing, shut, full, open to others or another one's."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from recost import session
from recost.ring import files
from recost.ring.files import create_ring
from recost.ring.layout import MAX_CAPACITY, MIN_CAPACITY
from recost.session import Registration
from recost_collector import host_checkup
from recost_collector.checks import host, places
from tests.cli.hosts import Command, checks, leave_waiting_file
from tests.collector.collecting import file_session, runtime
from tests.unprivileged import as_nobody, as_root, folder_of_all

everybodys = pytest.fixture(folder_of_all)


def test_a_runtime_directory_that_others_may_write_is_refused(doctor: Command) -> None:
    os.chmod(os.environ["RECOST_RUNTIME_DIR"], 0o777)

    assert doctor() == 4
    found = checks(doctor)["runtime directory"]
    assert "its mode is 0777" in found["text"]
    assert "RECOST_RUNTIME_DIR" in found["mend"]


def test_a_local_directory_that_cannot_be_is_named(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(os.environ["HOME"]) / "file"
    file.write_text("")
    monkeypatch.setenv("RECOST_LOCAL_DIR", str(file / "below"))

    assert doctor() == 1
    assert "set RECOST_LOCAL_DIR" in checks(doctor)["local directory"]["mend"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="/proc")
def test_what_permissions_do_not_tell_is_tried(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can make anything in /proc, and root is told that it may."""
    for name in ("LOCAL", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"RECOST_{name}_DIR", f"/proc/{name.lower()}/below")

    assert doctor() == 1
    found = checks(doctor)
    for name, verdict in (("local", "fail"), ("state", "warn"), ("runtime", "fail")):
        check = found[f"{name} directory"]
        assert check["verdict"] == verdict
        assert "/proc takes no new directory (no such file or directory)" in check["text"]
        assert f"RECOST_{name.upper()}_DIR" in check["mend"]


def test_on_a_full_disk_the_mend_is_room(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    os.makedirs(os.environ["RECOST_LOCAL_DIR"], exist_ok=True)

    assert doctor() == 1
    found = checks(doctor)["local directory"]
    assert "no space left on device" in found["text"]
    assert found["mend"].startswith("free some space there")
    assert "RECOST_LOCAL_DIR" not in found["mend"]


def test_what_is_kept_elsewhere_is_said_to_be_in_memory_only_where_it_is(
    doctor: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECOST_STATE_DIR", "/proc/state/below")
    for kinds in (frozenset({"tmpfs"}), frozenset[str]()):
        monkeypatch.setattr(places, "file_system_of", lambda _path: "tmpfs")
        monkeypatch.setattr(places, "VOLATILE", kinds)
        found = checks(doctor)["state directory"]["text"]
        assert ("memory" in found) == bool(kinds)
        assert found.endswith("where a reboot takes it away" if kinds else f"it is in {runtime()}")


def test_a_file_that_takes_no_windows_is_named_and_nothing_is_left_behind(doctor: Command) -> None:
    folder = Path(os.environ["RECOST_LOCAL_DIR"])
    (folder / "default.jsonl").mkdir(parents=True)

    assert doctor() == 1
    assert f"{folder}/default.jsonl cannot be written (is a directory)" in checks(doctor)["local directory"]["text"]
    assert os.listdir(folder) == ["default.jsonl"]


@as_root
def test_without_a_writable_home_it_says_what_to_set(everybodys: Path) -> None:
    home = everybodys / "home"
    home.mkdir(mode=0o755)
    run = everybodys / "run"
    run.mkdir()
    run.chmod(0o777)
    out = everybodys / "out"
    out.touch()
    out.chmod(0o666)

    def ask() -> None:
        os.environ.update(HOME=str(home), RECOST_RUNTIME_DIR=str(run / "mine"))
        del os.environ["RECOST_LOCAL_DIR"], os.environ["RECOST_STATE_DIR"]
        out.write_text(host_checkup.to_json(host_checkup.examine(reach=False, timeout_s=1.0)))

    as_nobody(ask)
    found = json.loads(out.read_text())
    assert found["exit_code"] == 1
    by_name = {check["name"]: check for check in found["checks"]}
    assert "takes no new directory (permission denied)" in by_name["local directory"]["text"]
    assert "set RECOST_LOCAL_DIR" in by_name["local directory"]["mend"]
    assert "set RECOST_STATE_DIR" in by_name["state directory"]["mend"]


def test_too_little_room_for_rings_is_told(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_RING_BYTES", str(MAX_CAPACITY))
    monkeypatch.setattr(files, "SHARE_OF_FREE", 1 << 62)  # as where next to nothing is free

    assert doctor() == 0
    found = checks(doctor)["room for rings"]
    assert found["verdict"] == "warn"
    assert "RECOST_RING_BYTES" in found["mend"]


def test_files_that_others_may_read_are_named(doctor: Command) -> None:
    leave_waiting_file()
    spool_id = Path(runtime()) / "spool-id"
    spool_id.chmod(0o644)

    assert doctor() == 1
    assert str(spool_id) in checks(doctor)["modes"]["text"]


def test_state_in_memory_is_told(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_STATE_DIR", f"{runtime()}/state")

    found = checks(doctor)["after a reboot"]
    assert found["verdict"] == "warn"
    assert "windows that wait (tmpfs)" in found["text"]


def test_a_worker_with_another_runtime_directory_is_found(doctor: Command, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    ring = create_ring(str(tmp_path), session.encode(Registration(file_session())), MIN_CAPACITY)
    try:
        assert host._mapped_rings()[str(tmp_path)] == [os.getpid()]
        found = checks(doctor)["other directory"]
        assert found["verdict"] == "warn"
        assert "RECOST_RUNTIME_DIR=" in found["mend"]
    finally:
        ring.remove()
        ring.close()
