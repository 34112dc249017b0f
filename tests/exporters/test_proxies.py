"""Proxies are those of the worker's environment, which came with its session."""

from __future__ import annotations

import contextlib
import gc
import ssl

import pytest

from examples.standins import CloudStandIn
from recost.session import Destination
from recost_collector.exporters.https import HttpsExporter
from recost_collector.exporters.pool import proxy_for
from tests.exporters.forward_proxy import forward_proxy
from tests.exporters.support import KEY, cloud_destination, make_certificates, make_frame, retry_of

TARGET = "https://api.recost.dev/projects/shop/telemetry"


@contextlib.contextmanager
def exporter_through(proxy_url, base_url, **more):
    proxies = (("http", proxy_url), ("https", proxy_url))
    exporter = HttpsExporter(cloud_destination(base_url, proxies=proxies, **more))
    yield exporter
    exporter.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("proxies", "url", "wanted"),
    [
        ((), TARGET, None),
        ((("https", "http://proxy:3128"),), TARGET, "http://proxy:3128"),
        ((("http", "http://proxy:3128"),), TARGET, None),
        ((("all", "http://proxy:3128"),), TARGET, "http://proxy:3128"),
        ((("all", "http://a:1"), ("https", "http://b:2")), TARGET, "http://b:2"),
        ((("https", "proxy:3128"),), TARGET, "http://proxy:3128"),
        ((("https", ""),), TARGET, None),
        ((("https", "http://proxy:3128"), ("no", "*")), TARGET, None),
        ((("https", "http://proxy:3128"), ("no", "localhost, recost.dev")), TARGET, None),
        ((("https", "http://proxy:3128"), ("no", ".recost.dev")), TARGET, None),
        ((("https", "http://proxy:3128"), ("no", "ecost.dev")), TARGET, "http://proxy:3128"),
        ((("http", "http://proxy:3128"), ("no", "127.0.0.1")), "http://127.0.0.1:80/x", None),
        ((("http", "http://proxy:3128"), ("no", "127.0.0.1:81")), "http://127.0.0.1:80/x", "http://proxy:3128"),
    ],
)
def test_the_proxy_is_chosen_as_the_standard_library_would(proxies, url, wanted):
    assert proxy_for(Destination(url=url, proxies=proxies)) == wanted


def test_plain_http_is_forwarded():
    with CloudStandIn(keys=[KEY]) as cloud, forward_proxy() as proxy:
        with exporter_through(f"http://{proxy.netloc}", cloud.url) as exporter:
            exporter.export(make_frame())
            exporter.export(make_frame())
        assert proxy.seen == [("POST", f"{cloud.url}/projects/shop/telemetry")]  # the second over the same connection
        assert len(cloud.unique_windows()) == 2


def test_https_is_tunnelled_and_the_proxy_sees_no_key(certificates):
    ca, cert, key = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with CloudStandIn(keys=[KEY], tls=context) as cloud, forward_proxy("user:p@ss word") as proxy:
        with exporter_through(f"user:p%40ss%20word@{proxy.netloc}", cloud.url, ca_bundle=str(ca)) as exporter:
            exporter.export(make_frame())
        assert proxy.seen == [("CONNECT", cloud.url.removeprefix("https://"))]
        assert KEY.encode() not in proxy.requests[0]
        assert "proxy-authorization" not in cloud.received[0].headers
        assert len(cloud.unique_windows()) == 1


def test_credentials_go_to_the_proxy():
    with CloudStandIn(keys=[KEY]) as cloud, forward_proxy("user:secret") as proxy:
        with exporter_through(f"http://user:secret@{proxy.netloc}", cloud.url) as exporter:
            exporter.export(make_frame())
        assert len(cloud.unique_windows()) == 1


# The standard library of 3.9 leaves the socket of a refused CONNECT to the collector of garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_our_credentials_parks_nothing(scheme):
    """407 is the proxy's answer: the service has not seen the window."""
    with forward_proxy("user:secret") as proxy:
        with exporter_through(f"http://user:wrong@{proxy.netloc}", f"{scheme}://127.0.0.1:9") as exporter:
            notice = retry_of(exporter.export, make_frame()).notice
    gc.collect()
    assert "407" in notice.message
    assert "wrong" not in notice.message


@pytest.mark.parametrize(
    "proxy_url",
    [
        "http://127.0.0.1:1",
        "http://user:hidden@127.0.0.1:1",
        "socks5://user:hidden@127.0.0.1:1",
        "http://user:hidden@[",
        "http://user:hidden@a b:1",
        "http://user:hidden@127.0.0.1:99999",
        "://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_tried_again_and_its_password_stays_secret(proxy_url):
    with exporter_through(proxy_url, "https://127.0.0.1:9") as exporter:
        notice = retry_of(exporter.export, make_frame()).notice
    assert "hidden" not in repr(notice)
