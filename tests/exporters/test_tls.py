"""A private CA: trusted when the session brings it, and never otherwise."""

from __future__ import annotations

import contextlib
import ssl
import subprocess

import pytest

from examples.standins import CloudStandIn
from recost_collector.exporters.https import HttpsExporter
from tests.exporters.support import (
    KEY,
    cloud_destination,
    make_certificates,
    make_frame,
    raw_server,
    retry_of,
)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def cloud(certificates):
    _, cert, key = certificates
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with CloudStandIn(keys=[KEY], tls=context) as made:
        yield made


@contextlib.contextmanager
def exporter_to(base_url, **more):
    exporter = HttpsExporter(cloud_destination(base_url, **more))
    yield exporter
    exporter.close()


def test_the_sessions_ca_bundle_is_trusted_and_the_connection_kept(cloud, certificates):
    with exporter_to(cloud.url, ca_bundle=str(certificates[0])) as exporter:
        for _ in range(3):
            exporter.export(make_frame())
    assert len(cloud.unique_windows()) == 3


def test_a_directory_of_cas_is_trusted_too(cloud, certificates, tmp_path):
    ca = certificates[0]
    # OpenSSL finds a CA in a directory by the hash of its subject.
    command = ["openssl", "x509", "-hash", "-noout", "-in", ca]
    digest = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (tmp_path / f"{digest.strip()}.0").write_bytes(ca.read_bytes())
    with exporter_to(cloud.url, ca_bundle=str(tmp_path)) as exporter:
        exporter.export(make_frame())


def test_an_unknown_ca_is_refused_before_the_key_is_sent(cloud):
    with exporter_to(cloud.url) as exporter:
        notice = retry_of(exporter.export, make_frame()).notice
    assert "SSL_CERT_FILE" in notice.message
    assert "its certificate is not trusted" in notice.message
    assert cloud.received == []


def test_a_certificate_for_another_name_is_refused(cloud, certificates):
    url = cloud.url.replace("127.0.0.1", "localhost")
    with exporter_to(url, ca_bundle=str(certificates[0])) as exporter:
        notice = retry_of(exporter.export, make_frame()).notice
    assert "SSL" in notice.message
    assert cloud.received == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unreadable_ca_bundle_is_named_and_read_again_at_the_next_try(cloud, certificates, tmp_path, content):
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with exporter_to(cloud.url, ca_bundle=str(bundle)) as exporter:
        notice = retry_of(exporter.export, make_frame()).notice
        assert str(bundle) in notice.message
        bundle.write_bytes(certificates[0].read_bytes())
        exporter.export(make_frame())


def test_plain_http_where_tls_was_expected_is_tried_again():
    with raw_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        with exporter_to(url.replace("http:", "https:")) as exporter:
            retry_of(exporter.export, make_frame())
