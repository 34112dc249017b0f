"""scripts/demo ends by itself, is right about what it says, leaves nothing behind, and can say no."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from examples.demo.accounts import Delivered, by_provider, compare, read_delivered
from examples.demo.place import Busy, Place
from examples.helpdesk.providers import PATHS, rules_for
from examples.helpdesk.under_way import VARIABLE, read_under_way, under_way
from examples.standins import PROVIDERS
from recost import ProviderRegistry
from tests.harness import END_S, start_child, wait_for_child

ROOT = Path(__file__).parents[1]
OK, NOT_ACCOUNTED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
LIMIT_S = 200
CHAT = ("openai", "chat_completions")
SMS = ("twilio", "sms")


def start_demo(keep, *options):
    """In a short form. Its name in a process list, and the environment of all that it starts, name ``keep``."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "collector")])
    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", "--seconds", "2", "--keep", str(keep), *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def folders_of(pid):
    """Those that a demo makes for itself and removes."""
    return [found for base in (tempfile.gettempdir(), "/dev/shm") for found in Path(base).glob(f"recost-demo-{pid}-*")]


def number_in(output, what):
    line = next(line for line in output.splitlines() if line.startswith(what))
    return int(line[len(what) :].split()[0].replace(",", ""))


def test_every_call_is_accounted_for_though_a_worker_and_the_collector_are_killed(place):
    with start_demo(place.local) as demo:
        output, errors = demo.communicate(timeout=LIMIT_S)

    assert (demo.returncode, errors) == (OK, ""), output + errors
    assert "stand-ins" in output.splitlines()[0]
    assert "SIGKILL to worker" in output
    assert "SIGKILL to the collector" in output
    before, found, result = output.partition("\n\nTOTAL COST  $")
    assert found
    assert "calls counted" not in before
    counted = number_in(result, "calls counted by the stand-ins")
    delivered = number_in(result, "calls accounted for in the file")
    in_flight, missing = number_in(result, "calls in flight in the killed worker"), number_in(result, "calls missing")
    assert counted - delivered == missing <= in_flight
    kept = place.local / "helpdesk.jsonl"
    assert f"file  {kept}\n" in result
    assert sum(read_delivered(kept).calls.values()) == delivered
    assert set(read_delivered(kept).calls) >= {CHAT, SMS, ("anthropic", "messages"), ("github", "repos")}
    assert list(place.local.iterdir()) == [kept]
    assert folders_of(demo.pid) == []


def test_a_call_that_recost_did_not_see_is_missed(place):
    """The control: one call to a stand-in from a process without recost, and the demo fails, naming it."""
    with start_demo(place.local) as demo:
        assert demo.stdout is not None
        url = next(line for line in demo.stdout if line.startswith("  openai")).split()[1]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/v1/uncounted", timeout=10)
        output, errors = demo.communicate(timeout=LIMIT_S)

    assert (demo.returncode, errors) == (NOT_ACCOUNTED, "")
    assert "openai other: 1 of 1 calls are missing" in output
    assert folders_of(demo.pid) == []


def test_ctrl_c_ends_everything(place):
    with start_demo(place.local, "--seconds", "60") as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if re.search(r" [1-9][0-9,]* calls$", line))
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=END_S)

    assert demo.returncode == INTERRUPTED
    assert errors == "\ndemo: interrupted; all that it started has ended\n"
    assert folders_of(demo.pid) == []


def test_without_the_addresses_it_says_how_to_add_them_and_starts_nothing(place):
    """240.0.0.1 is no machine's own address, as 127.0.0.2 is none of macOS's."""
    with start_demo(place.local / "new", "--first-address", "240.0.0.1") as demo:
        output, errors = demo.communicate(timeout=END_S)

    assert demo.returncode == CANNOT_RUN
    addresses = " ".join(f"240.0.0.{n}" for n in range(1, 6))
    assert f"for address in {addresses}; do sudo ifconfig lo0 alias $address up; done\n" in errors
    assert output == ""
    assert not (place.local / "new").exists()


