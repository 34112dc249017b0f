"""Four Gunicorn workers, five providers, a worker and the collector killed: is every call accounted for?

Exit codes: 0 every call is; 1 something is missing or counted twice; 2 the demo cannot run here; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Optional

from examples.demo.accounts import Accounts, Endpoint, by_provider, compare, read_delivered
from examples.demo.load import Load
from examples.demo.place import IDLE_EXIT_S, ROOT, Busy, Place, collector_is_gone
from examples.demo.progress import Progress
from examples.demo.scenes import Scenes
from examples.demo.server import Server
from examples.helpdesk import providers, under_way
from examples.standins import PROVIDERS, ProviderStandIn
from recost import ProviderRegistry

OK, NOT_ACCOUNTED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
LOAD_S = 12.0
DELIVERED_S = 20.0
"""How long the collector may take to deliver what is left when the workers are gone."""


class Trouble(Exception):  # noqa: N818 - the demo's verdict, told in one line
    """The demo cannot come to its end."""


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    hosts = _hosts(options.first_address)
    unbindable = [host for host in hosts if not _can_bind(host)]
    if unbindable:
        _say_how_to_add(unbindable)
        return CANNOT_RUN
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(hosts, options.seconds, options.keep)
    except Busy as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return CANNOT_RUN
    except Trouble as exc:
        print(f"\ndemo: {exc}", file=sys.stderr)
        return NOT_ACCOUNTED
    except KeyboardInterrupt:
        print("\ndemo: interrupted; all that it started has ended", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="The whole path at work: an application with four Gunicorn workers calls five providers (stand-ins"
        " on loopback); a worker and the collector are killed; then what the providers counted is compared with what"
        " recost has delivered.",
        epilog="Exit codes: 0 every call is accounted for, 1 not, 2 the demo cannot run here.",
    )
    parser.add_argument("--seconds", type=float, default=LOAD_S, help=f"of load (default: {LOAD_S:g})")
    parser.add_argument(
        "--keep", type=Path, default=ROOT / ".cache" / "demo", help="folder of the telemetry file (default: %(default)s)"
    )
    parser.add_argument("--first-address", default="127.0.0.2", help="of the stand-ins (default: %(default)s)")
    return parser


def _hosts(first: str) -> list[str]:
    return [str(ipaddress.ip_address(first) + n) for n in range(len(PROVIDERS))]


def _can_bind(host: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _say_how_to_add(hosts: list[str]) -> None:
    print(
        f"demo: the stand-ins cannot listen on {', '.join(hosts)}. macOS has only 127.0.0.1 to begin with."
        " This adds the others, until the next restart; then run the demo again:\n\n"
        f"    for address in {' '.join(hosts)}; do sudo ifconfig lo0 alias $address up; done\n",
        file=sys.stderr,
    )


def _interrupt(_number: int, _frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt


def _run(hosts: list[str], seconds: float, keep: Path) -> int:
    stand_ins = tuple(provider._replace(host=host) for provider, host in zip(PROVIDERS, hosts))
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(Place(keep.resolve()))
        stand_in = stack.enter_context(ProviderStandIn(stand_ins))
        _introduce(stand_in)
        environment = {
            **place.environment(),
            providers.VARIABLE: json.dumps(stand_in.urls()),
            under_way.VARIABLE: place.under_way,
        }
        server = stack.enter_context(Server(environment, place.under_way, place.log))
        scenes = _play(place, stand_in, server, seconds)
        _stop(server)
        _wait_until_delivered(place, environment)
        code = _tell(place, environment, stand_in, scenes)
    return code
