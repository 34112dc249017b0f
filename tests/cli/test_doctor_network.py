"""``recost-collector doctor``: whom it would deliver to, and whether they answer."""

from __future__ import annotations

import pytest

from examples.standins import CloudStandIn
from recost.session import Destination, Session
from tests.cli.hosts import KEY, Command, checks, cloud_session
from tests.collector.collecting import Worker, collector, turn_until
from tests.harness import closed_port


def test_in_cloud_mode_the_service_is_asked_without_the_key(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with CloudStandIn(keys={KEY}, host="127.0.0.2") as service:
        monkeypatch.setenv("RECOST_API_KEY", KEY)
        monkeypatch.setenv("RECOST_PROJECT_ID", "shop")
        monkeypatch.setenv("RECOST_BASE_URL", service.url)

        assert doctor() == 0, doctor.text
        assert checks(doctor)["reach"]["text"] == f"{service.url} answers (status 404 without a key)"
        service.stop()
        assert doctor() == 4
        assert "does not answer" in doctor.text
        service.start()


def test_reach_asks_what_workers_deliver_to(doctor: Command) -> None:
    """Whatever this shell's settings are."""
    with closed_port("127.0.0.2") as port, collector() as leadership:
        worker = Worker(cloud_session(port), KEY)
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        assert "reach" not in checks(doctor)
        assert doctor("--reach") == 4
        assert f"http://127.0.0.2:{port} does not answer" in doctor.text
        worker.leave()


def test_a_listener_that_is_not_there_is_told(doctor: Command) -> None:
    with closed_port() as port, collector() as leadership:
        worker = Worker(Session(Destination(f"ws://127.0.0.1:{port}", "shop")))
        turn_until(leadership, lambda: leadership.service.rings.sources, what="the ring")
        assert doctor("--reach") == 4
        assert f"nobody listens at ws://127.0.0.1:{port}" in doctor.text
        worker.leave()


def test_a_proxy_is_shown_without_its_password(doctor: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOST_API_KEY", KEY)
    monkeypatch.setenv("RECOST_PROJECT_ID", "shop")
    monkeypatch.setenv("RECOST_BASE_URL", "http://127.0.0.3:1")
    with closed_port("127.0.0.2") as port:
        monkeypatch.setenv("http_proxy", f"http://me:hunter2@127.0.0.2:{port}")

        assert doctor() == 4
    found = checks(doctor)["proxy"]
    assert f"goes through 127.0.0.2:{port}" in found["text"]
    assert found["mend"] == "NO_PROXY=127.0.0.3"
    assert "hunter2" not in doctor.text
