"""``local_transport="ws"`` end to end: programs, a collector, and a listener that comes and goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from recost.errors import RecostError
from recost_collector import pace
from tests.cloud.application import Application
from tests.exporters.listener import Listener
from tests.harness import free_port, wait_until
from tests.processes.support import Api, run_program, wait_until_idle

SCRIPT = """
import sys, urllib3, recost
api, port, first, last = sys.argv[1], *map(int, sys.argv[2:])
recost.init(local_transport="ws", local_port=port)
pool = urllib3.PoolManager(retries=False)
for number in range(first, last):
    pool.request("GET", f"{api}/v1/{chr(97 + number)}")
    if number < last - 1:
        assert recost.flush(60)
"""


def endpoints(listener: Listener) -> list[str]:
    return [metric["endpoint"] for window in listener.windows() for metric in window["metrics"]]


def port_of(listener: Listener) -> str:
    return listener.url.rpartition(":")[2]


def test_no_window_is_lost_with_a_listener_that_restarts_nor_with_the_program_s_end(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with Listener() as listener:
        run_program(script, api.url, port_of(listener), "0", "3")
        listener.stop()
        run_program(script, api.url, port_of(listener), "3", "5")
        listener.start()
        run_program(script, api.url, port_of(listener), "5", "8")
        wait_until(lambda: len(endpoints(listener)) >= 8, what="the last window")
        wait_until_idle()
        assert endpoints(listener) == [f"/v1/{letter}" for letter in "abcdefgh"]


def test_a_listener_that_never_comes_is_given_up_and_tried_afresh_by_the_next_init(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "LISTENER", pace.LISTENER._replace(back_off_s=(0.01,)))
    port = free_port()
    settings = {"api_key": None, "local_transport": "ws", "local_port": port, "collector": "thread"}
    app = Application("http://127.0.0.1:9", api, **settings)
    app.call(path="/v1/first")
    app.flush()
    wait_until(lambda: any('local_transport="file"' in str(error) for error in app.errors), what="the end of patience")
    assert {type(error) for error in app.errors} == {RecostError}
    with Listener(port=port) as listener:
        assert app.window("/v1/second") == "error"
        assert listener.messages == []
        again = Application("http://127.0.0.1:9", api, **settings)
        assert again.window("/v1/third") == "ok"
        assert endpoints(listener) == ["/v1/first", "/v1/second", "/v1/third"]
        again.handle.dispose()
