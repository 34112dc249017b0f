"""Four Gunicorn workers call five providers, a worker and the collector are killed, and every call is accounted for.

Exit codes: 0 every call is; 1 something is missing or counted twice; 2 the demo cannot run here; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from examples.demo import delivery
from examples.demo.accounts import Accounts, Endpoint, by_provider, compare, read_delivered
from examples.demo.interruption import Interruption
from examples.demo.load import Load
from examples.demo.place import ROOT, Busy, Place, tail
from examples.demo.progress import Progress, bar
from examples.demo.scenes import Scenes
from examples.demo.server import Server
from examples.helpdesk import providers, under_way
from examples.standins import PROVIDERS, ProviderStandIn
from recost import ProviderRegistry

OK, NOT_ACCOUNTED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
KEPT = ROOT / ".cache" / "demo"
FIRST_ADDRESS = ipaddress.IPv4Address("127.0.0.2")
LOAD_S = 18.0
PATIENCE_S = 60.0
"""How much longer the load may take than asked for, until all that should happen has."""
VISITORS = 6
TURN_S = 0.05

Request = tuple[str, str]
"""Provider and path."""


class Trouble(Exception):  # noqa: N818 - the demo's verdict
    """The demo cannot come to its end."""


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    hosts = [str(options.first_address + n) for n in range(len(PROVIDERS))]
    unbindable = [host for host in hosts if not _can_bind(host)]
    if unbindable:
        _say_how_to_add(unbindable)
        return CANNOT_RUN
    try:
        return Demo(hosts, options.seconds, options.keep.resolve()).run()
    except Busy as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return CANNOT_RUN
    except Trouble as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return NOT_ACCOUNTED
    except KeyboardInterrupt:
        print("\ndemo: interrupted; all that it started has ended", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="An application with four Gunicorn workers calls five providers (stand-ins on loopback); a worker"
        " and the collector are killed; then what the providers counted is compared with what recost has delivered.",
        epilog="Exit codes: 0 every call is accounted for, 1 not, 2 the demo cannot run here.",
    )
    parser.add_argument("--seconds", type=_seconds, default=LOAD_S, help="of load (default: %(default)s)")
    parser.add_argument(
        "--keep",
        type=Path,
        default=KEPT,
        metavar="DIR",
        help="where to leave the telemetry file (default: %(default)s)",
    )
    parser.add_argument(
        "--first-address",
        type=ipaddress.IPv4Address,
        default=FIRST_ADDRESS,
        metavar="ADDRESS",
        help="of the stand-ins, which take as many as there are providers (default: %(default)s)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: want 1 to 3600")
    return seconds


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
        " This adds the others until the next restart; then run the demo again:\n\n"
        f"    for address in {' '.join(hosts)}; do sudo ifconfig lo0 alias $address up; done\n",
        file=sys.stderr,
    )


class Demo:
    """One run, from the start of the stand-ins to the verdict."""

    def __init__(self, hosts: list[str], load_s: float, keep: Path) -> None:
        self._load_s = load_s
        self._progress = Progress(sys.stdout)
        self._interruption = Interruption()
        self._place = Place(keep)
        self._stand_in = ProviderStandIn(tuple(p._replace(host=host) for p, host in zip(PROVIDERS, hosts)))

    def run(self) -> int:
        """The exit code. Nothing that was started is there any more, however it ends."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._place)
            stack.enter_context(self._stand_in)
            environment = {
                **self._place.environment(),
                providers.VARIABLE: json.dumps(self._stand_in.urls()),
                under_way.VARIABLE: self._place.under_way,
            }
            server = stack.enter_context(Server(environment, self._place.under_way, self._place.log))
            with self._interruption.allowed():
                self._introduce(server)
                scenes = self._play(server)
                self._end(server, environment)
                return self._tell(scenes, environment)

    def _introduce(self, server: Server) -> None:
        say = self._progress.say
        say("These are stand-ins for the providers: servers on this machine that bear their names and average prices.")
        say("Nothing is sent anywhere else, and nothing is spent.\n")
        for provider in PROVIDERS:
            say(f"  {provider.name:10} {self._stand_in.url(provider.name):24} for {provider.real_host}")
        say(f"  {'help desk':10} http://{server.address[0]}:{server.address[1]:<10} Gunicorn, 4 workers\n")

    def _play(self, server: Server) -> Scenes:
        scenes = Scenes(self._place, server, self._load_s, self._progress.say)
        began_at = time.monotonic()
        with Load(server.address, VISITORS) as load:
            while True:
                elapsed_s = time.monotonic() - began_at
                scenes.turn(elapsed_s)
                if elapsed_s >= self._load_s and not scenes.waits_for:
                    break
                self._check(server, scenes, elapsed_s)
                calls = self._stand_in.total()
                share = elapsed_s / self._load_s
                self._progress.show(f"{bar(share)} {elapsed_s:4.1f} s  {load.pages:,} pages  {calls:,} calls")
                time.sleep(TURN_S)
            load.stop()
        self._progress.say(f"{load.pages:,} pages were answered, {load.failures:,} broke off")
        return scenes

    def _check(self, server: Server, scenes: Scenes, elapsed_s: float) -> None:
        if not server.is_running:
            raise Trouble(f"Gunicorn ended early:\n{tail(self._place.log)}")
        if elapsed_s > self._load_s + PATIENCE_S:
            raise Trouble(f"waited {PATIENCE_S:g} s in vain to: {scenes.waits_for}\n{tail(self._place.log)}")

    def _end(self, server: Server, environment: dict[str, str]) -> None:
        """Stop the workers, and wait for the collector to deliver everything and to leave by itself."""
        self._progress.show("stopping Gunicorn")
        if not server.stop():
            raise Trouble(f"Gunicorn did not stop when asked to:\n{tail(self._place.log)}")
        left = delivery.wait_until_delivered(environment, self._progress)
        if left:
            delivery.print_status(environment)
            raise Trouble(f"not delivered in time: {left}\n{tail(self._place.collector_log)}")
        if not delivery.wait_until_collector_left(self._place, self._progress):
            raise Trouble("the collector does not leave although there is nothing to do")

    def _tell(self, scenes: Scenes, environment: dict[str, str]) -> int:
        accounts = self._compare(scenes)
        self._progress.say("")
        delivery.print_report(environment)
        self._print_accounts(accounts)
        if accounts.problems():
            print("\nNOT ACCOUNTED FOR\n" + "\n".join(f"  {problem}" for problem in accounts.problems()), flush=True)
            delivery.print_status(environment)
            return NOT_ACCOUNTED
        print("\nEvery call is accounted for, and none is counted twice.")
        return OK

    def _compare(self, scenes: Scenes) -> Accounts:
        in_flight, requests = Counter[Request](), Counter[Request]()
        for killed in scenes.killed:
            in_flight.update(killed.in_flight)
        for (provider, path, _status), number in self._stand_in.counts().items():
            requests[provider, path] += number
        try:
            delivered = read_delivered(self._place.file)
        except (OSError, ValueError, KeyError) as exc:
            raise Trouble(f"{self._place.file} cannot be read: {exc}") from exc
        return compare(self._by_endpoint(requests), delivered, self._by_endpoint(in_flight))

    def _by_endpoint(self, requests: Mapping[Request, int]) -> Counter[Endpoint]:
        """From what was asked of whom to provider and endpoint as recost names them."""
        registry = ProviderRegistry(providers.rules_for(self._stand_in.urls()))
        endpoints: Counter[Endpoint] = Counter()
        for (provider, path), number in requests.items():
            found = registry.match(self._stand_in.url(provider) + path)
            endpoints[(found.provider, found.endpoint_category) if found else ("unknown", path)] += number
        return endpoints

    def _print_accounts(self, accounts: Accounts) -> None:
        print(f"\ncalls counted by the stand-ins        {accounts.counted:>7,}")
        print(f"calls accounted for in the file       {accounts.delivered:>7,}")
        for provider, (counted, delivered) in by_provider(accounts.rows).items():
            print(f"    {provider:10} {delivered:,} of {counted:,}")
        print(f"calls in flight in the killed worker  {accounts.in_flight:>7,}  (each may be missing)")
        unfinished = "  (of those in flight: never finished)" if accounts.missing and not accounts.problems() else ""
        print(f"calls missing                         {accounts.missing:>7,}{unfinished}")
        print(f"\nfile  {self._place.file}")
        print("      (kept until the next run; everything else is removed now)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
