"""``recost-collector spool``: the windows that wait on disk; try parked ones again, or delete them."""

from __future__ import annotations

import argparse
import functools
import sys
from typing import TYPE_CHECKING

from recost_collector.flush import add_timeout, headline

if TYPE_CHECKING:
    from recost_collector.request_box import Want
    from recost_collector.spool_look import KeptSpool, KeptWindow

SHOWN = 20

_EPILOG = """\
examples:
  recost-collector spool list                             what waits, what is parked, and why
  recost-collector spool retry                            after the reason is mended: every parked window once more
  recost-collector spool retry --destination /shop/       those whose destination's URL has this in it
  recost-collector spool delete --parked --id 12          what would go
  recost-collector spool delete --parked --id 12 --yes    it goes, and counts as dropped
  recost-collector spool delete --waiting --destination htps-api.example --yes
                                                          what waits for a base_url that was mistyped

A window is parked when its destination said that it will never take it (3xx and most 4xx answers). Parked windows are
tried again only by retry; 403 and 404 also when a worker of the project starts.

Exit code 0: done, or nothing to do, 1: windows still wait or are parked after retry, nothing matches, or a spool cannot
be read, 3: nobody collects and this command cannot either, 4: the collector does not answer.
"""
_JSON = """\
--json prints a list of spools: directory, runtime_dir (empty: not of one here; if it is nobody's, the next collector
takes it over), trouble (why it cannot be read), open_windows, and windows[]: id, destination, state ("waiting" or
"parked"), closed_at_ms, bytes, entries, tries, status, reason. An id is one only within its spool: retry and delete
refuse one that is in several, unless --destination leaves one of them.
"""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "spool",
        help="windows on disk: list them, try parked ones again, delete them",
        description="The windows that wait on disk, and those that are parked because a destination refused them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions)
    _add_retry(actions)
    _add_delete(actions)


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    action = actions.add_parser(
        "list",
        help="what waits and what is parked",
        epilog=_JSON,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_choice(action)
    action.add_argument("--parked", action="store_true", help="leave out what only waits")
    action.add_argument("--all", action="store_true", help=f"every window, not {SHOWN} of each destination")
    action.add_argument("--json", action="store_true", help="JSON instead of text")
    action.set_defaults(act=_list)


def _add_retry(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    action = actions.add_parser("retry", help="try parked windows once more, now")
    _add_choice(action)
    add_timeout(action)
    action.add_argument("--json", action="store_true", help="JSON instead of text, as that of flush")
    action.set_defaults(act=functools.partial(_retry, action))


def _add_delete(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    action = actions.add_parser("delete", help="delete parked windows, or some that wait; without --yes only list")
    _add_choice(action)
    which = action.add_mutually_exclusive_group()
    which.add_argument("--parked", action="store_true", help="delete parked windows")
    which.add_argument("--waiting", action="store_true", help="delete windows that wait; with --destination or --id")
    action.add_argument("--yes", action="store_true", help="delete them")
    add_timeout(action)
    action.set_defaults(act=functools.partial(_delete, action))


def _add_choice(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--destination", default="", metavar="TEXT", help="only destinations with this in their URL (default: all)"
    )
    action.add_argument(
        "--id", type=_number, action="append", default=[], metavar="N", help="only this window; may be repeated"
    )


def _list(arguments: argparse.Namespace) -> int:
    from recost_collector import spool_text  # noqa: PLC0415 - each command imports what it needs when it does

    spools = _look(arguments, "parked" if arguments.parked else "")
    most = 0 if arguments.all else SHOWN
    sys.stdout.write(spool_text.to_json(spools) if arguments.json else spool_text.to_text(spools, most))
    return 1 if any(spool.trouble for spool in spools) else 0


def _retry(action: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from recost_collector import errand  # noqa: PLC0415 - each command imports what it needs when it does
    from recost_collector.figures import plural  # noqa: PLC0415 - the same
    from recost_collector.request_box import Request  # noqa: PLC0415 - the same

    spools = _look(arguments, "parked")
    _refuse_unclear_ids(action, arguments.id, spools)
    if not any(spool.windows or spool.trouble for spool in spools):
        return _nothing("parked")
    result = errand.run(Request("retry", arguments.timeout, arguments.destination, frozenset(arguments.id)))
    if arguments.json:
        sys.stdout.write(errand.to_json(result))
        return result.exit_code
    out = sys.stderr if errand.troubles(result) else sys.stdout
    tried = plural(errand.total(result, "retried"), "parked window")
    out.write("\n".join([f"tried again: {tried}; {headline(result)}", *errand.lines(result)]) + "\n")
    return result.exit_code


def _delete(action: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from recost_collector import spool_text  # noqa: PLC0415 - each command imports what it needs when it does

    if not (arguments.parked or arguments.waiting):
        action.error("say what to delete: --parked, or --waiting with --destination or --id (purge deletes all)")
    if arguments.waiting and not (arguments.destination or arguments.id):
        action.error("--waiting wants --destination or --id: what waits is still to be delivered (purge deletes all)")
    state = "waiting" if arguments.waiting else "parked"
    spools = _look(arguments, state)
    _refuse_unclear_ids(action, arguments.id, spools)
    windows = sum(len(spool.windows) for spool in spools)
    if not windows:
        return _nothing(state)
    if not arguments.yes:
        sys.stdout.write(spool_text.to_text(spools, SHOWN))
        sys.stdout.write(f"nothing was deleted: --yes deletes {'this' if windows == 1 else f'these {windows:,}'}\n")
        return 0
    return _delete_now(arguments, state)


def _delete_now(arguments: argparse.Namespace, state: str) -> int:
    from recost_collector import errand  # noqa: PLC0415 - each command imports what it needs when it does
    from recost_collector.figures import plural  # noqa: PLC0415 - the same
    from recost_collector.request_box import Request  # noqa: PLC0415 - the same

    want: Want = "delete_waiting" if state == "waiting" else "delete"
    result = errand.run(Request(want, arguments.timeout, arguments.destination, frozenset(arguments.id)))
    if errand.troubles(result):
        sys.stderr.write("\n".join(errand.troubles(result)) + "\n")
        return result.exit_code
    deleted = errand.total(result, "deleted")
    sys.stdout.write(f"deleted: {plural(deleted, f'{state} window')}, counted as dropped\n")
    if not all(reply.is_done for reply in result.replies):
        sys.stderr.write("not all could be deleted in time: what is under way stays\n")
        return 1
    return 0 if deleted else 1  # they were tried again just now, or are in the spool of no runtime directory here


def _nothing(state: str) -> int:
    """There is none in this state, or none that was meant."""
    from recost_collector import spool_look  # noqa: PLC0415 - each command imports what it needs when it does
    from recost_collector.figures import agreed  # noqa: PLC0415 - the same

    others = sum(window.state == state for spool in spool_look.look() for window in spool.windows)
    if not others:
        sys.stdout.write(f"nothing is {state}\n")
        return 0
    there = f"{agreed(others, 'window', 'is', 'are')} {state}"
    sys.stderr.write(f"nothing matches; {there}: recost-collector spool list\n")
    return 1


def _look(arguments: argparse.Namespace, state: str) -> list[KeptSpool]:
    """The spools with the windows that the arguments are about; ``state`` empty: of any."""
    from recost_collector import spool_look  # noqa: PLC0415 - each command imports what it needs when it does

    spools = spool_look.look()
    for spool in spools:
        spool.windows = [window for window in spool.windows if _is_meant(window, arguments, state)]
    return spools


def _refuse_unclear_ids(action: argparse.ArgumentParser, ids: list[int], spools: list[KeptSpool]) -> None:
    """An id is one only within its spool, and what is asked for is asked of every collector."""
    for number in ids:
        holders = [spool for spool in spools if any(window.id == number for window in spool.windows)]
        if len(holders) > 1:
            where = ", ".join(spool.directory for spool in holders)
            action.error(f"--id {number} is in several spools: --destination says which window is meant ({where})")
        if holders and not holders[0].runtime_dir:
            action.error(f"--id {number} is in a spool of no runtime directory here: {holders[0].directory}")


def _is_meant(window: KeptWindow, arguments: argparse.Namespace, state: str) -> bool:
    if state and window.state != state:
        return False
    return arguments.destination in window.destination and (not arguments.id or window.id in arguments.id)


def _number(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 1 << 62:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: want the number that spool list shows")
