"""The pytest plugin: what a test calls, as a fixture, held to a budget by a marker, summed up with ``--recost``.

pytest loads this file in every run of whoever has recost installed.  So it imports nothing of recost before a test
uses one of the three, and stays with what old releases of pytest know: a stranger's suite must not break here.

What counts is the test function itself: what its fixtures call before and after it is only in the sum of ``--recost``.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:
    from recost.testing import Calls

MARKER = "recost"
_MARKER_HELP = (
    "recost(max_calls=None, max_cost_cents=None, allow=None, forbid=None, exclude_loopback=False, exclude_hosts=(),"
    " custom_providers=()): fail the test when its outbound calls are more than max_calls, cost more than"
    " max_cost_cents by recost's rules, or go to a host that is not in allow or is in forbid."
)

_of_fixture: WeakKeyDictionary[pytest.Item, Calls] = WeakKeyDictionary()
"""What the fixture has given to a test that runs; written by the fixture."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("recost", "recost: outbound calls and what they cost")
    group.addoption("--recost", action="store_true", help="capture the calls of all tests and sum them up at the end")
    group.addoption(
        "--recost-exclude-loopback",
        action="store_true",
        help="leave out calls to localhost, 127.0.0.1 and ::1, also for the marker and the fixture",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER_HELP)
    if config.getoption("--recost"):
        from recost_pytest.summary import Summary  # noqa: PLC0415 - only when asked for

        config.pluginmanager.register(Summary(config), "recost-summary")


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, None]:
    """A wrong marker is an error of collection: pytest-xdist can show such a one, and a UsageError it cannot."""
    outcome = yield
    if outcome.excinfo is not None:
        return
    report = outcome.get_result()
    found = report.result if report.outcome == "passed" else []
    marked = [item for item in found if isinstance(item, pytest.Item) and item.get_closest_marker(MARKER) is not None]
    if marked:
        from recost_pytest.limits import wrong_markers  # noqa: PLC0415 - only when the marker is used

        wrong = wrong_markers(marked)
        if wrong:
            report.outcome, report.longrepr, report.result = "failed", "\n".join(wrong), []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, None]:
    calls = _of_fixture.get(item)
    if calls is not None:
        calls.clear()  # of fixtures
    if calls is None and item.get_closest_marker(MARKER) is None:
        yield
        return
    from recost.testing import capture  # noqa: PLC0415 - only when used
    from recost_pytest.limits import budget_of, options_of  # noqa: PLC0415 - as above

    with capture(**options_of(item)._asdict()) as calls:
        outcome = yield
    over = calls.excess_of(budget_of(item))
    if outcome.excinfo is not None:  # it fails, or is skipped, for a reason of its own
        item.add_report_section("call", "recost", over or (str(calls) if calls else ""))
    elif over:
        outcome.force_exception(pytest.fail.Exception(over, pytrace=False))


@pytest.fixture
def recost_calls(request: pytest.FixtureRequest) -> Generator[Calls]:
    """The outbound calls of this test so far: ``.count``, ``.cost_cents``, ``.hosts``, ``.by_provider`` and more."""
    from recost.testing import capture  # noqa: PLC0415 - only when used
    from recost_pytest.limits import options_of  # noqa: PLC0415 - as above

    with capture(**options_of(request.node)._asdict()) as calls:
        _of_fixture[request.node] = calls
        yield calls
