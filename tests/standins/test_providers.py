"""The demo's accounting rests on what the stand-ins count."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import aiohttp
import pytest
import requests

from examples.standins import PROVIDERS, ProviderStandIn

CHAT = "/v1/chat/completions"


@pytest.fixture
def providers():
    with ProviderStandIn(error_rate=0, latency_scale=0) as made:
        yield made


def test_each_provider_has_an_address_of_its_own_beyond_the_excluded_ones(providers):
    hosts = [provider.host for provider in PROVIDERS]
    assert len(set(hosts)) == len(hosts) >= 5
    assert not {"127.0.0.1", "localhost"} & set(hosts)
    assert set(providers.urls()) == {"openai", "anthropic", "stripe", "twilio", "github"}


def test_every_request_is_counted_by_provider_path_and_status(providers):
    for _ in range(3):
        assert requests.post(providers.url("openai") + CHAT, json={"model": "x"}, timeout=10).status_code == 200
    assert requests.get(providers.url("github") + "/repos/a/b?q=1", timeout=10).status_code == 200
    assert requests.get(providers.url("github") + "/nowhere", timeout=10).status_code == 404
    wanted = {("openai", CHAT, 200): 3, ("github", "/repos/a/b", 200): 1, ("github", "/nowhere", 404): 1}
    assert providers.counts() == wanted
    assert providers.total() == 5
    rows = requests.get(providers.url("stripe") + "/__counts", timeout=10).json()
    assert {(row["provider"], row["path"], row["status"]): row["count"] for row in rows} == wanted


def test_bodies_are_whole_chunked_or_streamed(providers):
    whole = requests.post(providers.url("openai") + CHAT, json={}, timeout=10)
    assert whole.headers["Content-Length"] == str(len(whole.content))
    assert json.loads(whole.content)
    chunked = requests.get(providers.url("github") + "/search/code", timeout=10)
    assert chunked.headers["Transfer-Encoding"] == "chunked"
    assert chunked.json()
    stream = requests.post(providers.url("openai") + CHAT, json={"stream": True}, timeout=10)
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.text.endswith("data: [DONE]\n\n")


def test_about_as_many_calls_fail_as_asked_for():
    with ProviderStandIn(error_rate=0.5, latency_scale=0) as providers:
        with requests.Session() as session:
            statuses = [
                session.get(providers.url("stripe") + "/v1/charges", timeout=10).status_code for _ in range(200)
            ]
        failed = sum(status >= 400 for status in statuses)
        assert 60 < failed < 140
        assert sum(n for (_, _, status), n in providers.counts().items() if status >= 400) == failed


def test_two_hundred_connections_at_once_are_served():
    async def call_all(url):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session:

            async def call():
                async with session.post(url, json={"stream": True}) as response:
                    return len(await response.read())

            return await asyncio.gather(*(call() for _ in range(200)))

    with ProviderStandIn(error_rate=0, latency_scale=0.5) as providers:
        sizes = asyncio.run(call_all(providers.url("anthropic") + "/v1/messages"))
        assert len(set(sizes)) == 1
        assert providers.total() == 200


def test_a_client_that_leaves_in_the_middle_was_counted():
    with ProviderStandIn(error_rate=0, latency_scale=10) as providers:
        with pytest.raises(requests.Timeout):
            requests.post(providers.url("openai") + CHAT, json={}, timeout=0.1)
        assert providers.total() == 1


def test_threads_and_uploads_in_chunks(providers):
    def call(number):
        body = (b"x" * 1000 for _ in range(number))
        return requests.post(providers.url("stripe") + "/v1/charges", data=body, timeout=10).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(call, range(1, 33))) == {200}
    assert providers.total() == 32


def test_the_command_prints_variables_for_another_shell():
    with subprocess.Popen([sys.executable, "-m", "examples.standins"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in (*PROVIDERS, "the SDK's", "the service's"))
        process.terminate()
    shown = 'echo "$GITHUB_URL $OPENAI_BASE_URL"'
    there = subprocess.run(["sh", "-c", said + shown], check=True, capture_output=True, text=True, timeout=10)
    github, openai = map(urllib.parse.urlsplit, there.stdout.split())
    assert (github.hostname, openai.hostname, openai.path) == ("127.0.0.6", "127.0.0.2", "/v1")


def test_the_command_says_where_everything_listens_and_ends_when_told():
    command = [sys.executable, "-m", "examples.standins", "--json", "--latency-scale", "0", "--error-rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        with urllib.request.urlopen(addresses["providers"]["github"] + "/users/x", timeout=10) as response:
            assert response.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(addresses["cloud"] + "/projects/shop/telemetry/recent", timeout=10)
        assert refused.value.code == 401
        refused.value.close()
        process.send_signal(signal.SIGINT)
        assert json.loads(process.stdout.read()) == {"calls": 1, "windows": 0}
    assert process.returncode == 0
