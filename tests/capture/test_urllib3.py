"""urllib3, and requests which runs on it: retries, redirects, proxies, bodies."""

from __future__ import annotations

import io

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from recost._capture import suppressed
from recost._capture.parts import body_bytes
from tests.capture.servers import BODY, CHUNKS, FLAKY_FAILURES, HOST
from tests.harness import closed_port


@pytest.fixture
def pools():
    with urllib3.PoolManager() as manager:
        yield manager


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


def hops(events):
    return [(event.path, event.status) for event in events]


def test_tries_of_one_call_are_one_event_with_the_last_status(origin, events, pools):
    retry = Retry(total=5, status_forcelist=[503], backoff_factor=0)

    assert pools.request("GET", f"{origin.url}/flaky/one", retries=retry).status == 200

    assert hops(events) == [("/flaky/one", 200)]
    assert sum(received.path == "/flaky/one" for received in origin.received) == FLAKY_FAILURES + 1


def test_retries_that_the_answers_use_up_leave_the_last_status(origin, events, pools):
    retry = Retry(total=2, status_forcelist=[503], backoff_factor=0)

    with pytest.raises(urllib3.exceptions.MaxRetryError):
        pools.request("GET", f"{origin.url}/status/503", retries=retry)

    assert hops(events) == [("/status/503", 503)]


def test_tries_after_a_broken_connection_are_one_event(origin, events, pools):
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        pools.request("GET", f"{origin.url}/drop", retries=Retry(2, backoff_factor=0))

    assert hops(events) == [("/drop", 0)]


def test_a_retrying_adapter_of_requests_is_one_event(origin, events, session):
    session.mount("http://", HTTPAdapter(max_retries=Retry(5, status_forcelist=[503], backoff_factor=0)))

    assert session.get(f"{origin.url}/flaky/two").status_code == 200

    assert hops(events) == [("/flaky/two", 200)]


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_a_redirect_that_the_manager_follows_is_one_event_per_hop(status, origin, events, pools):
    pools.request("POST", f"{origin.url}/redirect/{status}/2", body=b"123")

    assert hops(events) == [(f"/redirect/{status}/2", status), (f"/redirect/{status}/1", status), ("/ok", 200)]


def test_a_redirect_that_requests_follows_is_one_event_per_hop(origin, events, session):
    session.get(f"{origin.url}/redirect/302/2")

    assert hops(events) == [("/redirect/302/2", 302), ("/redirect/302/1", 302), ("/ok", 200)]


@pytest.mark.parametrize("status", [302, 303])
def test_a_redirect_that_a_pool_follows_without_a_manager_is_part_of_the_call(status, origin, events):
    with urllib3.HTTPConnectionPool(*origin.server_address) as pool:
        assert pool.request("POST", f"/redirect/{status}/2", body=b"1").status == 200

    assert hops(events) == [(f"/redirect/{status}/2", 200)]


def test_a_pool_takes_its_arguments_by_position_or_by_name(origin, events):
    with urllib3.HTTPConnectionPool(*origin.server_address) as pool:
        pool.urlopen("POST", "/ok?x=1#y", b"123")
        pool.urlopen(url="/ok", method="PUT", body=b"12")
        pool.urlopen("GET", f"{origin.url}/ok?x=1")

    assert [(event.method, event.path, event.request_bytes) for event in events] == [
        ("POST", "/ok", 3),
        ("PUT", "/ok", 2),
        ("GET", "/ok", 0),
    ]


def test_a_forward_proxy_is_not_the_target(origin, proxy, events):
    with urllib3.ProxyManager(proxy.url) as manager:
        assert manager.request("POST", f"http://user:secret@{origin.netloc}/echo?key=secret", body=b"123").status == 200
    with requests.Session() as session:
        session.proxies = {"http": proxy.url}
        assert session.get(f"{origin.url}/ok?key=secret").status_code == 200

    assert [(event.netloc, event.path) for event in events] == [(origin.netloc, "/echo"), (origin.netloc, "/ok")]
    assert len(proxy.received) >= 2
    assert "secret" not in repr(events)


