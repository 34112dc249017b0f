"""Ring files: whole or not there, alive by their lock, refused when they are not what they seem."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from recost._forks import close_copies
from recost._mounts import file_system, read_mountinfo
from recost.ring.files import RING_PREFIX, RingFile, create_ring, open_ring
from recost.ring.holes import FILLING
from recost.ring.layout import MAX_SESSION_BYTES, MIN_CAPACITY, PAGE, BadRing
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.ring.rings import OpenRing, payloads, writer_of


def test_a_new_ring_has_its_final_name_its_mode_and_its_registration(tmp_path: Path) -> None:
    ring = create_ring(str(tmp_path), b"registration", 1 << 20)

    assert [path.name for path in tmp_path.iterdir()] == [RING_PREFIX + ring.header.name]
    found = os.stat(ring.path)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert found.st_size == ring.header.file_bytes
    assert found.st_blocks * 512 >= found.st_size, "a hole would be a SIGBUS on a full tmpfs"
    seen = open_ring(ring.path)
    assert seen.session_block == b"registration"
    assert seen.header == ring.header
    assert seen.header.pid == os.getpid()


@pytest.mark.parametrize("free", [1, 2, 3, 4])
def test_with_few_descriptors_left_there_is_a_whole_ring_or_nothing(tmp_path: Path, free: int) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + free, limit[1]))
    try:
        with contextlib.suppress(OSError):
            create_ring(str(tmp_path), b"registration", MIN_CAPACITY).close_lock()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(RING_PREFIX)] == []


def _with_holes(directory: str) -> Path:
    """A ring that another program copied, and left out what is zero."""
    ring = create_ring(directory, b"", 1 << 20)
    path = Path(ring.path)
    header = path.read_bytes()[:PAGE]
    path.unlink()
    path.write_bytes(header)
    os.truncate(path, ring.header.file_bytes)
    ring.close()
    return path


def test_a_hole_in_a_ring_is_filled_before_anybody_looks_at_it() -> None:
    """It would be a SIGBUS where the file system is full."""
    directory = os.environ["RECOST_RUNTIME_DIR"]
    if file_system(os.path.realpath(directory), read_mountinfo()) not in FILLING:
        pytest.skip("this file system has no holes to fill")
    path = _with_holes(directory)
    assert path.stat().st_blocks * 512 < path.stat().st_size

    seen = open_ring(str(path))

    assert path.stat().st_blocks * 512 >= path.stat().st_size
    seen.close()
    path.unlink()


def test_a_ring_with_holes_that_cannot_be_filled_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def have_no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    directory = os.environ["RECOST_RUNTIME_DIR"]
    if file_system(os.path.realpath(directory), read_mountinfo()) not in FILLING:
        pytest.skip("this file system has no holes to fill")
    path = _with_holes(directory)
    monkeypatch.setattr(os, "posix_fallocate", have_no_room)

    with pytest.raises(OSError, match="No space"):
        open_ring(str(path))
    path.unlink()


def test_the_lock_tells_a_living_owner_from_a_dead_one(tmp_path: Path) -> None:
    def own() -> None:
        ring = create_ring(str(tmp_path), b"", MIN_CAPACITY)
        (tmp_path / "ready").touch()
        os.read(wait_for, 1)
        del ring

    wait_for, let_go = os.pipe()
    child = start_child(own)
    wait_until((tmp_path / "ready").exists, what="the ring")
    seen = open_ring(str(next(tmp_path.glob(f"{RING_PREFIX}*"))))

    assert not seen.owner_gone()
    os.kill(child, 9)
    assert wait_for_child(child) == -9
    assert seen.owner_gone()
    os.close(wait_for)
    os.close(let_go)


def test_closing_another_view_of_the_file_does_not_drop_the_lock(tmp_path: Path) -> None:
    """Which it would with fcntl's record locks."""
    ring = OpenRing(tmp_path)
    for _ in range(3):
        ring.owned.memory.find(b"x")
        open_ring(ring.owned.path).close()

    assert run_child(lambda: _expect_alive(ring.owned.path)) == 0


def _expect_alive(path: str) -> None:
    assert not open_ring(path).owner_gone()


