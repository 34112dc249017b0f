"""``recost-collector doctor``: what is wrong with this host, and what to do; ``--rings``: what is in every ring."""

from __future__ import annotations

import argparse
import contextlib
import functools
import shutil
import sys

MOST_RECORDS = 1_000_000
MOST_SECONDS = 60.0

_EPILOG = """\
examples:
  recost-collector doctor                                         what is wrong with this host, and what to do
  recost-collector doctor --reach                                 also whether every destination answers
  recost-collector doctor --rings                                 every ring of this user's runtime directory
  recost-collector doctor --rings --records 20                    with the last 20 calls of each
  recost-collector doctor --rings /var/tmp/ring-8c1f              one file: a copy, of any user, from any machine
  recost-collector doctor --rings --runtime-dir /dev/shm/recost-1000-v1 --json

Without --rings: settings, directories, room for rings, what outlives a reboot, collector, versions, other runtime
directories and users, proxies. In cloud mode, or with --reach, destinations are asked for an answer, without a key.
Exit code 0: well, also with warnings, 1: something is wrong, 3: only that no collector is at work although something
waits, 4: a destination does not answer, or the runtime directory is refused. Its --json is one object: exit_code, and
checks[] (name, verdict: "ok", "warn" or "fail", text, mend: what to do, exit_code).

--rings: a ring is opened read-only, never locked and never mapped: nothing that works with it notices. Calls that were
already collected can be read until new ones take their place; --records shows them, too.

Its exit code 0: nothing is wrong, 1: something is wrong with a ring, a directory or its collector, 3: only that no
collector is at work although calls wait, 4: a PATH or directory cannot be looked at.

Its --json prints one object; what could not be read is null. Positions and sizes are in bytes, times in ms since the
epoch:
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
        help="what is wrong with this host, and what to do; what is in every ring",
        description="Examines this host, or with --rings the ring files as they lie there. Leaves all as it was.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--rings", action="store_true", help="what is in the rings, of live and dead workers")
    command.add_argument(
        "paths", nargs="*", metavar="PATH", help="a ring file, or a directory of some (default: the runtime directory)"
    )
    command.add_argument("--runtime-dir", metavar="DIR", help="another user's, or another RECOST_RUNTIME_DIR")
    command.add_argument(
        "--records", type=_count, default=0, metavar="N", help="show the last N calls in each ring (default: none)"
    )
    command.add_argument("--reach", action="store_true", help="ask every destination for an answer, without a key")
    command.add_argument(
        "--timeout", type=_seconds, default=3.0, metavar="S", help="how long each may take to answer (default: 3)"
    )
    command.add_argument("--json", action="store_true", help="one JSON object instead of text")
    command.set_defaults(act=functools.partial(run, command))


def run(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if not arguments.rings:
        return _examine(command, arguments)
    if arguments.reach:
        command.error("--reach and --rings exclude each other")
    if arguments.paths and arguments.runtime_dir is not None:
        command.error("--runtime-dir and PATH exclude each other: name the directory as a PATH")
    from recost_collector import figures, ring_checkup, ring_checkup_text  # noqa: PLC0415 - only when it is needed

    findings = ring_checkup.check(arguments.paths, arguments.runtime_dir, arguments.records)
    if arguments.json:
        sys.stdout.write(ring_checkup.to_json(findings))
    else:
        sys.stdout.write(ring_checkup_text.to_text(findings, shutil.get_terminal_size((0, 0)).columns))
    for path, why in findings.unreachable.items():
        sys.stderr.write(f"recost-collector doctor: cannot look at {figures.printable(path)}: {why}\n")
    return findings.exit_code


def _examine(command: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.paths or arguments.records or arguments.runtime_dir is not None:
        command.error("PATH, --runtime-dir and --records go with --rings")
    from recost_collector import host_checkup, host_checkup_text, paint  # noqa: PLC0415 - only when it is needed

    found = host_checkup.examine(reach=arguments.reach, timeout_s=arguments.timeout)
    painter = paint.Painter(sys.stdout)
    sys.stdout.write(host_checkup.to_json(found) if arguments.json else host_checkup_text.to_text(found, painter))
    return found.exit_code


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= MOST_SECONDS:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r}: want seconds, up to {MOST_SECONDS:g}")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 < int(text) <= MOST_RECORDS:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: want a number from 1 to {MOST_RECORDS:,}")
