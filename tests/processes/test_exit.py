"""How a program ends, and what that does to its calls; and one that makes none."""

from __future__ import annotations

import os
import signal

import pytest

from tests import leaks
from tests.conftest import Place
from tests.harness import END_S, wait_until
from tests.processes.support import (
    Api,
    delivered,
    program,
    run_program,
    wait_for_leader,
    wait_until_delivered,
    wait_until_idle,
)

CALLS = """
import os, signal, sys, urllib3, recost
handle = recost.init(**eval(sys.argv[2]))
for _ in range(12):
    urllib3.PoolManager().request("GET", sys.argv[1])
"""


def test_what_a_script_called_is_delivered_when_it_has_ended(api: Api):
    """Exit waits for the delivery, so nothing needs to be waited for after it."""
    run_program("-c", CALLS, api.url, "{}")
    assert delivered() == api.calls == 12
    wait_until_idle()


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise KeyError('x')"])
def test_a_script_that_fails_delivers_too(api: Api, ending: str):
    run_program("-c", CALLS + ending, api.url, "{}", code=3 if "exit" in ending else 1)
    assert delivered() == 12
    wait_until_idle()


def test_a_script_without_exit_hook_is_delivered_by_the_collector(api: Api):
    once_it_leads = """
from recost.leader import read_leader
while read_leader(os.environ["RECOST_RUNTIME_DIR"]) is None:
    pass
os._exit(0)
"""
    run_program("-c", CALLS + once_it_leads, api.url, "{'auto_shutdown_handlers': False}")
    wait_until_delivered(12)


def test_without_exit_hook_and_without_waiting_exit_is_not_held_up(api: Api):
    """The same with an ordinary exit: no hook of ours runs, and no thread of ours is waited for."""
    run_program("-c", CALLS, api.url, "{'auto_shutdown_handlers': False, 'collector': 'external'}")
    assert delivered() == 0
    run_program("-c", CALLS, api.url, "{}")
    wait_until_delivered(24)


def test_exit_starts_the_collector_that_no_look_has_started(api: Api):
    """The only call is made by an exit hook, when threads can be started no more (3.12 on)."""
    late = """
import atexit, sys, urllib3, recost
recost.init()
atexit.register(urllib3.PoolManager().request, "GET", sys.argv[1])
"""
    run_program("-c", late, api.url)
    assert delivered() == 1
    wait_until_idle()


def test_sigterm_to_a_program_amid_its_calls_loses_at_most_the_one_under_way(api: Api):
    endless = """
import sys, urllib3, recost
recost.init()
pools = urllib3.PoolManager()
while True:
    pools.request("GET", sys.argv[1])
"""
    with program("-c", endless, api.url) as process:
        wait_until(lambda: api.calls > 50)
        wait_for_leader()
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == -signal.SIGTERM
    wait_until_idle()
    assert api.calls - 1 <= delivered() <= api.calls


@pytest.mark.parametrize("start", ["", "handle = recost.init(); ", "handle = recost.init(collector='thread'); "])
def test_a_program_without_calls_leaves_no_file_process_or_thread(place: Place, start: str):
    """With and without init(), and it exits at once."""
    look = "import os, threading, urllib3; print(threading.active_count(), os.listdir('/proc/self/task'), os.getpid())"
    output = run_program("-c", f"import recost; {start}{look}")
    threads, tasks, pid = output.replace("[", "").replace("]", "").split()
    assert threads == "1"
    assert tasks == f"'{pid}'"
    assert not leaks.processes(os.environ["RECOST_RUNTIME_DIR"])
    assert [path for folder in place for path in folder.rglob("*")] == []


def test_a_program_that_only_calls_this_machine_leaves_nothing(place: Place):
    """Excluded calls are dropped in the worker."""
    refused = """
import contextlib, recost, urllib3
recost.init()
with contextlib.suppress(urllib3.exceptions.HTTPError):
    urllib3.PoolManager().request("GET", "http://127.0.0.1:9/", retries=False)
"""
    run_program("-c", refused)
    assert [path for folder in place for path in folder.rglob("*")] == []


def test_dispose_with_nobody_to_deliver_waits_no_longer_than_configured(api: Api):
    """``external``, and no collector comes."""
    timed = CALLS + "import time; t = time.monotonic(); handle.dispose(); print(time.monotonic() - t)"
    output = run_program("-c", timed, api.url, "{'collector': 'external', 'shutdown_flush_timeout_ms': 300}")
    assert 0.3 <= float(output) < 15, "not the minute of the environment"
    run_program("-c", CALLS, api.url, "{}")
    wait_until_delivered(24)


@pytest.mark.parametrize("collector", ["auto", "thread"])
def test_nothing_is_imported_after_init(api: Api, collector: str):
    """A module that one of our threads, or a first call, imports while the program forks hangs the child's import."""
    script = """
import sys, urllib3, recost
urllib3.PoolManager().request("GET", sys.argv[1])  # urllib3 imports with its first call
handle = recost.init(collector=sys.argv[2])
known = set(sys.modules)
urllib3.PoolManager().request("GET", sys.argv[1])
assert handle.flush_blocking(60)
handle.dispose()
print(sorted(set(sys.modules) - known))
"""
    assert run_program("-c", script, api.url, collector) == "[]\n"
    assert delivered() == 1
    wait_until_idle()
