"""``--recost``: the calls of all tests, from all workers of pytest-xdist, by endpoint and by test.

Each test's sums travel on the report of its teardown, so they are there when a worker crashes later.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, Optional

import pytest

from recost.testing import Calls, Options, capture
from recost.testing.table import format_cents, format_table

SHOWN_TESTS = 10
SUMS = "recost_sums"
"""The attribute of a report; plain lists, for it crosses to another process."""


class Sums(NamedTuple):
    """What some calls add up to."""

    calls: int = 0
    errors: int = 0
    pico_usd: int = 0

    def plus(self, other: Sums) -> Sums:
        return Sums(*(a + b for a, b in zip(self, other)))

    def cells(self) -> tuple[str, str, str]:
        return str(self.calls), str(self.errors), format_cents(self.pico_usd)


class Summary:
    """The hooks of ``--recost``: of a worker those that capture, of the process with the terminal the others."""

    def __init__(self, config: pytest.Config) -> None:
        self._options = Options(exclude_loopback=config.getoption("--recost-exclude-loopback"))
        self._calls: Optional[Calls] = None
        self._by_endpoint: dict[tuple[str, str, str], Sums] = {}
        self._by_test: dict[str, Sums] = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, None, None]:
        with capture(**self._options._asdict()) as self._calls:
            yield
        self._calls = None

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
        outcome = yield
        if call.when == "teardown" and self._calls:
            setattr(outcome.get_result(), SUMS, _rows(self._calls))
            self._calls.clear()  # a plugin that runs a test again makes a report for each

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for *key, calls, errors, pico_usd in getattr(report, SUMS, ()):
            sums, endpoint = Sums(calls, errors, pico_usd), (key[0], key[1], key[2])
            self._by_endpoint[endpoint] = self._by_endpoint.get(endpoint, Sums()).plus(sums)
            self._by_test[report.nodeid] = self._by_test.get(report.nodeid, Sums()).plus(sums)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("recost: outbound calls of the tests")
        if not self._by_endpoint:
            terminalreporter.line("none")
            return
        terminalreporter.line(self._endpoints())
        terminalreporter.line("")
        terminalreporter.line(self._tests())

    def _endpoints(self) -> str:
        total = Sums()
        for sums in self._by_endpoint.values():
            total = total.plus(sums)
        rows = [(*key, *sums.cells()) for key, sums in sorted(self._by_endpoint.items(), key=_most_costly)]
        head = ("provider", "endpoint", "method", "calls", "errors", "cents")
        return format_table(head, [*rows, ("total", "", "", *total.cells())], numbers=(3, 4, 5))

    def _tests(self) -> str:
        most = sorted(self._by_test.items(), key=_most_costly)
        rows = [(test, *sums.cells()) for test, sums in most[:SHOWN_TESTS]]
        more = f"\n… and {len(most) - len(rows)} more tests with calls" if len(most) > len(rows) else ""
        return format_table(("test", "calls", "errors", "cents"), rows, numbers=(1, 2, 3)) + more


def _rows(calls: Calls) -> list[list[object]]:
    found: dict[tuple[str, str, str], Sums] = {}
    for call in calls:
        key = (call.provider, call.endpoint, call.method)
        found[key] = found.get(key, Sums()).plus(Sums(1, int(call.error), call.cost_pico_usd))
    return [[*key, *sums] for key, sums in found.items()]


def _most_costly(item: tuple[Any, Sums]) -> tuple[int, int, Any]:
    key, sums = item
    return -sums.pico_usd, -sums.calls, key
