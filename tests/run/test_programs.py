"""Programs that know nothing of recost: what they called is in the file, and they do not notice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.support import (
    Api,
    collectors,
    counts,
    delivered,
    rings,
    wait_until_delivered,
    wait_until_idle,
    windows,
)
from tests.run.running import CALLS, CALLS_FIVE_TIMES, recost_run, write

POOL_PROGRAM = Path(__file__).parents[1] / "processes" / "pool_program.py"

EVERY_CLIENT_AT_ONCE = """
import importlib, sys, threading
sys.setswitchinterval(1e-6)
together = threading.Barrier(4)

def call(client, url):
    together.wait()
    module = importlib.import_module(client)
    if client == "urllib3":
        with module.PoolManager(retries=False) as pools:
            pools.request("GET", url, timeout=20)
    elif client == "aiohttp":
        import asyncio
        async def ask():
            async with module.ClientSession() as session, session.get(url) as response:
                await response.read()
        asyncio.run(ask())
    else:
        module.get(url, timeout=20)

threads = [threading.Thread(target=call, args=(client, f"{sys.argv[1]}/{client}"))
           for client in ("urllib3", "requests", "httpx", "aiohttp")]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""

IMPORTED_WHILE_ANOTHER_IS_LOOKED_FOR = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "httpx" and "urllib3" not in sys.modules:
            import urllib3
            urllib3.PoolManager(retries=False).request("GET", sys.argv[1] + "/urllib3", timeout=20).close()

sys.meta_path.insert(0, Finder())
import httpx
httpx.get(sys.argv[1] + "/httpx", timeout=20).close()
"""

SLOW_TO_IMPORT = """
import importlib, pathlib, sys, time

sys.path.remove(str(pathlib.Path(__file__).parent))
print("slow", flush=True)
end = time.monotonic() + 20
while "recost" not in sys.modules and time.monotonic() < end:
    time.sleep(0.001)
del sys.modules["msgspec"]
globals().update(vars(importlib.import_module("msgspec")))
"""

IMPORTS_WHAT_RECOST_NEEDS = """
import sys, threading

thread = threading.Thread(target=__import__, args=("msgspec",))
thread.start()
while "msgspec" not in sys.modules:
    pass
import urllib3
thread.join()
urllib3.PoolManager(retries=False).request("GET", sys.argv[1], timeout=20).close()
"""

SPAWNED_POOL = """
import multiprocessing, sys, urllib3

def call(url):
    with urllib3.PoolManager(retries=False) as pools:
        return pools.request("GET", url, timeout=20).status

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        assert pool.map(call, [sys.argv[2]] * 12, chunksize=1) == [200] * 12
        pool.close()
        pool.join()
"""

CHILD_PROCESSES = f"""
import subprocess, sys
for _ in range(2):
    subprocess.run([sys.executable, "-c", {CALLS_FIVE_TIMES!r}, sys.argv[1]], check=True)
"""

OWN_INIT = f"""
import sys
if {{after}}:
    import urllib3
import recost
recost.init({{settings}})
{CALLS_FIVE_TIMES}
"""

USES_NO_CLIENT = """
import os, sys
print(sorted(name for name in sys.modules if name.startswith("recost")), os.listdir(os.environ["HOME"]))
"""

CALLS_NOBODY = """
import sys, requests, threading
print("recost" in sys.modules, threading.active_count())
"""


def test_a_script_is_captured_and_keeps_its_pid_its_output_and_its_exit_code(api: Api, tmp_path: Path):
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES + "sys.exit(7)")
    ended = recost_run(sys.executable, "-W", "error", script, api.url, code=7)
    assert (ended.output, ended.errors) == (f"done in {ended.pid}\n", "")
    wait_until_delivered(CALLS)
    assert {window["environment"] for window in windows()} == {"development"}


def test_the_console_script_takes_settings_from_the_environment(api: Api, tmp_path: Path):
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES)
    environ = {**os.environ, "RECOST_PROJECT_ID": "shop", "RECOST_ENVIRONMENT": "staging"}
    command = [str(Path(sys.executable).with_name("recost-run")), "--", sys.executable, str(script), api.url]
    subprocess.run(command, check=True, env=environ, capture_output=True)
    wait_until_delivered(CALLS, "shop")
    assert {window["environment"] for window in windows("shop")} == {"staging"}


def test_clients_that_threads_import_at_the_same_moment_are_all_captured(api: Api, tmp_path: Path):
    recost_run(sys.executable, write(tmp_path / "script.py", EVERY_CLIENT_AT_ONCE), api.url)
    wait_until_delivered(4)
    assert counts() == {"/urllib3": 1, "/requests": 1, "/httpx": 1, "/aiohttp": 1}


def test_a_client_that_is_imported_while_another_is_looked_for_hides_neither(api: Api, tmp_path: Path):
    """Python goes on in the list of finders where it was, and recost's own is in front of that place by then."""
    recost_run(sys.executable, write(tmp_path / "script.py", IMPORTED_WHILE_ANOTHER_IS_LOOKED_FOR), api.url)
    wait_until_delivered(2)
    assert counts() == {"/urllib3": 1, "/httpx": 1}


