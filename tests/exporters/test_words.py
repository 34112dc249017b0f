"""What a user reads of trouble: what was wanted and where, what the system said, what becomes of it, what to do."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from recost_collector.exporters import WAITING, Exporter
from recost_collector.exporters.https import HttpsExporter
from recost_collector.exporters.ndjson import NdjsonExporter
from recost_collector.exporters.websocket import WebSocketExporter
from recost_collector.network_words import in_words
from tests.exporters.support import (
    StubLease,
    cloud_destination,
    file_destination,
    make_frame,
    raw_server,
    retry_of,
)

NOT_FOR_PEOPLE = ("Errno", "object at", "host=", "Error:", "('")


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return "127.0.0.1:{1}".format(*listener.getsockname())


def said_by(exporter: Exporter) -> str:
    with contextlib.closing(exporter):
        text = retry_of(exporter.export, make_frame()).notice.message
    assert not [sign for sign in NOT_FOR_PEOPLE if sign in text], text
    assert WAITING in text
    return text


def test_a_service_that_cannot_be_reached(nobody: str) -> None:
    for scheme in ("http", "https"):
        text = said_by(HttpsExporter(cloud_destination(f"{scheme}://{nobody}")))
        assert text.startswith(f"no delivery to {nobody}: connection refused; ")
        assert text.endswith("recost-collector doctor --reach examines the way there")


def test_a_proxy_that_cannot_be_reached(nobody: str) -> None:
    for scheme in ("http", "https"):
        proxies = ((scheme, f"http://user:secret@{nobody}"),)
        text = said_by(HttpsExporter(cloud_destination(f"{scheme}://service.invalid", proxies=proxies)))
        assert text.startswith("no delivery to service.invalid: its proxy cannot be reached: connection refused; ")
        assert "secret" not in text


def test_a_service_that_hangs_up_or_speaks_no_tls() -> None:
    with raw_server(lambda connection: connection.recv(65536)) as url:
        text = said_by(HttpsExporter(cloud_destination(url)))
        assert ": it closed the connection without an answer; " in text or ": connection reset by peer; " in text
    with raw_server(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")) as url:
        assert ": TLS failed: " in said_by(HttpsExporter(cloud_destination(url.replace("http", "https"))))


def test_a_ca_bundle_that_is_not_there(nobody: str) -> None:
    text = said_by(HttpsExporter(cloud_destination(f"https://{nobody}", ca_bundle="/nope.pem")))
    assert "cannot read the CA bundle /nope.pem: no such file or directory; check SSL_CERT_FILE" in text


def test_a_name_that_nobody_knows() -> None:
    error = socket.gaierror(-2, "Name or service not known")
    assert in_words(error) == "its name cannot be resolved (name or service not known)"


def test_a_listener_that_is_away(nobody: str) -> None:
    text = said_by(WebSocketExporter(cloud_destination(f"ws://{nobody}")))
    assert "connection refused" in text
    assert text.endswith("is something listening there?")


@pytest.mark.parametrize(("below", "why"), [("file", "not a directory"), ("none", "no such file or directory")])
def test_a_folder_that_cannot_be_made(below: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "shop.jsonl" if below == "file" else Path("/proc/none/shop.jsonl")
    text = said_by(NdjsonExporter(file_destination(path), StubLease(tmp_path / "state")))
    assert text.startswith(f"windows cannot be written to {path}: {why}{WAITING}")
    assert "set RECOST_LOCAL_DIR to a directory of this user" in text
