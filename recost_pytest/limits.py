"""What the markers of a test say. Of each argument the nearest one counts: a class sets what a test may narrow."""

from __future__ import annotations

from typing import Any

import pytest

from recost.testing import Budget, Options
from recost.testing.budget import LIMITS

MARKER = "recost"
KNOWN = (*LIMITS, *Options._fields)


def budget_of(item: pytest.Item) -> Budget:
    return Budget.of(_given(item))


def options_of(item: pytest.Item) -> Options:
    loopback = {"exclude_loopback": item.config.getoption("--recost-exclude-loopback")}
    return Options.of({**loopback, **_given(item)})


def wrong_markers(items: list[pytest.Item]) -> list[str]:
    """What is wrong with the markers of these tests, each once: a class's marker is on all of its tests."""
    return list(dict.fromkeys(text for item in items for text in _wrong(item)))


def _wrong(item: pytest.Item) -> list[str]:
    found = []
    for node, mark in item.iter_markers_with_node(MARKER):
        text = _wrong_argument(mark)
        if text:
            found.append(f"{node.nodeid}: @pytest.mark.{MARKER}: {text}")
    return found


def _wrong_argument(mark: pytest.Mark) -> str:
    if mark.args:
        return f"want arguments by name, got {mark.args[0]!r}"
    unknown = [name for name in mark.kwargs if name not in KNOWN]
    if unknown:
        return f"no such argument: {unknown[0]}; want {', '.join(KNOWN)}"
    try:
        Budget.of(mark.kwargs)
        Options.of(mark.kwargs)
    except ValueError as error:
        return str(error)
    return ""


def _given(item: pytest.Item) -> dict[str, Any]:
    nearest_last = reversed(list(item.iter_markers(MARKER)))
    return {name: value for mark in nearest_last for name, value in mark.kwargs.items()}