def test_default_ports_are_not_named(proxy, events):
    with urllib3.ProxyManager(proxy.url, retries=False) as manager, pytest.raises(urllib3.exceptions.HTTPError):
        manager.request("GET", "http://127.0.0.3:80/")  # nobody listens there: the proxy breaks off

    assert [event.netloc for event in events] == ["127.0.0.3"]


@pytest.mark.parametrize("body", [b"12345", bytearray(b"12345"), memoryview(b"12345")])
def test_bodies_held_as_bytes_count(body, origin, events, pools):
    pools.urlopen("POST", f"{origin.url}/echo", body=body)

    assert events[0].request_bytes == origin.received[-1].body_bytes == 5


def test_forms_and_json_count_as_sent(origin, events, session):
    session.post(f"{origin.url}/echo", data={"a": "1", "b": "ü"})
    session.post(f"{origin.url}/echo", json={"a": [1, 2, {"b": "ü"}]})
    session.post(f"{origin.url}/echo", files={"file": ("name.txt", io.BytesIO(b"x" * 1000))})

    assert [event.request_bytes for event in events] == [received.body_bytes for received in origin.received[-3:]]


def test_streams_are_zero_and_read_by_the_client_alone(origin, events, session):
    def post(reads):
        class File(io.BytesIO):
            def read(self, size=-1):
                reads.append(size)
                return super().read(size)

        def generated():
            for n in range(3):
                reads.append(n)
                yield b"chunk"

        session.post(f"{origin.url}/echo", data=generated())
        session.post(f"{origin.url}/echo", data=File(b"x" * 100))
        return reads

    with suppressed():
        without_capture = post([])
    with_capture = post([])

    assert with_capture == without_capture
    assert [event.request_bytes for event in events] == [0, 0]
    assert [received.body_bytes for received in origin.received[-2:]] == [15, 100]


def test_a_chunked_answer_counts_when_urllib3_has_read_it(origin, events, pools):
    pools.request("GET", f"{origin.url}/chunked")
    response = pools.request("GET", f"{origin.url}/chunked", preload_content=False)

    assert [event.response_bytes for event in events] == [sum(map(len, CHUNKS)), 0]
    assert response.read() == b"".join(CHUNKS)
    response.release_conn()


def test_a_streamed_answer_has_its_content_length_and_stays_unread(origin, events, session):
    with session.get(f"{origin.url}/ok", stream=True) as response:
        [event] = events
        assert event.response_bytes == len(BODY)
        assert response.raw.tell() == 0
        assert response.raw.read() == BODY


def test_a_lazy_body_is_not_evaluated(origin, events):
    """isinstance() would ask for ``__class__``; a body object is looked at and no more."""

    class Lazy:
        asked = False

        @property
        def __class__(self):  # a proxy of Django's kind evaluates itself here
            type(self).asked = True
            return str

        def __iter__(self):
            yield b"12345"

    assert body_bytes(Lazy()) == 0
    assert not Lazy.asked


def test_https_names_a_port_only_when_it_is_not_the_default(events):
    with closed_port(HOST) as other:
        for port in (443, other):
            with urllib3.HTTPSConnectionPool(HOST, port, retries=False, timeout=5) as pool:
                with pytest.raises(urllib3.exceptions.HTTPError):
                    pool.request("GET", "/x")

    assert [(event.scheme, event.netloc) for event in events] == [("https", HOST), ("https", f"{HOST}:{other}")]


def test_an_ipv6_host_is_in_brackets(events):
    with closed_port() as port, urllib3.HTTPConnectionPool("[::1]", port, retries=False, timeout=5) as pool:
        with pytest.raises((urllib3.exceptions.HTTPError, OSError)):
            pool.request("GET", "/x")

    assert [event.netloc for event in events] == [f"[::1]:{port}"]


def test_a_body_that_makes_calls_while_it_is_sent_makes_events_of_its_own(origin, events):
    """The pool is the same and the method is the same: only the retries tell it from a second try."""
    with urllib3.HTTPConnectionPool(*origin.server_address, maxsize=2) as pool:

        def body():
            yield pool.request("POST", "/echo", body=b"part").data

        pool.urlopen("POST", "/ok", body=body(), chunked=True)

    assert hops(events) == [("/echo", 200), ("/ok", 200)]
