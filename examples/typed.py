"""Every public name of recost with the types that it promises: ``mypy --strict`` reads this as a user's code.

It runs, too, and leaves nothing behind: no call is made.
"""

from __future__ import annotations

from typing import Callable, Optional, Union

import recost
import recost.testing

_errors: list[Exception] = []
_types: tuple[recost.TransportMode, recost.LocalTransportMode] = ("local", "file")


def settings() -> recost.RecostConfig:
    rule = recost.ProviderDef(
        "*.acme.test", "acme", path_prefix="/v1", endpoint_category="v1", cost_per_request_cents=0.5
    )
    config = recost.RecostConfig(
        project_id="typed", custom_providers=[rule], on_error=_errors.append, ring_bytes=1 << 16
    )
    mode: recost.TransportMode = config.mode
    assert mode == _types[0]
    return config.replace(local_transport=_types[1])


def handle() -> None:
    with recost.init(settings(), flush_interval_ms=1000) as one:
        made: recost.RecostHandle = one
        done: bool = made.flush_blocking(timeout_s=0.1) and recost.flush(timeout=0.1)
        status: Optional[recost.FlushStatus] = made.last_flush_status
        where: tuple[int, bool, bool] = made.pid, done, status is None or status.window_size > 0
        made.reinit_after_fork()
        made.dispose()
    assert where[0] > 0


def what_went_wrong(error: recost.RecostError) -> Union[str, int]:
    if isinstance(error, recost.RecostFatalAuthError):
        return error.consecutive_failures
    if isinstance(error, recost.RecostAuthError):
        return error.status
    if isinstance(error, recost.RecostRateLimitError):
        return f"{error.endpoint} {error.retry_after_ms}"
    return error.setting if isinstance(error, recost.ConfigError) else error.message


def capture_alone() -> None:
    seen: list[recost.RawEvent] = []
    recost.install(seen.append)
    active: bool = recost.is_installed()
    recost.uninstall()
    assert active
    assert not seen


def account() -> Optional[dict[str, object]]:
    registry = recost.ProviderRegistry()
    match: Optional[recost.MatchResult] = registry.match("https://api.stripe.com/v1/charges")
    rules: list[recost.ProviderDef] = registry.list() or list(recost.BUILTIN_PROVIDERS)
    aggregator = recost.Aggregator(project_id="typed", max_buckets=recost.MAX_BUCKETS)
    aggregator.ingest(recost.RawEvent(0.0, "GET", "https://x.test/a", "x.test", "/a", 200, 1.5, 0, 2), cost_cents=0.1)
    summary: Optional[recost.WindowSummary] = aggregator.flush()
    assert match is not None
    assert rules
    assert summary is not None
    rows: list[recost.MetricEntry] = list(summary.metrics)
    assert rows[0].request_count == 1
    return dict(summary.to_dict())


@recost.feature_tag("typed")
def tagged(number: int) -> str:
    with recost.feature_tag("inner"):
        return str(number)


async def tagged_too() -> int:
    async with recost.feature_tag("inner"):
        return len(tagged(7))


def llm() -> float:
    patches: list[Callable[[], None]] = [recost.unpatch_openai, recost.unpatch_anthropic, recost.unpatch_google]
    for undo in patches:
        undo()
    recost.track(
        "openai", "gpt-4o", prompt_tokens=1, completion_tokens=2, cost=None, latency_ms=3.0, feature_tag="typed"
    )
    return recost.estimate_cost("openai", "gpt-4o", {"prompt_tokens": 1000, "completion_tokens": 500})


def patched() -> None:
    """Of the SDKs that are installed."""
    recost.patch_openai("typed", inject_stream_usage=True)
    recost.patch_anthropic("typed")
    recost.patch_google("typed")


def tests() -> int:
    with recost.testing.capture() as calls:
        tagged(1)
    calls.check(max_calls=0)
    return calls.count


if __name__ == "__main__":
    handle()
    capture_alone()
    print(recost.__version__, account(), tagged(1), tests())
