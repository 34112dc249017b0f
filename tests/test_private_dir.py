from __future__ import annotations

import os
import pickle
import stat
import threading
from pathlib import Path

import pytest

from recost.paths import PrivateDirError, make_dirs, make_private_dir, open_private_dir, state_dir
from tests.unprivileged import NOBODY, as_nobody, as_root, folder_of_all

open_place = pytest.fixture(folder_of_all)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_directory_is_made_with_its_parents(tmp_path: Path):
    path = tmp_path / "a" / "b"
    old = os.umask(0o177)  # as some daemons have it
    try:
        os.close(open_private_dir(str(path)))
    finally:
        os.umask(old)

    assert mode_of(path) == 0o700


def test_parents_are_private_too(tmp_path: Path):
    old = os.umask(0)
    try:
        make_private_dir(f"{tmp_path}/a/b/c/")
    finally:
        os.umask(old)

    assert [mode_of(tmp_path / name) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_the_descriptor_is_the_directory_and_is_not_inherited(tmp_path: Path):
    fd = open_private_dir(str(tmp_path / "a"))
    try:
        assert os.path.samestat(os.fstat(fd), os.stat(tmp_path / "a"))
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o500, 0o700, 0o2755])
def test_a_directory_that_others_may_only_read_becomes_private(tmp_path: Path, mode: int):
    tmp_path.chmod(mode)

    make_private_dir(str(tmp_path))

    assert mode_of(tmp_path) & 0o777 == 0o700


@pytest.mark.parametrize("above", [".", "below/of/it"])
def test_a_home_or_what_is_above_one_is_refused_and_stays_as_it_was(
    tmp_path: Path, above: str, monkeypatch: pytest.MonkeyPatch
):
    """A slip in a setting (``RECOST_STATE_DIR=/``) must not lock everybody else out of a whole machine."""
    (tmp_path / above).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / above))
    tmp_path.chmod(0o755)

    with pytest.raises(PrivateDirError, match="more than recost's is in it"):
        make_private_dir(str(tmp_path))

    assert mode_of(tmp_path) == 0o755
    tmp_path.chmod(0o700)
    make_private_dir(str(tmp_path))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path, mode: int):
    """They can have put files in it: it does not become good by a chmod."""
    path = tmp_path / "shared"
    path.mkdir()
    path.chmod(mode)

    with pytest.raises(PrivateDirError, match=f"its mode is {mode:04o}.*RECOST_RUNTIME_DIR") as raised:
        make_private_dir(str(path))

    assert raised.value.filename == str(path)
    assert mode_of(path) == mode


@as_root
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path):
    path = tmp_path / "theirs"
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY, NOBODY)

    with pytest.raises(PrivateDirError, match=f"owned by uid {NOBODY}: want a directory of uid 0 alone") as raised:
        make_private_dir(str(path))

    assert str(path) in str(raised.value)
    assert mode_of(path) == 0o700


@as_root
def test_a_directory_of_root_is_refused_by_others(open_place: Path):
    def run() -> None:
        with pytest.raises(PrivateDirError, match="owned by uid 0: want a directory of uid 65534 alone"):
            open_private_dir(str(open_place))

    as_nobody(run)


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/."])
def test_a_link_is_refused_even_to_a_directory_of_ours(tmp_path: Path, spelling: str):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(PrivateDirError, match="refused, it is a link"):
        make_private_dir(spelling.format(tmp_path / "link"))


def test_a_dangling_link_is_refused_and_not_followed(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "made")

    with pytest.raises(PrivateDirError, match="it is a link"):
        make_private_dir(str(tmp_path / "link"))
    with pytest.raises(FileNotFoundError):
        make_private_dir(str(tmp_path / "link" / "below"))
    assert not (tmp_path / "made").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("x")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PrivateDirError, match="no directory") as raised:
            make_private_dir(str(path))
        assert raised.value.filename == str(path)


@as_root
def test_a_place_that_may_not_be_written_is_the_systems_own_error(open_place: Path):
    def run() -> None:
        with pytest.raises(PermissionError):
            open_private_dir(str(open_place / "mine"))

    as_nobody(run)


def test_many_threads_make_the_same_directory(tmp_path: Path):
    """And its parents: whoever is slower finds what is there."""
    for attempt in range(20):
        path = tmp_path / str(attempt) / "a" / "b" / "c"
        start = threading.Barrier(8)
        failed: list[OSError] = []

        def make(path=path, start=start, failed=failed) -> None:
            start.wait()
            try:
                make_dirs(str(path))
            except OSError as exc:
                failed.append(exc)

        threads = [threading.Thread(target=make) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert path.is_dir()


def test_a_refusal_survives_a_pickle():
    error = PrivateDirError("/x", "it is a link")
    twin = pickle.loads(pickle.dumps(error))

    assert (str(twin), twin.filename, twin.errno, twin.found) == (str(error), "/x", error.errno, "it is a link")


def test_no_descriptor_is_left_by_a_refusal(tmp_path: Path):
    tmp_path.chmod(0o777)
    before = os.listdir("/proc/self/fd")

    for _ in range(10):
        with pytest.raises(PrivateDirError):
            open_private_dir(str(tmp_path))
        state_dir({"RECOST_STATE_DIR": str(tmp_path)})

    assert len(os.listdir("/proc/self/fd")) == len(before)
