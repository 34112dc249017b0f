"""Frames as text messages, none of them lost with a connection."""

from __future__ import annotations

import builtins
import json
import socket
import struct
import sys
import threading

import pytest
from websockets.protocol import State
from websockets.utils import accept_key

from recost.session import Destination
from recost_collector.exporters import Reject, Retry, load_exporters, open_exporter, websocket
from recost_collector.exporters.websocket import WebSocketExporter
from tests.exporters.listener import Listener
from tests.exporters.support import KEY, StubLease, make_frame, outcome_of, raw_server, read_request, retry_of
from tests.harness import wait_until


def exporter_to(url):
    return WebSocketExporter(Destination(url=url))


def test_frames_go_as_text_over_one_connection_without_a_key():
    requests = []

    def handle(connection):
        requests.append(connection.request)
        for message in connection:
            listener.messages.append(message)

    with Listener(handle) as listener:
        exporter = exporter_to(listener.url)
        frames = [make_frame() for _ in range(3)]
        for frame in frames:
            exporter.export(frame)
        wait_until(lambda: len(listener.messages) == 3)
        assert listener.messages == [frame.body.decode() for frame in frames]
        exporter.close()
    [request] = requests
    assert KEY not in str(request.headers)


def test_a_connection_that_the_listener_closed_between_frames_is_replaced():
    with Listener() as listener:
        exporter = exporter_to(listener.url)
        frames = [make_frame() for _ in range(5)]
        for sent, frame in enumerate(frames, 1):
            exporter.export(frame)
            wait_until(lambda n=sent: len(listener.messages) == n)
            listener.drop()
            wait_until(lambda: exporter._connection.state is not State.OPEN, what="the goodbye to arrive")
        assert listener.windows() == [json.loads(frame.body) for frame in frames]
        exporter.close()


def shake_hands(connection):
    """The server's half of the opening handshake, on a bare socket."""
    lines = read_request(connection).decode().split("\r\n")
    [key] = [line.partition(": ")[2] for line in lines if line.lower().startswith("sec-websocket-key")]
    answer = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    connection.sendall(f"HTTP/1.1 101 Switching Protocols\r\n{answer}".encode())


def test_a_frame_into_a_dying_connection_is_not_taken_for_delivered():
    """The peer is killed with the frame in its socket: the send succeeded, only the missing pong tells."""

    def die(connection):
        shake_hands(connection)
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets

    with raw_server(die) as url:
        exporter = exporter_to(url.replace("http", "ws"))
        for _ in range(3):
            retry_of(exporter.export, make_frame())
        exporter.close()


@pytest.mark.parametrize("size", [10, 8 << 20])
def test_a_listener_that_hangs_is_given_up(monkeypatch, size):
    """It takes the connection and then reads nothing, so a big frame cannot even be sent."""
    monkeypatch.setattr(websocket, "ANSWER_S", 0.4)
    over = threading.Event()

    def hang(connection):
        shake_hands(connection)
        over.wait()

    with raw_server(hang) as url:
        exporter = exporter_to(url.replace("http", "ws"))
        retry_of(exporter.export, make_frame(b"x" * size))
        exporter.close()
        over.set()


def test_a_listener_that_never_finishes_the_handshake_is_given_up(monkeypatch):
    monkeypatch.setattr(websocket, "CONNECT_S", 0.3)
    with raw_server(lambda connection: connection.recv(65536) and connection.recv(65536)) as url:
        retry_of(exporter_to(url.replace("http", "ws")).export, make_frame())


def test_a_talkative_listener_does_not_hold_up_the_pong():
    """The client stops reading when its inbox is full, and the pong is behind what is in it."""

    def handle(connection):
        for message in connection:
            listener.messages.append(message)
            for number in range(200):
                connection.send(f"thank you {number}")

    with Listener(handle) as listener:
        exporter = exporter_to(listener.url)
        for _ in range(3):
            exporter.export(make_frame())
        wait_until(lambda: len(listener.messages) == 3)
        exporter.close()


def test_a_frame_that_the_listener_finds_too_big_is_parked():
    with Listener(max_size=1000) as listener:
        exporter = exporter_to(listener.url)
        assert isinstance(outcome_of(exporter.export, make_frame(b"x" * 2000)), Reject)
        exporter.export(make_frame())
        exporter.close()


def test_a_listener_that_says_goodbye_has_refused_nothing():
    def handle(connection):
        for message in connection:
            listener.messages.append(message)
            connection.close(1001)

    with Listener(handle) as listener:
        exporter = exporter_to(listener.url)
        outcomes = [outcome_of(exporter.export, make_frame()) for _ in range(5)]
        exporter.close()
    assert not [outcome for outcome in outcomes if isinstance(outcome, Reject)]
    assert listener.messages


def test_the_environments_proxies_are_not_used(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Listener() as listener:
        exporter = exporter_to(listener.url)
        exporter.export(make_frame())
        exporter.close()


def test_without_websockets_the_window_waits_and_the_extra_is_named(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, websocket.__name__)
    real_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "websockets":
            raise ImportError(f"No module named {name!r}")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    load_exporters()
    with pytest.raises(Retry) as raised:
        open_exporter(Destination(url="ws://127.0.0.1:1"), StubLease(tmp_path))
    assert "recost[local]" in raised.value.notice.message
    assert open_exporter(Destination(url="http://127.0.0.1:1/x"), StubLease(tmp_path))
