"""What is sent, over which connection, and what no answer can make the exporter do."""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest
import urllib3

from examples.standins import CloudStandIn, Scripted
from recost_collector.exporters import Reject, Retry, pool
from recost_collector.exporters.https import HttpsExporter
from tests.exporters.support import (
    KEY,
    answer_with,
    cloud_destination,
    make_frame,
    outcome_of,
    raw_server,
    read_request,
    retry_of,
)
from tests.harness import PATIENCE_S

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.contextmanager
def exporter_to(base_url, **more):
    exporter = HttpsExporter(cloud_destination(base_url, **more))
    yield exporter
    exporter.close()


@pytest.fixture
def cloud():
    with CloudStandIn(keys=[KEY]) as made:
        yield made


def test_a_frame_is_posted_with_the_headers_of_the_contract(cloud):
    frame = make_frame()
    with exporter_to(cloud.url) as exporter:
        exporter.export(frame)
    [received] = cloud.received
    assert received.project_id == "shop"
    assert received.body == frame.body
    wanted = {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        "user-agent": "recost-python/9.8.7",
        "idempotency-key": frame.key,
        "content-length": str(len(frame.body)),
    }
    assert wanted.items() <= received.headers.items()
    assert set(received.headers) - set(wanted) <= {"host", "accept-encoding"}


def test_the_key_stays_over_all_tries(cloud):
    frame = make_frame()
    cloud.answers.extend([503, 429, 401, Scripted(202)])
    with exporter_to(cloud.url) as exporter:
        outcomes = [outcome_of(exporter.export, frame) for _ in range(4)]
    assert [type(outcome) for outcome in outcomes] == [Retry, Retry, Retry, type(None)]
    assert {received.key for received in cloud.received} == {frame.key}
    assert len(cloud.unique_windows()) == 1


def test_the_outcome_is_that_of_the_table(cloud):
    cloud.answers.extend([Scripted(429, retry_after="9"), 404, 418, 500])
    with exporter_to(cloud.url) as exporter:
        limited, missing, teapot, broken = (outcome_of(exporter.export, make_frame()) for _ in range(4))
    assert isinstance(limited, Retry)
    assert (limited.after_s, limited.notice.endpoint) == (9.0, "/projects/shop/telemetry")
    assert isinstance(missing, Reject)
    assert missing.tries == 3
    assert isinstance(teapot, Reject)
    assert teapot.tries == 1
    assert isinstance(broken, Retry)
    assert broken.after_s is None


def test_no_authorization_is_sent_without_a_key(cloud):
    with exporter_to(cloud.url) as exporter:
        retry_of(exporter.export, make_frame(api_key=""))
    assert "authorization" not in cloud.received[0].headers


def test_one_connection_serves_all_frames_whatever_they_are_answered():
    answers = [
        OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nsorry",
        b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 422 No\r\nContent-Length: 30000\r\n\r\n" + b"x" * 30_000,
        OK,
    ]
    connections = []

    def serve(connection):
        connections.append(connection)
        for answer in answers:
            assert read_request(connection)
            connection.sendall(answer)

    with raw_server(serve) as url, exporter_to(url) as exporter:
        outcomes = [outcome_of(exporter.export, make_frame()) for _ in answers]
    assert [type(outcome) for outcome in outcomes] == [type(None), type(None), Retry, Retry, Reject, type(None)]
    assert len(connections) == 1


def test_a_connection_that_the_service_closed_meanwhile_is_replaced():
    def serve_one(connection):
        read_request(connection)
        connection.sendall(OK)

    with raw_server(serve_one) as url, exporter_to(url) as exporter:
        exporter.export(make_frame())
        deadline = time.monotonic() + PATIENCE_S
        while outcome_of(exporter.export, make_frame()) is not None:  # the FIN may still be on its way
            assert time.monotonic() < deadline


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_stays_here(cloud, status):
    elsewhere = f"{cloud.url}/projects/shop/telemetry"
    response = f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
    with raw_server(answer_with(response)) as url, exporter_to(url) as exporter:
        outcome = outcome_of(exporter.export, make_frame())
    assert isinstance(outcome, Reject)
    assert "base_url" in outcome.notice.message
    assert cloud.received == []


def test_retry_after_never_makes_urllib3_wait_or_send_again(cloud):
    cloud.answers.append(Scripted(503, retry_after="300"))
    with exporter_to(cloud.url) as exporter:
        assert retry_of(exporter.export, make_frame()).after_s == 300.0
    assert len(cloud.received) == 1


