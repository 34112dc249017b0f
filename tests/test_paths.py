from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from recost import origins, paths
from recost.paths import runtime_dir, runtime_dirs
from tests.harness import run_child
from tests.unprivileged import NOBODY, as_nobody, as_root, folder_of_all

open_place = pytest.fixture(folder_of_all)

BOOT = origins.boot_id().hex()[:8]
UID = os.geteuid()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_runtime_directory_is_the_chosen_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    assert runtime_dir({"RECOST_RUNTIME_DIR": "/x/../run/"}) == "/run"
    assert runtime_dir({"RECOST_RUNTIME_DIR": "here"}) == str(tmp_path / "here")
    assert runtime_dir({"RECOST_RUNTIME_DIR": "~/run", "HOME": str(tmp_path)}) == str(tmp_path / "run")


def test_a_relative_directory_has_a_place_when_the_working_directory_is_gone(tmp_path: Path):
    def child() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        assert runtime_dir({"RECOST_RUNTIME_DIR": "run"}) == "/run"

    assert run_child(child) == 0


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory here")
def test_the_runtime_directory_is_in_shared_memory_by_default():
    for environ in ({}, {"RECOST_RUNTIME_DIR": " "}, {"TMPDIR": "/var/tmp"}):
        assert runtime_dir(environ) == f"/dev/shm/recost-{UID}-v1"
        assert runtime_dirs(environ)[1] == f"/tmp/recost-{UID}-v1-{BOOT}"


def test_without_shared_memory_it_is_in_the_temp_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "SHARED_MEMORY", str(tmp_path / "none"))

    assert runtime_dirs({"TMPDIR": str(tmp_path)}) == [str(tmp_path / f"recost-{UID}-v1-{BOOT}")]
    assert runtime_dirs({"TMPDIR": "relative", "TEMP": "/nowhere"}) == [f"/tmp/recost-{UID}-v1-{BOOT}"]


def test_two_runtime_directories_have_two_fallbacks():
    one, two = (runtime_dirs({"RECOST_RUNTIME_DIR": path}) for path in ("/run/one", "/run/two"))

    assert [one[0], two[0]] == ["/run/one", "/run/two"]
    assert len({*one, *two, *runtime_dirs({})}) == 6


def test_deciding_makes_nothing(tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    environ = {"HOME": str(home), "RECOST_RUNTIME_DIR": str(tmp_path / "run")}

    runtime_dirs(environ)
    assert paths.state_dir(environ) == (str(home / ".recost" / "state"), "")
    assert paths.local_dir(environ) == str(home / ".recost" / "local-telemetry")

    assert list(home.iterdir()) == []
    assert list(tmp_path.iterdir()) == [home]


def test_state_and_local_directory_can_be_chosen(tmp_path: Path):
    environ = {"RECOST_STATE_DIR": f"{tmp_path}/a/state/", "RECOST_LOCAL_DIR": f"{tmp_path}/b"}

    assert paths.state_dir(environ) == (f"{tmp_path}/a/state", "")
    assert paths.local_dir(environ) == f"{tmp_path}/b"


def test_a_home_that_is_not_there_is_the_one_of_the_password_database():
    known = pwd.getpwuid(UID).pw_dir

    for home in ("", "relative", "/nowhere/at/all"):
        assert paths.home_dir({"HOME": home}) == known


@as_root
def test_a_home_of_somebody_else_is_not_ours_after_privileges_were_dropped(open_place: Path):
    theirs = open_place / "root"
    theirs.mkdir()
    ours = open_place / "ours"
    ours.mkdir()
    os.chown(ours, NOBODY, NOBODY)

    def run() -> None:
        assert paths.home_dir({"HOME": str(theirs)}) == pwd.getpwuid(NOBODY).pw_dir
        assert paths.home_dir({"HOME": str(ours)}) == str(ours)

    as_nobody(run)


@as_root
def test_a_home_counts_when_its_recost_folder_alone_is_writable(open_place: Path):
    """A container with a read-only home and a volume in it."""
    folder = open_place / ".recost"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)

    def run() -> None:
        assert paths.home_dir({"HOME": str(open_place)}) == str(open_place)
        assert paths.state_dir({"HOME": str(open_place)}) == (f"{open_place}/.recost/state", "")

    as_nobody(run)


@as_root
def test_a_state_directory_that_cannot_be_made_is_replaced_and_said(open_place: Path, monkeypatch: pytest.MonkeyPatch):
    lasting = open_place / "lasting"
    lasting.mkdir(mode=0o777)
    lasting.chmod(0o1777)
    monkeypatch.setattr(paths, "LASTING_TEMP", str(lasting))

    def run() -> None:
        path, degraded = paths.state_dir({"RECOST_STATE_DIR": f"{open_place}/no/state"})
        assert path == f"{lasting}/recost-{NOBODY}"
        assert degraded == (
            f"state is kept in {path}: {open_place} is not writable;"
            " set RECOST_STATE_DIR to a directory of this user on a local disk"
        )

    as_nobody(run)


def test_a_state_directory_that_is_not_ours_alone_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "LASTING_TEMP", str(tmp_path))
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)

    path, degraded = paths.state_dir({"RECOST_STATE_DIR": str(state)})

    assert path == str(tmp_path / f"recost-{UID}")
    assert "its mode is 0777, others may write to it" in degraded
    assert mode_of(state) == 0o777


def test_state_goes_to_the_runtime_directory_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(paths, "LASTING_TEMP", str(tmp_path))
    (tmp_path / f"recost-{UID}").symlink_to(tmp_path)
    (tmp_path / "state").write_text("a file")

    environ = {"RECOST_STATE_DIR": str(tmp_path / "state"), "RECOST_RUNTIME_DIR": str(tmp_path / "run")}
    path, degraded = paths.state_dir(environ)

    assert path == str(tmp_path / "run")
    assert "it is no directory" in degraded
    assert "it is a link" in degraded


def test_state_does_not_stay_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mounts = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {tmp_path}/nas rw - nfs4 nas:/ rw\n"
    monkeypatch.setattr(paths, "read_mountinfo", lambda: mounts)
    monkeypatch.setattr(paths, "LASTING_TEMP", str(tmp_path))
    (tmp_path / "nas").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "nas")

    path, degraded = paths.state_dir({"HOME": str(tmp_path / "home")})

    assert path == str(tmp_path / f"recost-{UID}")
    assert "is on a network file system (nfs4)" in degraded
    assert "set RECOST_STATE_DIR" in degraded


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_boot_id_is_the_kernels():
    said = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", "")

    assert origins.boot_id().hex() == said
    assert len(origins.boot_id()) == 16


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_namespaces_are_inodes():
    assert origins.pid_namespace() == os.stat("/proc/self/ns/pid").st_ino > 0
    assert origins.mount_namespace() == os.stat("/proc/self/ns/mnt").st_ino > 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_a_process_has_the_same_start_time_whatever_its_name():
    """The name in /proc/PID/stat may hold brackets and spaces."""
    began = origins.process_start(os.getpid())

    def child() -> None:
        mine = origins.process_start(os.getpid())
        Path("/proc/self/comm").write_text("a) R 1 (b c")
        assert origins.process_start(os.getpid()) == mine >= began > 0

    assert run_child(child) == 0


def test_a_process_that_is_gone_has_no_start_time():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert origins.process_start(child.pid) == 0
    assert origins.process_start(0) == 0
