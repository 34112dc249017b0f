"""The local file: what it is made of, what it survives, what it refuses."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import resource
import signal
import stat
import subprocess

import pytest

from recost.notice import to_error
from recost_collector.exporters import Retry
from recost_collector.exporters.lines import LineFile
from recost_collector.exporters.ndjson import NdjsonExporter
from tests.exporters.support import StubLease, file_destination, make_frame, outcome_of, retry_of
from tests.harness import run_child, start_child, wait_for_child


@pytest.fixture
def path(tmp_path):
    return tmp_path / "local" / "shop.jsonl"


@pytest.fixture
def lease(tmp_path):
    return StubLease(tmp_path / "state")


@pytest.fixture
def exporter(path, lease):
    return NdjsonExporter(file_destination(path), lease)


def lines_of(path):
    content = path.read_bytes()
    assert content.endswith(b"\n") or not content
    return content.splitlines()


def test_a_frame_is_one_line_of_a_private_file(path, exporter):
    frame = make_frame()
    exporter.export(frame)
    assert path.read_bytes() == frame.body + b"\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_missing_directories_are_made_for_us_alone(tmp_path, lease):
    path = tmp_path / ".recost" / "local-telemetry" / "shop.jsonl"
    NdjsonExporter(file_destination(path), lease).export(make_frame())
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["a b", "50%", "what?", "no#1", "pre%20escaped", "ä", "日本"])
def test_any_folder_will_do(tmp_path, lease, name):
    path = tmp_path / name / "shop.jsonl"
    NdjsonExporter(file_destination(path), lease).export(make_frame())
    assert len(lines_of(path)) == 1


def test_what_was_there_stays(path, exporter):
    path.parent.mkdir()
    path.write_bytes(b"an older line\n")
    path.chmod(0o640)
    frame = make_frame()
    exporter.export(frame)
    assert lines_of(path) == [b"an older line", frame.body]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640, "who made it may let others read it"


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b'{"protocolVersion":"1.0","metr', []),
        (b"{", []),
        (b'{"a":{}', []),
        (b'{"filler":"' + b"x" * 200_000, []),
        (b'{"complete":true}', [b'{"complete":true}']),
        (b"somebody's note", [b"somebody's note"]),
        (b"\x00\x00", [b"\x00\x00"]),
    ],
)
@pytest.mark.parametrize("before", [[], [b'{"n":1}', b'{"n":2}']])
def test_an_append_that_was_cut_off_is_taken_away_and_another_last_line_ended(path, exporter, before, tail, kept):
    path.parent.mkdir()
    path.write_bytes(b"".join(line + b"\n" for line in before) + tail)
    frame = make_frame()
    exporter.export(frame)
    assert lines_of(path) == [*before, *kept, frame.body]


def test_a_deleted_file_is_made_anew(path, exporter):
    first, second = make_frame(), make_frame()
    exporter.export(first)
    path.unlink()
    exporter.export(second)
    assert lines_of(path) == [second.body]
    path.unlink()
    path.parent.rmdir()
    exporter.export(second)
    assert lines_of(path) == [second.body]


def test_a_new_collector_knows_from_the_state_directory_what_is_there(path, lease):
    frame = make_frame()
    for _ in range(3):
        NdjsonExporter(file_destination(path), lease).export(frame)
    assert lines_of(path) == [frame.body]
    assert [name.split(".", 1)[1] for name in os.listdir(lease.state_dir)] == ["intent"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"key":1}', b"\xff" * 100])
def test_a_damaged_intent_is_none(path, lease, exporter, damage):
    exporter.export(make_frame())
    [name] = os.listdir(lease.state_dir)
    with open(os.path.join(lease.state_dir, name), "wb") as file:
        file.write(damage)
    exporter.export(make_frame())
    assert len(lines_of(path)) == 2


def test_a_full_file_moves_aside_whole_and_one_generation_is_kept(path, lease):
    frames = [make_frame(b'{"n":%d}' % n) for n in range(10)]
    exporter = NdjsonExporter(file_destination(path, file_max_bytes=3 * len(b'{"n":0}\n')), lease)
    for frame in frames:
        exporter.export(frame)
    assert lines_of(path) == [b'{"n":9}']
    assert lines_of(path.with_name("shop.1.jsonl")) == [b'{"n":6}', b'{"n":7}', b'{"n":8}']
    assert len(list(path.parent.iterdir())) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_line_longer_than_the_limit_gets_a_file_of_its_own(path, lease):
    exporter = NdjsonExporter(file_destination(path, file_max_bytes=10), lease)
    exporter.export(make_frame(b'{"n":1}'))
    exporter.export(make_frame(b'{"long":"0123456789"}'))
    exporter.export(make_frame(b'{"n":2}'))
    assert lines_of(path) == [b'{"n":2}']
    assert lines_of(path.with_name("shop.1.jsonl")) == [b'{"long":"0123456789"}']


def test_a_frame_that_was_rotated_away_meanwhile_is_not_written_again(path, lease, tmp_path):
    frame, foreign = make_frame(), make_frame()
    destination = file_destination(path, file_max_bytes=len(frame.body) + 1)
    NdjsonExporter(destination, lease).export(frame)
    NdjsonExporter(destination, StubLease(tmp_path / "another collector")).export(foreign)
    NdjsonExporter(destination, lease).export(frame)
    assert lines_of(path) == [foreign.body]
    assert lines_of(path.with_name("shop.1.jsonl")) == [frame.body]


def test_while_another_process_writes_we_come_back_in_a_second(path, exporter):
    exporter.export(make_frame())
    before = path.read_bytes()
    with open(path, "rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        retry = retry_of(exporter.export, make_frame())
    assert retry.after_s == 1.0
    assert isinstance(to_error(retry.notice), BlockingIOError)
    assert path.read_bytes() == before


def test_a_fork_in_the_middle_of_an_append_does_not_keep_the_lock(path):
    """The child has a copy of the descriptor for as long as it lives; only an unlock frees that as well."""
    path.parent.mkdir()
    file = LineFile(str(path))
    waiting, done = os.pipe()

    def hold_a_copy():
        os.close(done)
        os.read(waiting, 1)

    child = start_child(hold_a_copy)
    try:
        file.close()
        LineFile(str(path)).close()
    finally:
        os.close(done)
        os.close(waiting)
        assert wait_for_child(child) == 0


def test_without_the_lease_the_file_is_not_touched(path, lease, exporter):
    lease.answers = iter([False])
    assert retry_of(exporter.export, make_frame()).after_s is not None
    assert not path.parent.exists()


def test_a_lease_lost_while_the_lock_was_awaited_counts(path, lease, exporter):
    first = make_frame()
    exporter.export(first)
    intents = {name: (path.parent.parent / "state" / name).read_bytes() for name in os.listdir(lease.state_dir)}
    lease.answers = iter([True, False])
    retry_of(exporter.export, make_frame())
    assert lines_of(path) == [first.body]
    assert {name: (path.parent.parent / "state" / name).read_bytes() for name in intents} == intents


def test_a_link_is_refused(path, exporter, tmp_path):
    path.parent.mkdir()
    target = tmp_path / "precious"
    target.write_bytes(b"precious\n")
    path.symlink_to(target)
    notice = retry_of(exporter.export, make_frame()).notice
    assert (notice.errno, notice.filename) == (errno.ELOOP, str(path))
    assert target.read_bytes() == b"precious\n"


def test_what_is_no_file_is_refused_without_waiting(path, exporter):
    path.parent.mkdir()
    os.mkfifo(path)
    assert retry_of(exporter.export, make_frame()).notice.errno == errno.EINVAL
    path.unlink()
    path.mkdir()
    assert retry_of(exporter.export, make_frame()).notice.errno == errno.EISDIR


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(path, exporter):
    path.parent.mkdir()
    path.touch()
    os.chown(path, 12345, -1)
    notice = retry_of(exporter.export, make_frame()).notice
    assert (notice.errno, "12345" in notice.message) == (errno.EPERM, True)


def test_a_state_directory_that_is_gone_is_an_outcome(path, lease, exporter):
    os.rmdir(lease.state_dir)
    notice = retry_of(exporter.export, make_frame()).notice
    assert notice.filename.startswith(lease.state_dir)
    assert lines_of(path) == []


def test_a_line_that_does_not_fit_is_taken_back_whole(path, lease, exporter):
    """RLIMIT_FSIZE makes the kernel write the part that fits, and then refuse, as a full disk does."""
    first = make_frame()
    exporter.export(first)

    def write_too_much():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for _ in range(2):
            notice = retry_of(exporter.export, make_frame(b'{"filler":"%s"}' % (b"x" * 200_000))).notice
            assert notice.errno == errno.EFBIG
            assert lines_of(path) == [first.body]

    assert run_child(write_too_much) == 0
    last = make_frame()
    exporter.export(last)
    assert lines_of(path) == [first.body, last.body]


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_on_a_full_disk_the_window_waits_and_no_line_is_broken(path, exporter):
    with small_disk(path.parent, "64k"):
        first, second = make_frame(), make_frame(b'{"filler":"%s"}' % (b"x" * 20_000))
        exporter.export(first)
        ballast = path.with_name("ballast")
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        for _ in range(3):
            notice = retry_of(exporter.export, second).notice
            error = to_error(notice)
            assert isinstance(error, OSError)
            assert (error.errno, error.filename) == (errno.ENOSPC, str(path))
            assert lines_of(path) == [first.body]
        ballast.unlink()
        exporter.export(second)
        assert lines_of(path) == [first.body, second.body]


def test_in_another_mount_namespace_only_the_very_directory_of_the_worker_will_do(path, lease):
    def export_to(**more):
        NdjsonExporter(file_destination(path, mount_namespace=1, **more), lease).export(make_frame())

    for directory in ((0, 0), (1, 2)):
        retry = retry_of(lambda _, d=directory: export_to(directory=d), make_frame())
        assert retry.notice.errno == errno.ENOENT
        assert "container" in retry.notice.message
        assert not path.parent.exists()
    path.parent.mkdir()
    retry_of(lambda _: export_to(directory=(1, 2)), make_frame())
    assert not path.exists()
    status = path.parent.stat()
    export_to(directory=(status.st_dev, status.st_ino))
    assert len(lines_of(path)) == 1


def test_in_our_own_mount_namespace_the_directory_may_be_a_new_one(path, lease):
    here = os.stat("/proc/self/ns/mnt").st_ino
    NdjsonExporter(file_destination(path, mount_namespace=here, directory=(1, 2)), lease).export(make_frame())
    assert len(lines_of(path)) == 1


def export_all(exporter, frames):
    """Without the pause that ``Retry`` asks for: here the collectors shall meet."""
    for frame in frames:
        while (outcome := outcome_of(exporter.export, frame)) is not None:
            assert isinstance(outcome, Retry)
            assert outcome.after_s is not None, outcome


def test_collectors_of_two_containers_share_a_file(path, tmp_path):
    """Each with a state directory of its own, all appending at once: every line is whole and there once."""
    children = []
    for collector in range(4):
        frames = [make_frame(b'{"collector":%d,"n":%d,"filler":"%s"}' % (collector, n, b"x" * n)) for n in range(100)]
        exporter = NdjsonExporter(file_destination(path), StubLease(tmp_path / f"state{collector}"))
        children.append(start_child(lambda e=exporter, f=frames: export_all(e, f)))
    assert [wait_for_child(child) for child in children] == [0] * 4
    windows = [json.loads(line) for line in lines_of(path)]
    for collector in range(4):
        assert [window["n"] for window in windows if window["collector"] == collector] == list(range(100))


def test_collectors_that_rotate_under_each_other_break_no_line(path, tmp_path):
    children = []
    for collector in range(3):
        frames = [make_frame(b'{"collector":%d,"n":%d}' % (collector, n)) for n in range(100)]
        destination = file_destination(path, file_max_bytes=100)
        exporter = NdjsonExporter(destination, StubLease(tmp_path / f"state{collector}"))
        children.append(start_child(lambda e=exporter, f=frames: export_all(e, f)))
    assert [wait_for_child(child) for child in children] == [0] * 3
    for file in (path, path.with_name("shop.1.jsonl")):
        windows = [json.loads(line) for line in lines_of(file)]
        assert 1 <= len(windows) <= 4
        assert len({(window["collector"], window["n"]) for window in windows}) == len(windows)


def test_signals_are_left_alone(exporter):
    """The exporter runs on a thread, in an application's process too: it installs nothing."""
    before = signal.getsignal(signal.SIGXFSZ)
    exporter.export(make_frame())
    assert signal.getsignal(signal.SIGXFSZ) == before
