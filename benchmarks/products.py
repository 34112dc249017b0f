"""What a user could have instead of recost, and how each is switched on: as its own pages say, with its defaults.

``switch_on`` runs in a process of the product's own virtual environment (``venvs``), which ``benchmarks.caller`` is.
Nothing of recost is imported here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import perf_counter, perf_counter_ns
from typing import Any, NamedTuple, Optional

FLUSH_S = 10.0
KEY, PROJECT = "rc-bench", "bench"
CONTROL = "no-op"
"""The product that is none."""
WRAPPED = (
    ("httpx", "Client", "send", False),
    ("httpx", "AsyncClient", "send", True),
    ("httpx2", "Client", "send", False),
    ("httpx2", "AsyncClient", "send", True),
    ("aiohttp", "ClientSession", "_request", True),
    ("urllib3", "HTTPConnectionPool", "urlopen", False),
)
"""Module, class and function that wrappers by hand go around, and whether it is a coroutine."""

Function = Callable[..., Any]


class Switched(NamedTuple):
    """A product that is on."""

    flush: Callable[[], Optional[int]]
    """Deliver what there is. The calls counted so far by the product itself; None: the sink knows."""
    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    """What a block of calls runs in."""
    also: Callable[[str], None] = lambda _client: None
    """Called before a client is used, with its name."""


class Product(NamedTuple):
    name: str
    how: str
    """What is on, in a few words."""
    switch_on: Callable[[str], Switched]
    """Takes the sink's URL."""
    requirements: tuple[str, ...] = ()
    """What pip installs. Empty: it runs where recost does."""


def _nothing(_sink_url: str) -> Switched:
    return Switched(lambda: None)


def _recost(sink_url: str) -> Switched:
    recost = importlib.import_module("recost")
    recost.init(api_key=KEY, project_id=PROJECT, base_url=sink_url)
    return Switched(lambda: recost.flush(FLUSH_S) and None)


def _clock(_sink_url: str) -> Switched:
    calls = _Calls()
    _wrap_all(lambda original, _name: _timed(original, calls), lambda original, _name: _timed_async(original, calls))
    return Switched(lambda: calls.made)


class _Calls:
    """Where the wrapper leaves the duration: somebody wants it."""

    made = 0
    duration_ns = 0


def _timed(original: Function, calls: _Calls) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started_ns = perf_counter_ns()
        try:
            return original(*args, **kwargs)
        finally:
            calls.duration_ns = perf_counter_ns() - started_ns
            calls.made += 1

    return wrapper


def _timed_async(original: Function, calls: _Calls) -> Function:
    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        started_ns = perf_counter_ns()
        try:
            return await original(*args, **kwargs)
        finally:
            calls.duration_ns = perf_counter_ns() - started_ns
            calls.made += 1

    return wrapper


def _prometheus(_sink_url: str) -> Switched:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(dir=os.environ.get("TMPDIR"))
    client: Any = importlib.import_module("prometheus_client")
    histogram = client.Histogram("http_client_seconds", "Calls", ["client", "method"])
    _wrap_all(
        lambda original, name: _observed(original, histogram, name),
        lambda original, name: _observed_async(original, histogram, name),
    )
    collector = importlib.import_module("prometheus_client.multiprocess").MultiProcessCollector(
        client.CollectorRegistry()
    )

    def count() -> int:
        samples = (sample for metric in collector.collect() for sample in metric.samples)
        return int(sum(sample.value for sample in samples if sample.name.endswith("_count")))

    return Switched(count)


def _observed(original: Function, histogram: Any, name: str) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            histogram.labels(name, "POST").observe(perf_counter() - started)

    return wrapper


def _observed_async(original: Function, histogram: Any, name: str) -> Function:
    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = perf_counter()
        try:
            return await original(*args, **kwargs)
        finally:
            histogram.labels(name, "POST").observe(perf_counter() - started)

    return wrapper