def test_no_import_waits_for_a_thread_that_is_importing_what_recost_needs(api: Api, tmp_path: Path):
    """Who starts recost while Python looks for a client holds the lock of all imports, and both wait for ever."""
    slow = write(tmp_path / "slow" / "msgspec.py", SLOW_TO_IMPORT).parent
    script = write(
        tmp_path / "script.py", f"import sys\nsys.path.insert(0, {str(slow)!r})\n{IMPORTS_WHAT_RECOST_NEEDS}"
    )
    assert recost_run(sys.executable, script, api.url).output == "slow\n"
    wait_until_delivered(1)


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_pool_of_any_start_method_is_captured(api: Api, tmp_path: Path, method: str):
    recost_run(sys.executable, write(tmp_path / "script.py", SPAWNED_POOL), method, api.url)
    wait_until_delivered(12)


def test_processes_that_the_program_starts_are_captured(api: Api, tmp_path: Path):
    recost_run(sys.executable, write(tmp_path / "script.py", CHILD_PROCESSES), api.url)
    wait_until_delivered(2 * CALLS)


def test_a_program_without_a_client_does_not_even_load_recost(tmp_path: Path):
    ended = recost_run(sys.executable, write(tmp_path / "script.py", USES_NO_CLIENT))
    assert (ended.output, ended.errors) == ("[] []\n", "")


def test_a_program_without_calls_leaves_no_trace(tmp_path: Path):
    ended = recost_run(sys.executable, write(tmp_path / "script.py", CALLS_NOBODY))
    assert ended.output == "True 1\n"
    assert not rings()
    assert not collectors()
    assert not list(Path(os.environ["HOME"]).iterdir())


@pytest.mark.parametrize("after", [True, False], ids=["after the client", "before the client"])
def test_a_program_s_own_init_counts_and_nothing_is_counted_twice(api: Api, tmp_path: Path, after: bool):
    """Nor is there a warning of two, for the program has called it once."""
    script = write(tmp_path / "script.py", OWN_INIT.format(after=after, settings="project_id='own'"))
    ended = recost_run(sys.executable, script, api.url)
    assert ended.errors == ""
    wait_until_delivered(CALLS, "own")
    assert not windows("default")


@pytest.mark.parametrize("after", [True, False], ids=["after the client", "before the client"])
def test_a_program_that_switches_recost_off_stays_without(api: Api, tmp_path: Path, after: bool):
    script = write(tmp_path / "script.py", OWN_INIT.format(after=after, settings="enabled=False"))
    recost_run(sys.executable, script, api.url)
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


def test_a_pool_s_children_keep_what_their_parent_was_configured_with(api: Api):
    """They import a client before the pool's initializer runs, and it is the initializer that counts."""
    ended = recost_run(sys.executable, POOL_PROGRAM, "recost Pool", "spawn", api.url)
    wait_until_delivered(1 + int(ended.output), "pool")
    assert not windows("default")


def test_it_may_be_written_twice(api: Api, tmp_path: Path):
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES)
    recost_run(sys.executable, "-m", "recost.run", sys.executable, script, api.url)
    wait_until_delivered(CALLS)


def test_switched_off_it_captures_nothing(api: Api, tmp_path: Path):
    recost_run(sys.executable, write(tmp_path / "script.py", CALLS_FIVE_TIMES), api.url, RECOST_ENABLED="0")
    wait_until_idle()
    assert (api.calls, delivered()) == (CALLS, 0)
