"""Forked children count for themselves, whoever forked them and however they end."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
from typing import Callable

import pytest

import recost
from recost import _runtime
from recost.leader import has_leader
from tests.conftest import Place
from tests.harness import run_child, start_child, wait_for_child, wait_until
from tests.processes.support import Api, Mail, call, delivered, wait_for_leader, wait_until_delivered

ENDINGS: dict[str, Callable[[], object]] = {
    "_exit": lambda: os._exit(0),
    "SIGTERM": lambda: signal.raise_signal(signal.SIGTERM),
    "SIGKILL": lambda: signal.raise_signal(signal.SIGKILL),
}


def test_a_fork_with_unsent_events_in_the_parent_counts_nothing_twice(api: Api):
    """Nobody collects before all is over, so every event of the parent is unsent when it forks."""

    def parent():
        recost.init(collector="external")
        call(api.url, 5)
        child = start_child(lambda: (call(api.url, 3), os._exit(0)))
        call(api.url, 2)
        assert wait_for_child(child) == 0
        os._exit(0)

    assert run_child(parent) == 0
    assert delivered() == 0
    assert run_child(lambda: (recost.init(), call(api.url), wait_for_leader())) == 0
    wait_until_delivered(11)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_process_that_ends_without_a_word_loses_nothing(api: Api, ending: str):
    def parent():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        recost.init()
        call(api.url, 2)
        wait_for_leader()  # started by a thread of ours, which a process that ends at once does not let get that far
        for _ in range(3):
            wait_for_child(start_child(lambda: (call(api.url, 7), ENDINGS[ending]())))
        call(api.url)
        ENDINGS[ending]()

    run_child(parent)
    wait_until_delivered(24)


def test_each_generation_of_forks_counts_for_itself(api: Api):
    def generation(depth: int):
        call(api.url, depth)
        if depth:
            assert run_child(lambda: generation(depth - 1)) == 0
        else:
            wait_for_leader()
        call(api.url)
        os._exit(0)

    assert run_child(lambda: (recost.init(), generation(5))) == 0
    wait_until_delivered(5 + 4 + 3 + 2 + 1 + 6)


def test_a_child_of_a_parent_that_never_called_counts(api: Api):
    """``preload_app`` is this: the fork comes between init() and the first call."""

    def parent():
        recost.init()
        children = [start_child(lambda: (call(api.url, 10), wait_for_leader())) for _ in range(4)]
        assert [wait_for_child(pid) for pid in children] == [0] * 4

    assert run_child(parent) == 0
    wait_until_delivered(40)


def test_a_fork_amid_the_calls_of_other_threads_disturbs_neither_side(api: Api):
    """Any lock of ours may be held by another thread at the instant of the fork; the child must not wait for it."""

    def parent():
        call(api.url)  # for what urllib3 imports with its first call: an import amid a fork hangs the child's
        recost.init()
        threads = [threading.Thread(target=call, args=(api.url, 150)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(15):
            assert run_child(lambda: call(api.url, 3)) == 0
        for thread in threads:
            thread.join()

    assert run_child(parent) == 0
    wait_until_delivered(4 * 150 + 15 * 3)


def test_a_fork_amid_looks_for_the_leader_inherits_no_lock(place: Place):
    """A look takes the leader lock for an instant. A child that kept a copy would be taken for the leader."""
    directory = str(place.runtime)
    with Mail() as over:

        def look():
            while not over.is_there:
                has_leader(directory)

        def parent():
            thread = threading.Thread(target=look)
            thread.start()
            children = [start_child(over.wait) for _ in range(100)]
            wait_until(lambda: not has_leader(directory), what="the lock to be free")
            over.put()
            thread.join()
            assert [wait_for_child(pid) for pid in children] == [0] * len(children)

        assert run_child(parent) == 0


def test_an_unannounced_fork_is_noticed_told_once_and_loses_nothing(api: Api):
    """A fork() of C, as uWSGI's: none of Python's at-fork hooks has run in the child."""
    heard: list[tuple[str, bool]] = []

    def on_error(error: Exception):
        heard.append((repr(error), threading.current_thread() is threading.main_thread()))

    with Mail() as report:

        def child():
            call(api.url, 3)
            wait_until(lambda: heard, what="on_error")
            assert recost.flush(60)
            report.put(json.dumps(heard).encode())

        def parent():
            recost.init(on_error=on_error)
            call(api.url, 4)
            wait_for_quiet_watcher()
            pid = ctypes.PyDLL(None).fork()  # with the GIL in hand
            if pid == 0:
                child()
                os._exit(0)
            call(api.url, 2)
            assert wait_for_child(pid) == 0
            assert not heard

        assert run_child(parent) == 0
        [(error, on_main_thread)] = json.loads(report.take())
    assert error.startswith("RecostError(")
    assert "fork" in error
    assert not on_main_thread
    wait_until_delivered(9)


def wait_for_quiet_watcher():
    """Python itself hangs in the child of such a fork when another thread was waiting for the GIL just then."""
    runtime = _runtime.current
    assert runtime is not None
    link = runtime.link
    assert link is not None
    sys.setswitchinterval(60)  # a thread that runs goes on until it waits for something
    looks = link.looks
    wait_until(lambda: link.looks > looks, what="the next look")
    with link._looking:
        pass
    sys.setswitchinterval(0.005)