def _wrap_all(wrap: Callable[[Function, str], Function], wrap_async: Callable[[Function, str], Function]) -> None:
    for module_name, owner_name, name, is_async in WRAPPED:
        owner = getattr(importlib.import_module(module_name), owner_name)
        setattr(owner, name, (wrap_async if is_async else wrap)(getattr(owner, name), module_name))


def _opentelemetry(sink_url: str) -> Switched:
    trace: Any = importlib.import_module("opentelemetry.trace")
    sdk: Any = importlib.import_module("opentelemetry.sdk.trace")
    export: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    otlp: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter(endpoint=f"{sink_url}/v1/traces")))
    trace.set_tracer_provider(provider)
    for name, instrumentor in OPENTELEMETRY.items():
        getattr(importlib.import_module(f"opentelemetry.instrumentation.{name}"), instrumentor)().instrument()
    return Switched(lambda: provider.force_flush(int(FLUSH_S * 1000)) and None)


OPENTELEMETRY = {
    "requests": "RequestsInstrumentor",
    "urllib3": "URLLib3Instrumentor",
    "httpx": "HTTPXClientInstrumentor",
    "aiohttp_client": "AioHttpClientInstrumentor",
}


def _sentry(sink_url: str) -> Switched:
    sentry_sdk: Any = importlib.import_module("sentry_sdk")
    sentry_sdk.init(dsn=sink_url.replace("://", "://key@") + "/1", traces_sample_rate=1.0)

    def around() -> AbstractContextManager[Any]:
        transaction: AbstractContextManager[Any] = sentry_sdk.start_transaction(name="block", op="bench")
        return transaction

    return Switched(lambda: sentry_sdk.flush(FLUSH_S) and None, around)


def _ddtrace(sink_url: str) -> Switched:
    os.environ.update(
        DD_TRACE_AGENT_URL=sink_url,
        DD_TRACE_API_VERSION="v0.4",
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
        DD_REMOTE_CONFIGURATION_ENABLED="false",
        DD_SERVICE="bench",
    )
    ddtrace: Any = importlib.import_module("ddtrace")
    tracer = importlib.import_module("ddtrace.trace").tracer
    ddtrace.patch(requests=True, httpx=True, aiohttp=True)

    def also(client: str) -> None:
        if client == "urllib3":  # off by default: with it, a call of requests has two spans
            ddtrace.patch(urllib3=True)

    return Switched(lambda: tracer.flush() and None, also=also)


def _recost_013(sink_url: str) -> Switched:
    recost: Any = importlib.import_module("recost")
    handle = recost.init(recost.RecostConfig(api_key=KEY, project_id=PROJECT, base_url=sink_url))
    return Switched(lambda: handle.flush_blocking(FLUSH_S) and None)


PRODUCTS = (
    Product(CONTROL, "nothing in both processes", _nothing),
    Product("clock", "a wrapper that reads the clock twice", _clock),
    Product("recost", "init() in cloud mode", _recost),
    Product(
        "prometheus_client",
        "a multiprocess histogram around the call, two labels",
        _prometheus,
        ("prometheus_client",),
    ),
    Product("recost 0.1.3", "init() in cloud mode, the release on PyPI", _recost_013, ("recost==0.1.3",)),
    Product(
        "OpenTelemetry",
        "instrumentations of the clients, BatchSpanProcessor, OTLP over HTTP",
        _opentelemetry,
        (
            "opentelemetry-sdk",
            "opentelemetry-exporter-otlp-proto-http",
            *(f"opentelemetry-instrumentation-{name.replace('_', '-')}" for name in OPENTELEMETRY),
        ),
    ),
    Product(
        "Sentry", "traces_sample_rate=1, in a transaction, without what an empty one takes", _sentry, ("sentry-sdk",)
    ),
    Product("ddtrace", "patch() of the clients, an agent's URL", _ddtrace, ("ddtrace",)),
)
BY_NAME = {product.name: product for product in PRODUCTS}
