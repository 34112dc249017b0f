"""What recost itself says of delivery and cost: its command line, asked from outside like anybody would."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from examples.demo.place import POLL_S, Place, collector_is_gone
from examples.demo.progress import Progress

DELIVERED_S = 20.0
"""How long the collector may take to deliver what is left when the workers are gone."""
LEFT_S = 15.0
COMMAND = [sys.executable, "-m", "recost_collector"]


def wait_until_delivered(environment: dict[str, str], progress: Progress) -> str:
    """Wait until no ring holds anything, no window is open and none waits. What is left then; empty: nothing."""
    give_up_at = time.monotonic() + DELIVERED_S
    while True:
        left = _left(_status(environment))
        if not left or time.monotonic() > give_up_at:
            return left
        progress.show(f"waiting for the collector to deliver: {left}")
        time.sleep(POLL_S)


def wait_until_collector_left(place: Place, progress: Progress) -> bool:
    """Wait for the collector to leave by itself, as it does when nothing is to be done any more."""
    give_up_at = time.monotonic() + LEFT_S
    while not collector_is_gone(place.runtime):
        if time.monotonic() > give_up_at:
            return False
        progress.show("waiting for the collector to leave")
        time.sleep(POLL_S)
    return True


def print_report(environment: dict[str, str]) -> None:
    """``recost-collector report``, to the same terminal: all calls, and the LLMs among them."""
    for more in ([], ["--by", "model"]):
        subprocess.run([*COMMAND, "report", *more], env=environment, check=True)


def print_status(environment: dict[str, str]) -> None:
    """``recost-collector status``, for whoever looks for what went wrong."""
    subprocess.run([*COMMAND, "status"], env=environment, check=False)


def _status(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run([*COMMAND, "status", "--json"], env=environment, stdout=subprocess.PIPE, check=False)
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def _left(status: dict[str, Any]) -> str:
    amounts = {
        "rings of workers": len(status["rings"]),
        "open windows": status["open_sessions"],
        "waiting windows": sum(found["waiting"] + found["parked"] for found in status["destinations"]),
    }
    return ", ".join(f"{amount} {what}" for what, amount in amounts.items() if amount)
