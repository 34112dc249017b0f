"""A client that one thread imports while another begins to capture."""

from __future__ import annotations

from tests.capture.fresh import run


def test_threads_may_import_and_install_at_the_same_time(origin):
    run(
        origin,
        """
        import threading
        sys.setswitchinterval(1e-5)
        ready = threading.Barrier(10)

        def import_it():
            ready.wait()
            import httpx

        def install():
            ready.wait()
            add_sink(seen.append)

        threads = [threading.Thread(target=step) for step in [import_it, install] * 5]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        get("httpx")
        assert len(seen) == 1, seen
        """,
    )


SLOW_FINDER = """
import threading, time
found, go_on = threading.Event(), threading.Event()

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "httpx":
            spec = sys.meta_path[-1].find_spec(name, path, target)
            found.set()
            assert go_on.wait(30)
            if not is_there:
                raise ModuleNotFoundError(name)
            return spec

def import_it():
    try:
        import httpx
    except ImportError:
        seen.append("none")

sys.meta_path.insert(0, Slow())
importing = threading.Thread(target=import_it)
importing.start()
assert found.wait(30)
installing = threading.Thread(target=add_sink, args=(seen.append,))
installing.start()

def waits_or_is_done():
    frame = sys._current_frames().get(installing.ident)
    while frame is not None and "importlib._bootstrap" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame is not None or not installing.is_alive()

while not waits_or_is_done():
    time.sleep(0.001)
go_on.set()
importing.join(30)
installing.join(30)
"""


def test_a_client_that_is_found_but_not_yet_loaded_is_captured(origin):
    """Its finder was asked before ours was there."""
    run(origin, f"is_there = True\n{SLOW_FINDER}\nget('httpx')\nassert len(seen) == 1, seen")


def test_a_client_that_is_being_looked_for_and_not_there_is_none(origin):
    run(origin, f"is_there = False\n{SLOW_FINDER}\nassert seen == ['none'], seen")
