"""``recost-collector doctor --rings``: what is in rings, of live and of dead workers, and what is wrong with them."""

from __future__ import annotations

import argparse
import contextlib
import functools
import shutil
import sys
from typing import TextIO

MOST_RECORDS = 1_000_000

_EPILOG = """\
examples:
  recost-collector doctor --rings                                 every ring of this user's runtime directory
  recost-collector doctor --rings --records 20                    with the last 20 calls of each
  recost-collector doctor --rings /var/tmp/ring-8c1f              one file: a copy, of any user, from any machine
  recost-collector doctor --rings --runtime-dir /dev/shm/recost-1000-v1 --json

A ring is opened read-only, never locked and never mapped: nothing that works with it notices. Calls that were already
collected can be read until new ones take their place; --records shows them, too.

Exit code 0: nothing is wrong, 1: something is wrong with a ring, a directory or its collector, 3: only that no
collector is at work although calls wait, 4: a PATH or directory cannot be looked at.

--json prints one object; what could not be read is null. Positions and sizes are in bytes, times in ms since the epoch:
  exit_code           as above
  unreachable         path to reason, of what cannot be looked at
  directories[]       path; collector (state: "at work", "silent", "unknown" or "none"; pid, version, kind); quarantine
                      and quarantine_bytes: the file with what a collector could not read and gave up; problems[]
  rings[]             path; finished (false: still being made), and:
    file              size_bytes, mode, uid, modified_at_ms
    owner             state ("alive", "dead", "another boot", "another pid namespace"), lock_pid (who has its lock)
    header            layout, byte_order, ring_id, boot_id, pid, process_start, pid_namespace, made_at_ms,
                      capacity_bytes, data_offset, session_bytes, session_crc
    session           project, environment, destination, sdk_version, has_key; never the key
    words             of the worker: tail, published, dropped_full, dropped_big, lost (calls that no ring kept), faults,
                      flush_requested, flushes, closed; of the collector: head, heartbeat, epoch, flushed_through,
                      flush_status ("none", "ok", "error"), flush_size, flush_at_ms, auth_failures, notices,
                      flushes_done; of both: backlog_bytes, fill_percent
    records           those that wait: readable, first_sequence, last_sequence, lost (missing numbers), lost_at,
                      unreadable_at (position), unreadable_why, readable_behind, undecodable, first_event_at_ms,
                      last_event_at_ms; released: collected and still readable; moved_on: collected while we counted
    notices[]         number, kind, text
    events[]          with --records: sequence, position, released, at_ms, method, host, path, status, ms
    problems[]        kind, text, mend (what to do; may be empty)
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "doctor",
        help="what is in rings, of live and dead workers, and what is wrong with them",
        description="Reads ring files as they lie there, and says what is in them and what is wrong with them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--rings", action="store_true", help="look at rings: the one examination there is so far")
    command.add_argument(
        "paths", nargs="*", metavar="PATH", help="a ring file, or a directory of some (default: the runtime directory)"
    )
    command.add_argument("--runtime-dir", metavar="DIR", help="another user's, or another RECOST_RUNTIME_DIR")
    command.add_argument(
        "--records", type=_count, default=0, metavar="N", help="show the last N calls in each ring (default: none)"
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")
    command.set_defaults(act=functools.partial(run, command))


def run(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if not arguments.rings:
        command.error("say what to examine: --rings")
    if arguments.paths and arguments.runtime_dir is not None:
        command.error("--runtime-dir and PATH exclude each other: name the directory as a PATH")
    from recost_collector import checkup, doctor_text, figures  # noqa: PLC0415 - only when it is needed

    findings = checkup.check(arguments.paths, arguments.runtime_dir, arguments.records)
    if arguments.json:
        _write(sys.stdout, checkup.to_json(findings))
    else:
        _write(sys.stdout, doctor_text.to_text(findings, shutil.get_terminal_size((0, 0)).columns))
    for path, why in findings.unreachable.items():
        _write(sys.stderr, f"recost-collector doctor: cannot look at {figures.printable(path)}: {why}\n")
    return findings.exit_code


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 < int(text) <= MOST_RECORDS:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: want a number from 1 to {MOST_RECORDS:,}")


def _write(stream: TextIO, text: str) -> None:
    """A character that the terminal's encoding lacks becomes ``?``."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))
