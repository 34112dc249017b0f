"""The table of statuses, row by row."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from recost.errors import RecostAuthError, RecostError, RecostRateLimitError
from recost.notice import to_error
from recost_collector.exporters import Reject, Retry
from recost_collector.exporters.answers import Answer, outcome, plain, read_answer, retry_after_s

NOW_S = 1_800_000_000.0
PATH = "/projects/shop/telemetry"


def judge(status, retry_after=None):
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return outcome(read_answer(status, headers, NOW_S), "api.example", PATH)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_done(status):
    assert judge(status) is None


def test_a_401_waits_and_is_an_auth_error():
    result = judge(401)
    assert isinstance(result, Retry)
    assert result.after_s is None
    assert isinstance(to_error(result.notice), RecostAuthError)


def test_a_429_waits_as_long_as_the_service_wishes():
    result = judge(429, "7")
    assert isinstance(result, Retry)
    assert result.after_s == 7.0
    error = to_error(result.notice)
    assert isinstance(error, RecostRateLimitError)
    assert (error.retry_after_ms, error.endpoint) == (7000, PATH)


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "nan", "1e3", "7, 9", "Mon, 99 Foo 2026"])
def test_a_429_that_does_not_say_how_long_waits_a_minute(value):
    result = judge(429, value)
    assert isinstance(result, Retry)
    assert result.after_s == 60.0
    assert result.notice.retry_after_ms == 60_000


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (301, "base_url"),
        (304, "base_url"),
        (308, "base_url"),
        (400, "does not take"),
        (405, "does not take"),
        (410, "does not take"),
        (413, "payload"),
        (422, "payload"),
        (451, "does not take"),
    ],
)
def test_3xx_and_other_4xx_are_parked_at_once_with_a_hint(status, hint):
    result = judge(status)
    assert isinstance(result, Reject)
    assert result.tries == 1
    error = to_error(result.notice)
    assert type(error) is RecostError
    assert error.status == status
    assert hint in str(error)


@pytest.mark.parametrize("status", [403, 404])
def test_403_and_404_are_parked_after_three_tries(status):
    result = judge(status)
    assert isinstance(result, Reject)
    assert result.tries == 3
    assert "api_key" in result.notice.message
    assert "project_id" in result.notice.message


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 599, 600, 408, 409, 425, 101, 103])
def test_failures_of_the_service_are_tried_again(status):
    result = judge(status)
    assert isinstance(result, Retry)
    assert result.after_s is None
    assert result.notice.kind == "undelivered"
    assert result.notice.status == status


def test_a_5xx_with_retry_after_waits_for_it_but_not_for_hours():
    soon, late = judge(503, "20"), judge(503, "7200")
    assert isinstance(soon, Retry)
    assert isinstance(late, Retry)
    assert (soon.after_s, late.after_s) == (20.0, 300.0)


@pytest.mark.parametrize(
    ("value", "wanted_s"),
    [
        ("0", 1.0),
        ("1", 1.0),
        ("2.5", 2.5),
        (" 30 ", 30.0),
        ("99999999", 86_400.0),
        ("9" * 5000, 86_400.0),
        (formatdate(NOW_S + 90, usegmt=True), 90.0),
        (formatdate(NOW_S + 90).replace("-0000", "+0000"), 90.0),
        (formatdate(NOW_S - 90, usegmt=True), 1.0),
        (formatdate(NOW_S + 9e7, usegmt=True), 86_400.0),
        ("Friday, 15-Jan-27 08:01:30 GMT", 90.0),
        ("Fri Jan 15 08:01:30 2027", 90.0),
    ],
)
def test_retry_after_is_read_in_every_form_and_bounded(value, wanted_s):
    assert retry_after_s({"Retry-After": value}, NOW_S) == wanted_s


def test_a_date_counts_from_the_services_own_clock():
    """Ours may be an hour ahead: then every such date has passed, and each try would come too early."""
    headers = {"Retry-After": formatdate(NOW_S + 90, usegmt=True), "Date": formatdate(NOW_S, usegmt=True)}
    assert retry_after_s(headers, NOW_S + 3600) == 90.0


def test_the_request_id_is_in_the_message_on_one_line_and_short():
    result = outcome(read_answer(422, {"x-request-id": "req-7\r\nERROR forged" + "x" * 500}, NOW_S), "host", PATH)
    assert isinstance(result, Reject)
    assert "req-7  ERROR forged" in result.notice.message
    assert "\n" not in result.notice.message
    assert len(result.notice.message) < 300


def test_plain_keeps_what_can_be_read():
    assert plain("a\x1b[31mb\u2028c", 6) == "a [31m"
    assert outcome(Answer(200), "host", PATH) is None
