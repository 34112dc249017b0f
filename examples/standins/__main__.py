"""``python -m examples.standins``: start the stand-ins, say where they listen, and serve until interrupted.

What it says are lines for another shell, with the variables that the examples read.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import threading
from typing import Any

from examples.standins import PROVIDERS, CloudStandIn, ProviderStandIn

NOT_BINDABLE = 2


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    providers = ProviderStandIn(port=options.port, error_rate=options.error_rate, latency_scale=options.latency_scale)
    keys = options.key or ["rc-stand-in"]
    cloud = CloudStandIn(keys=keys, port=options.cloud_port)
    with contextlib.ExitStack() as running:
        try:
            running.enter_context(providers)
            running.enter_context(cloud)
        except OSError as exc:
            print(f"cannot listen: {exc}", file=sys.stderr)
            return NOT_BINDABLE
        interrupted = _heed_signals()  # before anybody can know that we listen, and interrupt us
        _say(providers, cloud, keys, as_json=options.json)
        interrupted.wait()
        print(json.dumps({"calls": providers.total(), "windows": len(cloud.unique_windows())}), flush=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.standins",
        description="Servers on loopback that stand in for a few API providers and for the recost service.",
        epilog="example: python -m examples.standins --error-rate 0.1, then curl 127.0.0.2:PORT/v1/embeddings -d '{}'",
    )
    parser.add_argument("--port", type=int, default=0, help="of the providers, the same for each (default: any)")
    parser.add_argument("--cloud-port", type=int, default=0, help="of the recost service (default: any)")
    parser.add_argument("--key", action="append", help="an API key that the service takes (default: rc-stand-in)")
    parser.add_argument("--error-rate", type=float, default=0.03, help="share of calls that fail (default: 0.03)")
    parser.add_argument("--latency-scale", type=float, default=1.0, help="0 answers at once (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the addresses as one line of JSON")
    return parser


def _say(providers: ProviderStandIn, cloud: CloudStandIn, keys: list[str], *, as_json: bool) -> None:
    addresses: dict[str, Any] = {"providers": providers.urls(), "cloud": cloud.url}
    if as_json:
        print(json.dumps(addresses), flush=True)
        return
    for provider in PROVIDERS:
        variable = f"{provider.name.upper()}_URL"
        print(f"export {variable}={providers.url(provider.name)}  # stands in for {provider.real_host}")
    print('export OPENAI_BASE_URL="$OPENAI_URL/v1"  # where its SDK looks')
    print(f"# {cloud.url} stands in for the recost service, as base_url, and takes {' '.join(keys)}", flush=True)


def _heed_signals() -> threading.Event:
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    return interrupted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
