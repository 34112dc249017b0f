"""Files of every kind under ``doctor --rings``: an answer for each, and nothing changed by it."""

from __future__ import annotations

import fcntl
import mmap
import os
import random
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recost.ring import layout
from recost.session import Destination, Session
from recost_collector import ring_look
from recost_collector.cli import main
from tests.collector.collecting import Worker, runtime
from tests.doctor.asking import Doctor, kinds, prove
from tests.unprivileged import as_nobody, as_root, folder_of_all


def test_a_ring_of_another_boot_is_read_and_said_to_be_one(doctor: Doctor, dead: Path) -> None:
    dead.write_bytes(prove(bytearray(dead.read_bytes()), 9, b"another boot id!"))

    found = doctor.json()

    assert found["exit_code"] == 1
    assert "boot" in kinds(found)
    assert found["rings"][0]["owner"]["state"] == "another boot"
    assert found["rings"][0]["records"]["readable"] == 12


def test_a_copy_elsewhere_needs_no_collector(doctor: Doctor, dead: Path, tmp_path: Path) -> None:
    copy = tmp_path / "evidence"
    shutil.copy(dead, copy)

    assert doctor(copy) == 0
    assert "12 readable of those that wait" in doctor.text
    copy.chmod(0o644)
    assert doctor(copy) == 1
    assert "its mode is 0644, want 0600: others may read the key that it may hold. To do: chmod 600" in doctor.text


def test_a_copy_in_the_runtime_directory_is_wrong(doctor: Doctor, dead: Path) -> None:
    shutil.copy(dead, dead.with_name("ring-copy"))

    assert doctor() == 1
    assert f"by its header it is {dead.name[5:]}: a copy" in doctor.text


@pytest.mark.parametrize("of_directory", [False, True])
def test_files_that_are_no_rings_are_named_with_what_they_are(
    doctor: Doctor, tmp_path: Path, of_directory: bool
) -> None:
    folder = tmp_path / "found"
    folder.mkdir()
    (folder / "ring-empty").touch(0o600)
    (folder / "ring-folder").mkdir()
    os.mkfifo(folder / "ring-pipe")
    (folder / "ring-random").write_bytes(random.Random(3).randbytes(100_000))
    (folder / "unrelated").write_text("not looked at")
    paths = [folder] if of_directory else sorted(path for path in folder.glob("ring-*") if path.name != "ring-folder")

    assert doctor(*paths) == 1
    assert doctor.text.startswith(f"not well: {4 if of_directory else 3} of")
    assert "0 bytes are too few for a ring" in doctor.text
    assert "it is no regular file" in doctor.text
    assert "no ring: the magic is missing" in doctor.text
    assert not doctor.errors


def test_a_link_is_followed_only_when_it_is_named(doctor: Doctor, dead: Path, tmp_path: Path) -> None:
    os.symlink(dead, tmp_path / "ring-link")

    assert doctor(tmp_path) == 1
    assert "it is a link" in doctor.text
    assert doctor(tmp_path / "ring-link") == 0


def test_an_unfinished_ring_is_wrong_only_when_nobody_can_be_at_it_any_more(doctor: Doctor) -> None:
    path = Path(runtime()) / "new-1234"
    path.write_bytes(bytes(80_000))
    path.chmod(0o600)
    assert doctor() == 0
    assert f"unfinished {path}" in doctor.text

    os.utime(path, (0, 0))
    assert doctor() == 1
    assert "a worker ended while it made this ring" in doctor.text


def test_nothing_is_changed_locked_or_mapped(doctor: Doctor, dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_named: object) -> None:
        pytest.fail("a reader must not do this")

    os.utime(dead, ns=(1_000, 2_000))  # so that a read would show
    before = os.stat(dead)
    names = sorted(os.listdir(runtime()))
    for owner, name in ((fcntl, "flock"), (fcntl, "lockf"), (mmap, "mmap"), (os, "unlink"), (os, "rename")):
        monkeypatch.setattr(owner, name, refuse)

    assert doctor() == 3
    monkeypatch.undo()
    after = os.stat(dead)
    assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (1_000, 2_000, before.st_ctime_ns)
    assert sorted(os.listdir(runtime())) == names


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    yield from folder_of_all()


