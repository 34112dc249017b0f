"""What the local file refuses, and what happens where it cannot be written."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess

import pytest

from recost.notice import to_error
from recost_collector.exporters.ndjson import NdjsonExporter
from tests.exporters.support import file_destination, lines_of, make_frame, retry_of
from tests.harness import run_child


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


def test_signals_are_left_alone(exporter):
    """The exporter runs on a thread, in an application's process too: it installs nothing."""
    before = signal.getsignal(signal.SIGXFSZ)
    exporter.export(make_frame())
    assert signal.getsignal(signal.SIGXFSZ) == before


@pytest.mark.parametrize(
    "intent",
    [
        b'{"key":"%s","offset":-1}',
        b'{"key":"%s","offset":9223372036854775807}',
        b'{"key":"%s","offset":9223372036854775808}',
        b'{"more":' + b"[" * 20_000 + b',"key":"%s","offset":0}',
        b'{"key":"\xff\xfe","offset":0,"of":"%s"}',
    ],
    ids=["negative", "the largest", "too large", "nested too deep", "no UTF-8"],
)
def test_an_intent_that_cannot_be_ours_holds_up_nothing(path, lease, exporter, intent):
    frame = make_frame()
    exporter.export(make_frame())
    (written,) = (file for file in os.listdir(lease.state_dir) if file.endswith(".intent"))
    with open(os.path.join(lease.state_dir, written), "wb") as file:
        file.write(intent % frame.key.encode())

    exporter.export(frame)
    assert lines_of(path)[1:] == [frame.body]


def test_a_huge_hole_in_the_file_is_not_searched_for_a_newline(path, exporter):
    exporter.export(make_frame())
    os.truncate(path, 1 << 36)
    frame = make_frame()

    exporter.export(frame)
    with open(path, "rb") as file:
        file.seek(1 << 36)
        assert file.read() == b"\n" + frame.body + b"\n"
