"""The local file: what it is made of, what it survives, what it refuses."""

from __future__ import annotations

import os
import stat

import pytest

from recost_collector.exporters.ndjson import NdjsonExporter
from tests.exporters.support import StubLease, file_destination, lines_of, make_frame


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


def test_a_file_is_not_moved_over_the_live_file_of_another_project(path, lease):
    """``shop`` and ``shop.1`` both have a file ``shop.1.jsonl`` in mind."""
    other = path.with_name("shop.1.jsonl")
    frames = [make_frame(b'{"n":%d}' % n) for n in range(4)]
    NdjsonExporter(file_destination(other), lease).export(frames[0])
    exporter = NdjsonExporter(file_destination(path, file_max_bytes=len(b'{"n":0}\n')), lease)
    for frame in frames[1:]:
        exporter.export(frame)
    assert lines_of(other) == [b'{"n":0}']
    assert lines_of(path) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


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


def test_a_file_that_was_saved_by_an_editor_meanwhile_still_has_the_line(path, exporter):
    """An editor writes a new file and renames it over the old one."""
    frame = make_frame()
    exporter.export(frame)
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").replace(path)
    exporter.export(frame)
    assert lines_of(path) == [frame.body]
