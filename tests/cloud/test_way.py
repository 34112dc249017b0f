"""The way to the service as a worker's environment says it: proxy, private CA, one connection, windows in pieces."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from examples.standins import CloudStandIn
from recost.errors import RecostError
from tests.cloud.application import KEY, PROJECT, application, paths
from tests.exporters.forward_proxy import forward_proxy
from tests.exporters.support import make_certificates
from tests.processes.support import Api


def test_windows_go_the_way_that_the_environment_says(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ca, certificate, key = make_certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with CloudStandIn(keys=[KEY], tls=context) as cloud, forward_proxy("user:secret") as proxy:
        with application(cloud, api, project_id="without-the-ca") as app:
            assert app.window() == "error"
            (error,) = app.wait_for(RecostError)
            assert "certificate" in str(error).lower()
        assert cloud.received == [], "the key stays here"

        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@{proxy.netloc}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
        with application(cloud, api, max_buckets=3) as app:
            for letter in "abcdefgh":
                app.call(path=f"/v1/{letter}")
            assert app.flush()
            assert app.window("/v1/last") == "ok"
            assert app.errors == []
        sizes = [len(window["metrics"]) for window in cloud.unique_windows(PROJECT)]
        assert sizes == [3, 3, 2, 1]
        assert paths(cloud) == [*(f"/v1/{letter}" for letter in "abcdefgh"), "/v1/last"]
        tunnel = ("CONNECT", cloud.url.removeprefix("https://"))
        assert proxy.seen == [tunnel], "one connection for all of them"
        assert not [request for request in proxy.requests if KEY.encode() in request]

        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with application(cloud, api, environment="direct") as app:
            assert app.window("/v1/direct") == "ok"
        assert paths(cloud)[-1] == "/v1/direct"
        assert proxy.seen == [tunnel], "the newest worker's way counts"