def test_a_child_that_closes_its_copy_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    """A child of ``os.fork`` does so by itself."""
    ring = OpenRing(tmp_path)

    def child() -> None:
        close_copies()
        assert not ring.owned.lock_is_ours()
        assert not ring.seen.owner_gone()

    assert run_child(child) == 0
    assert not ring.seen.owner_gone()


def test_in_a_program_that_closed_its_stdio_no_file_of_ours_takes_its_numbers(tmp_path: Path) -> None:
    def child() -> None:
        os.closerange(0, 3)
        ring = create_ring(str(tmp_path), b"", MIN_CAPACITY)
        free = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
        assert free == [0, 1, 2], free
        assert ring.lock_fd >= 16

    assert run_child(child) == 0


def test_files_that_got_the_numbers_of_descriptors_that_the_program_closed_stay_open(tmp_path: Path) -> None:
    """Also when the mapping is freed, which has a descriptor of its own up to Python 3.12."""

    def child() -> None:
        gc.freeze()  # garbage of earlier tests must not close what has its numbers by then
        ring = create_ring(str(tmp_path), b"", MIN_CAPACITY)
        lock_fd = ring.lock_fd
        os.closerange(3, lock_fd + 64)
        files = [tempfile.TemporaryFile() for _ in range(lock_fd + 16)]  # noqa: SIM115 - the program keeps them open
        assert lock_fd in [file.fileno() for file in files]
        assert not ring.lock_is_ours()
        ring.close_lock()
        ring.close()
        del ring
        gc.collect()
        for file in files:
            os.fstat(file.fileno())

    assert run_child(child) == 0


def test_a_lock_closes_once(tmp_path: Path) -> None:
    ring = create_ring(str(tmp_path), b"", MIN_CAPACITY)
    assert ring.lock_is_ours()
    ring.close_lock()
    ring.close_lock()
    assert not ring.lock_is_ours()


@pytest.fixture
def small_tmpfs(tmp_path: Path) -> Path:
    """A tmpfs of 1 MiB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no right to mount: {made.stderr.decode().strip()}")
    return folder


def test_on_a_small_file_system_rings_get_small_then_fail_with_a_clear_error(small_tmpfs: Path) -> None:
    rings: list[RingFile] = []
    try:
        with pytest.raises(OSError, match="No space") as caught:
            _create_rings(str(small_tmpfs), rings)
        assert caught.value.errno == errno.ENOSPC
        assert rings
        assert all(ring.header.capacity == MIN_CAPACITY for ring in rings)
        assert {path.name for path in small_tmpfs.iterdir()} == {RING_PREFIX + ring.header.name for ring in rings}
        for ring in rings:  # every byte has its block: a store into a hole would end this process
            assert writer_of(ring).offer(b"x" * 1000)
            ring.data[-8:] = b"lastword"
    finally:
        for ring in rings:
            os.close(ring.lock_fd)
        subprocess.run(["umount", "-l", str(small_tmpfs)], check=True)


def _create_rings(directory: str, into: list[RingFile]) -> None:
    for _ in range(100):
        ring = create_ring(directory, b"", 1 << 20)
        into.append(ring)


def test_a_ring_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    link = tmp_path / "ring-link"
    link.symlink_to(ring.owned.path)

    with pytest.raises(OSError, match="symbolic links"):
        open_ring(str(link))


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ring-x"
    path.mkdir() if kind == "directory" else os.mkfifo(path)

    with pytest.raises((BadRing, OSError)):
        open_ring(str(path))


def test_the_descriptor_is_not_inherited_by_programs(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    assert fcntl.fcntl(ring.owned.lock_fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    code = "import os, sys; sys.exit(any(os.path.realpath(f'/proc/self/fd/{n}') == sys.argv[1] for n in range(64)))"
    assert subprocess.run([sys.executable, "-c", code, ring.owned.path], check=False).returncode == 0


def test_both_ends_see_the_same_records(tmp_path: Path) -> None:
    ring = OpenRing(tmp_path)
    ring.writer.offer(b"over the file")

    assert payloads(ring.reader) == [b"over the file"]


def test_settings_that_no_collector_would_read_make_no_ring(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="custom_providers") as caught:
        create_ring(str(tmp_path), bytes(MAX_SESSION_BYTES + 1), 1 << 16)
    assert caught.value.errno == errno.EFBIG
    assert not os.listdir(tmp_path)