def test_a_second_demo_does_not_write_into_the_folder_of_the_first(place):
    with Place(place.local):
        with pytest.raises(Busy, match="--keep"):
            Place(place.local).__enter__()
        with start_demo(place.local) as demo:
            _, errors = demo.communicate(timeout=END_S)
        assert demo.returncode == CANNOT_RUN
        assert f"another demo writes to {place.local}" in errors


@pytest.mark.parametrize(
    ("counted", "delivered", "in_flight"),
    [({CHAT: 10}, {CHAT: 10}, {}), ({CHAT: 10, SMS: 5}, {CHAT: 8, SMS: 5}, {CHAT: 2, SMS: 1})],
)
def test_what_the_killed_worker_had_in_flight_may_be_missing(counted, delivered, in_flight):
    accounts = compare(counted, Delivered(Counter(delivered), 0), in_flight)

    assert accounts.problems() == []
    assert accounts.missing == accounts.counted - accounts.delivered


@pytest.mark.parametrize(
    ("counted", "delivered", "in_flight", "problem"),
    [
        ({CHAT: 10}, {CHAT: 9}, {}, "openai chat_completions: 1 of 10 calls are missing"),
        ({CHAT: 10, SMS: 5}, {CHAT: 9, SMS: 5}, {SMS: 3}, "openai chat_completions: 1 of 10 calls are missing"),
        ({CHAT: 10}, {CHAT: 7}, {CHAT: 2}, "the killed worker had only 2 of them in flight"),
        ({CHAT: 10}, {CHAT: 11}, {CHAT: 2}, "openai chat_completions: 11 calls are in the file, 1 more than were made"),
        ({CHAT: 10}, {CHAT: 10, SMS: 1}, {}, "twilio sms: 1 calls are in the file, 1 more than were made"),
        ({}, {}, {}, "no call at all"),
    ],
)
def test_nothing_else_may_be(counted, delivered, in_flight, problem):
    accounts = compare(counted, Delivered(Counter(delivered), 0), in_flight)

    assert [problem in found for found in accounts.problems()] == [True]


def test_a_window_that_was_written_twice_is_seen_even_where_calls_are_missing(tmp_path):
    entry = {"provider": CHAT[0], "endpoint": CHAT[1], "requestCount": 2}
    file = tmp_path / "telemetry.jsonl"
    file.write_text(2 * (json.dumps({"windowStart": "a", "metrics": [entry]}) + "\n"))

    delivered = read_delivered(file)

    assert delivered == Delivered(Counter({CHAT: 4}), 1)
    assert compare({CHAT: 5}, delivered, {CHAT: 4}).problems() == ["1 windows are in the file twice"]


def test_calls_are_summed_by_provider():
    accounts = compare({CHAT: 3, ("openai", "embeddings"): 4, SMS: 1}, Delivered(Counter({CHAT: 3, SMS: 1}), 0), {})

    assert by_provider(accounts.rows) == {"openai": (7, 3), "twilio": (1, 1)}


def test_calls_under_way_in_a_killed_process_are_known(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))

    def die_in_a_call():
        with under_way("github", "/users/ada"):
            pass
        with under_way("openai", "/v1/embeddings"), under_way("github", "/users/ada"):
            os.kill(os.getpid(), signal.SIGKILL)

    pid = start_child(die_in_a_call)

    assert wait_for_child(pid) == -signal.SIGKILL
    assert read_under_way(str(tmp_path)) == {
        pid: Counter({("openai", "/v1/embeddings"): 1, ("github", "/users/ada"): 1})
    }


def test_stand_ins_have_the_names_and_prices_of_those_they_stand_for():
    urls = {provider.name: f"http://{provider.host}:1234" for provider in PROVIDERS}
    real, stand_in = ProviderRegistry(), ProviderRegistry(rules_for(urls))

    for provider in PROVIDERS:
        for path in (*PATHS[provider.name], "/something/else"):
            expected = real.match(f"https://{provider.real_host}{path}")
            assert stand_in.match(urls[provider.name] + path) == expected
            assert expected is not None
            assert expected.provider == provider.name