@as_root
def test_somebody_who_may_only_read_can(folder: Path, dead: Path) -> None:
    """Mode 0400 in a directory without write permission; and of another user, what cannot be read is said."""
    ours, theirs = folder / "ours", folder / "theirs"
    for path in (ours, theirs):
        shutil.copy(dead, path)
        path.chmod(0o400)
    os.chown(ours, 65534, 65534)
    folder.chmod(0o555)
    out = os.open(folder / "said", os.O_RDWR | os.O_CREAT, 0o600)

    def child() -> None:
        os.dup2(out, 1)
        sys.stdout = os.fdopen(1, "w")
        assert main(["doctor", "--rings", str(ours), str(theirs)]) == 1
        sys.stdout.flush()

    as_nobody(child)
    said = os.pread(out, 1 << 16, 0).decode()
    os.close(out)
    assert "its mode is 0400, want 0600: its owner must read and write it" in said
    assert "12 readable of those that wait" in said
    assert "it cannot be read: Permission denied. To do: ask as uid 0 or as root" in said


@as_root
def test_a_ring_that_belongs_to_somebody_else_than_its_directory_is_wrong(doctor: Doctor, dead: Path) -> None:
    os.chown(dead, 65534, 65534)

    assert doctor() == 1
    assert "owned by uid 65534, its directory by uid 0: collectors skip it" in doctor.text


def test_what_a_ring_says_cannot_steer_a_terminal(doctor: Doctor) -> None:
    worker = Worker(Session(Destination("file:///\x1b[2J/x", "\x1b]0;owned\x07"), "\r"))
    worker.call(path="/\x1b[31m\n")

    assert doctor("--records", 1) == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", doctor.text)
    worker.leave()


def test_any_bytes_give_an_answer_and_never_a_traceback(
    doctor: Doctor, dead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_look, "PAUSES_S", ())
    sound = dead.read_bytes()
    chance = random.Random(20261122)
    path = tmp_path / "mutated"
    path.touch(0o600)
    codes = set()
    for _ in range(250):
        content = bytearray(sound)
        for _ in range(chance.choice((1, 1, 2, 8))):
            mutate(content, chance)
        path.write_bytes(content)
        codes.add(doctor("--records", 3, *chance.choice(([], ["--json"])), path))
        assert doctor.text
        assert not doctor.errors
    assert codes == {0, 1}


def mutate(content: bytearray, chance: random.Random) -> None:
    """One of what happens to files; header and words are met as often as the rest."""
    area = chance.choice((16 * 8, 2 * layout.PAGE, 5 * layout.PAGE, len(content)))
    at = chance.randrange(max(1, min(area, len(content) - 8)))
    what = chance.randrange(5)
    if what == 0:
        content[at : at + 1] = chance.randbytes(1)
    elif what == 1:
        content[at & ~7 : (at & ~7) + 8] = chance.choice(
            (b"\xff" * 8, bytes(8), b"\xff" * 7 + b"\x7f", chance.randbytes(8))
        )
    elif what == 2:
        del content[at:]
    elif what == 3:
        content[at : at + 64] = bytes(64)
    elif len(content) >= 16 * 8:
        prove(content, chance.randrange(15), chance.randbytes(chance.choice((1, 8))))


def test_names_that_are_no_text_are_shown_as_far_as_they_are(doctor: Doctor, dead: Path) -> None:
    folder = os.fsencode(dead.parent / "odd")
    os.mkdir(folder)
    shutil.copy(os.fsencode(dead), os.path.join(folder, b"ring-\xff"))

    assert "ring-\ufffd" in doctor.json(os.fsdecode(folder))["rings"][0]["path"]
    shutil.rmtree(folder)
