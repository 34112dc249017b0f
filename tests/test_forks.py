"""Descriptors of which a forked child keeps no copy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import recost  # its hook closes the copies  # noqa: F401
from recost._forks import close_copies, open_unshared
from recost._spawn import SpawnLock
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import ROOT, Mail

FIRST_READ = """
import sys
from recost.leader import Leader, read_leader, write_leader
write_leader(sys.argv[1], Leader(1, 2, 3, "0", "spawned", 4, "here"))
called = []
sys.setprofile(lambda frame, event, _: event == "call" and called.append(frame.f_code.co_filename))
found = read_leader(sys.argv[1])
sys.setprofile(None)
assert found.epoch == 4
assert not [name for name in called if "msgspec" in name or "typing" in name], called
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lock"
    path.touch()
    return path


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _copies(path: Path) -> int:
    """How often this process has ``path`` open."""
    found = os.stat(path)
    count = 0
    for number in range(256):
        try:
            count += os.path.samestat(os.fstat(number), found)
        except OSError:
            continue
    return count


def _is_free(directory: str) -> bool:
    with SpawnLock(directory) as lock:
        return lock.taken


def test_a_child_has_no_copy_and_its_parent_keeps_the_file_open(file: Path) -> None:
    (fd,) = open_unshared(lambda: (_open(file),))

    def child() -> None:
        assert _copies(file) == 0

    assert run_child(child) == 0
    assert _copies(file) == 1
    os.close(fd)


def test_a_file_that_is_opened_amid_a_fork_is_opened_anew(file: Path) -> None:
    """The child of that fork has a copy of the first, which nobody will lock."""
    children: list[int] = []

    def open_amid_a_fork() -> tuple[int, ...]:
        fd = _open(file)
        if not children:
            children.append(start_child(over.wait))
        opened.append(fd)
        return (fd,)

    with Mail() as over:
        opened: list[int] = []
        (fd,) = open_unshared(open_amid_a_fork)
        assert len(opened) == 2
        assert _copies(file) == 1
        over.put()
        assert [wait_for_child(pid) for pid in children] == [0]
    os.close(fd)


def test_what_a_process_has_opened_itself_stays_open(file: Path) -> None:
    def child() -> None:
        fds = open_unshared(lambda: (_open(file), _open(file)))
        close_copies()
        assert _copies(file) == len(fds)

    assert run_child(child) == 0


def test_a_number_that_is_another_files_by_now_stays_open(file: Path, tmp_path: Path) -> None:
    (fd,) = open_unshared(lambda: (_open(file),))
    os.close(fd)
    other = tmp_path / "other"
    other.touch()
    assert _open(other) == fd

    def child() -> None:
        assert _copies(other) == 1

    assert run_child(child) == 0
    os.close(fd)


def test_the_spawn_lock_of_a_worker_that_is_killed_is_free_while_its_children_live(tmp_path: Path) -> None:
    with Mail() as over, Mail() as born:

        def parent() -> None:
            lock = SpawnLock(str(tmp_path))
            assert lock.taken
            born.put(str(start_child(over.wait)).encode())
            os._exit(0)

        assert run_child(parent) == 0
        child = int(born.take())
        wait_until(lambda: _is_free(str(tmp_path)), what="the child to know that it is one")
        os.kill(child, 0)  # it lives
        over.put()


def test_who_reads_for_the_first_time_who_leads_prepares_no_type(tmp_path: Path) -> None:
    """A child that is forked while another thread prepares one for msgspec ends with a segmentation fault."""
    subprocess.run([sys.executable, "-c", FIRST_READ, str(tmp_path)], check=True, cwd=ROOT)
