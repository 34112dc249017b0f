"""Pools of every kind and start method: what the children called, and with whose config."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Callable

import pytest

import recost
from examples.standins import ProviderStandIn
from recost import RecostConfig, _runtime
from recost.workers.multiprocessing import Initializer, Pool, ProcessPoolExecutor, _restore, initializer
from tests.harness import run_child
from tests.processes.support import ROOT, Api, counts, run_program, wait_until_delivered, wait_until_idle, windows

PROGRAM = Path(__file__).with_name("pool_program.py")
KEY = "rc-a-key-that-nobody-may-see"

LOOKS_FOR_THE_KEY = """
import contextlib, multiprocessing, pathlib, sys, recost
from recost.workers.multiprocessing import Pool

def key():
    return recost._runtime.current.settings.api_key

def seen(key):
    count = 0
    for file in [*pathlib.Path("/proc").glob("[0-9]*/cmdline"), *pathlib.Path("/proc").glob("[0-9]*/environ")]:
        with contextlib.suppress(OSError):
            count += key.encode() in file.read_bytes()
    return count

if __name__ == "__main__":
    recost.init(api_key=sys.argv[2][::-1], project_id="shop", base_url="https://127.0.0.3:9")
    with Pool(1, context=multiprocessing.get_context(sys.argv[1])) as pool:
        print(pool.apply(key), seen(sys.argv[2][::-1]), seen(sys.argv[2]))
"""

INHERITED = ["Pool", "ProcessPoolExecutor"]
SENT = [
    "Pool(initializer=)",
    "ProcessPoolExecutor(initializer=)",
    "recost Pool",
    "recost Pool(own initializer)",
    "recost ProcessPoolExecutor",
]


@pytest.mark.parametrize(
    ("kind", "method"),
    [(kind, "fork") for kind in [*INHERITED, "recost Pool(own initializer)", "SIGKILL"]]
    + [(kind, "spawn") for kind in SENT]
    + [(kind, "forkserver") for kind in ["Pool(initializer=)", "recost ProcessPoolExecutor", "SIGKILL"]],
)
def test_children_of_any_kind_and_start_method_capture_as_their_parent_does(api: Api, kind: str, method: str):
    called = int(run_program(PROGRAM, kind, method, api.url))
    wait_until_delivered(1 + called, "pool")
    assert counts("pool") == {"/parent": 1, "/child": called}
    assert {window["environment"] for window in windows("pool")} == {"of the parent"}


def test_spawned_children_without_the_helper_do_not_capture(api: Api):
    """The control: it is the helper that sends the config."""
    run_program(PROGRAM, "Pool", "spawn", api.url)
    wait_until_idle()
    assert counts("pool") == {"/parent": 1}


def test_the_example_accounts_for_all_of_its_processes():
    with ProviderStandIn(error_rate=0, latency_scale=0.1) as providers:
        output = run_program(ROOT / "examples" / "pool.py", "forkserver", GITHUB_URL=providers.url("github"))
        assert output.count("stars") == providers.total() == 5
        wait_until_delivered(5, "pool")


def test_the_config_is_the_one_of_the_moment_at_which_a_child_is_started():
    """As with a fork: what is sent is not what was there when the pool was made."""

    def parent():
        made = Initializer()
        assert received(made)._config is None
        with recost.init(project_id="first", exclude_hosts=["a.example"], local_file_max_bytes=4096):
            config = received(made)._config
            assert config is not None
            assert config == _runtime.current.settings  # type: ignore[union-attr]
        assert received(made)._config is None
        recost.init(project_id="second")
        assert received(initializer)._config.project_id == "second"  # type: ignore[union-attr]

    assert run_child(parent) == 0


@pytest.mark.parametrize(
    ("on_error", "arrives"), [(print, True), (lambda error: None, False), (threading.Lock().acquire, False)]
)
def test_an_on_error_that_cannot_be_sent_stays_at_home(on_error: Callable[[Exception], object], arrives: bool):
    def parent():
        recost.init(project_id="shop", on_error=on_error)
        config = received(initializer)._config
        assert config is not None
        assert config.project_id == "shop"
        assert config.on_error is (on_error if arrives else None)

    assert run_child(parent) == 0


def test_an_on_error_that_is_not_found_in_the_child_does_not_keep_it_from_capturing():
    """A function of the main module, below the ``if`` that a spawned child skips."""
    sent = pickle.dumps(print).replace(b"print", b"prant")
    restored = _restore(None, RecostConfig(project_id="shop"), sent)
    assert restored._config == RecostConfig(project_id="shop")


def test_a_child_that_called_init_itself_keeps_its_own():
    def child():
        recost.init(project_id="own")
        Initializer(config=RecostConfig(project_id="sent"))()
        assert _runtime.current.settings.project_id == "own"  # type: ignore[union-attr]

    assert run_child(child) == 0


def test_a_child_that_cannot_capture_works_all_the_same(caplog: pytest.LogCaptureFixture):
    """Raising, it would have the pool start one child after the other, for ever."""
    done: list[int] = []
    Initializer(done.append, RecostConfig(project_id="not a name"))(1)
    assert done == [1]
    assert "captures nothing" in caplog.text
    assert "project_id" in caplog.text


@pytest.mark.parametrize("make", [Pool, ProcessPoolExecutor])
def test_what_is_no_initializer_is_refused_as_the_originals_refuse_it(make: Callable[..., object]):
    with pytest.raises(TypeError, match="initializer must be a callable"):
        make(1, initializer="no function")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_key_is_sent_without_being_seen(tmp_path: Path, method: str):
    """In no argument and no environment of any process, although the child has it."""
    program = tmp_path / "program.py"
    program.write_text(LOOKS_FOR_THE_KEY)
    had, seen, control = run_program(program, method, KEY[::-1]).split()
    assert (had, seen) == (KEY, "0")
    assert int(control) >= 1


def received(sent: Initializer) -> Initializer:
    """What arrives in a child."""
    arrived: Initializer = pickle.loads(pickle.dumps(sent))
    return arrived
