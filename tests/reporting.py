"""Local files and what ``recost-collector report`` makes of them."""

from __future__ import annotations

import json
from pathlib import Path

from recost.wire import MetricEntry, WindowSummary, to_frames
from recost_collector.cli import main


def entry(provider="openai", endpoint="chat_completions", calls=1, errors=0, cents=0.0, p50=10.0, p95=20.0):
    return MetricEntry(provider, endpoint, "POST", calls, errors, p50 * calls, p50, p95, 900, 4200, cents)


def window(*entries: MetricEntry, start="2026-11-21T10:00:00.000Z", end="2026-11-21T10:00:30.000Z", env="production"):
    """The line of one window."""
    summary = WindowSummary("", env, "python", "1.0", start, end, list(entries))
    (frame,) = to_frames(summary, 2000)
    return frame + b"\n"


def write(folder: Path, name: str, *lines: bytes) -> Path:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return path


def text_of(capsys, *options: str, code: int = 0) -> str:
    """What the command prints, with nothing to complain about."""
    assert main(["report", *options]) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    return str(printed.out)


def json_of(capsys, *options: str):
    return json.loads(text_of(capsys, "--json", *options))