def test_neither_key_nor_body_nor_query_is_ever_in_a_message(cloud):
    secret = b"the answer repeats the prompt"
    cloud.answers.extend(Scripted(status, body=secret + KEY.encode()) for status in (301, 401, 403, 422, 429, 500))
    with exporter_to(cloud.url) as exporter:
        for _ in range(6):
            outcome = outcome_of(exporter.export, make_frame())
            assert isinstance(outcome, (Retry, Reject))
            assert "x-request-id" not in outcome.notice.message or "req-" in outcome.notice.message
            assert secret.decode() not in repr(outcome.notice)
            assert KEY not in repr(outcome.notice)


@pytest.mark.parametrize("key", ["rc-a\nX-Evil: 1", "rc-a\r\n", "rc-é", "rc-\u2028", "rc-\x00", "rc-\ud800"])
def test_a_key_that_no_header_can_carry_waits_for_a_better_one(cloud, key):
    with exporter_to(cloud.url) as exporter:
        retry = retry_of(exporter.export, make_frame(api_key=key))
    assert key not in repr(retry.notice)
    assert "api_key" in retry.notice.message
    assert cloud.received == []


@pytest.mark.parametrize(
    "frame", [make_frame()._replace(key="1\r\nX-Evil: 1"), make_frame()._replace(sdk_version="1\n X-Evil: 1")]
)
def test_a_frame_whose_own_headers_cannot_be_sent_is_set_aside(cloud, frame):
    with exporter_to(cloud.url) as exporter:
        outcome = outcome_of(exporter.export, frame)
        exporter.export(make_frame())
    assert isinstance(outcome, Reject)
    assert len(cloud.received) == 1


def test_a_1xx_is_not_taken_for_the_answer_to_the_next_frame():
    """http.client ends at a 103, and the real answer would be read when the next frame asks."""

    def serve(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        connection.sendall(OK)
        if read_request(connection):
            connection.sendall(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n")

    def serve_next(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")

    with raw_server(serve, serve_next) as url, exporter_to(url) as exporter:
        assert isinstance(outcome_of(exporter.export, make_frame()), Retry)
        assert isinstance(outcome_of(exporter.export, make_frame()), Reject)


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 100\r\n\r\ncut",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Connection: close\r\n\r\nuntil the end",
        b"Content-Length: 9999999999\r\n\r\n" + b"x" * 300_000,
    ],
)
def test_a_2xx_is_done_whatever_becomes_of_its_body(body):
    def serve(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\n" + body)

    with raw_server(serve) as url, exporter_to(url) as exporter:
        exporter.export(make_frame())
        exporter.export(make_frame())


def test_a_2xx_is_done_although_its_body_is_not_what_it_says():
    """The body is whole, so the connection is used again: unlike above, the server must not close it meanwhile."""
    garbled = answer_with(b"HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nnogzi")
    with raw_server(garbled) as url, exporter_to(url) as exporter:
        exporter.export(make_frame())
        exporter.export(make_frame())


def drip(connection, start, piece):
    """Answer a byte at a time, for ever: no single read takes long."""
    read_request(connection)
    connection.sendall(start)
    for _ in itertools.count():
        connection.sendall(piece)
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "piece"), [(b"", b"x"), (b"HTTP/1.1 ", b" "), (b"HTTP/1.1 503 Busy\r\nX-Slow: ", b"x")]
)
def test_an_answer_that_drips_in_has_an_end(monkeypatch, start, piece):
    monkeypatch.setattr(pool, "STEP_S", 0.3)
    with raw_server(lambda connection: drip(connection, start, piece)) as url, exporter_to(url) as exporter:
        retry_of(exporter.export, make_frame())


def test_a_status_that_arrived_counts_although_the_rest_of_the_head_did_not():
    """The service has said that it has the window; sending it once more could only repeat it."""

    def serve(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-Cut: of")

    with raw_server(serve) as url, exporter_to(url) as exporter:
        exporter.export(make_frame())


def test_a_body_that_drips_in_has_an_end(monkeypatch):
    monkeypatch.setattr("recost_collector.exporters.https.DRAIN_S", 0.3)
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_server(lambda c: drip(c, response, b"1\r\nx\r\n")) as url, exporter_to(url) as exporter:
        exporter.export(make_frame())


def test_a_service_that_never_answers_is_tried_again(monkeypatch):
    monkeypatch.setattr("recost_collector.exporters.https.TIMEOUT", urllib3.Timeout(connect=0.2, read=0.2))
    with raw_server(lambda connection: read_request(connection) and connection.recv(1)) as url:
        with exporter_to(url) as exporter:
            retry = retry_of(exporter.export, make_frame())
    assert "no answer in time" in retry.notice.message
