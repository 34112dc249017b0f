"""Errors say what happened and what to do, and survive a pickle."""

from __future__ import annotations

import pickle

import pytest

import recost
from recost.notice import Notice, decode, encode, to_error

ERRORS = [
    recost.RecostError("text", 503),
    recost.ConfigError("ring_bytes", 1000, "a power of two"),
    recost.RecostAuthError(401, 2),
    recost.RecostFatalAuthError(401, 5),
    recost.RecostRateLimitError(1500, "/projects/x/telemetry"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_pickling(error: recost.RecostError) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


def test_the_family() -> None:
    assert issubclass(recost.ConfigError, ValueError)
    assert issubclass(recost.RecostFatalAuthError, recost.RecostAuthError)
    assert all(isinstance(error, recost.RecostError) for error in ERRORS)


@pytest.mark.parametrize(
    ("notice", "error"),
    [
        (Notice("auth", status=401, count=2), recost.RecostAuthError(401, 2)),
        (Notice("suspended", status=401, count=5), recost.RecostFatalAuthError(401, 5)),
        (Notice("rate", retry_after_ms=70, endpoint="/p"), recost.RecostRateLimitError(70, "/p")),
        (Notice("parked", "why", status=422), recost.RecostError("why", 422)),
    ],
)
def test_a_notice_becomes_the_typed_error_on_the_other_side(notice: Notice, error: Exception) -> None:
    found = to_error(decode(encode(notice)))

    assert type(found) is type(error)
    assert str(found) == str(error)


@pytest.mark.parametrize(("number", "kind"), [(2, FileNotFoundError), (13, PermissionError), (28, OSError)])
def test_a_file_s_trouble_is_an_os_error_that_speaks_for_itself(number: int, kind: type[OSError]) -> None:
    error = to_error(Notice("file", "windows cannot be written to /x: why", errno=number, filename="/x"))

    for found in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(found, kind)
        assert (found.errno, found.filename, str(found)) == (number, "/x", "windows cannot be written to /x: why")
