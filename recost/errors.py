"""What recost raises or hands to ``on_error``; a class per thing the user can do about it."""

from __future__ import annotations


class RecostError(Exception):
    """Any trouble that recost reports. ``status`` is the HTTP status, 0 where there is none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message


class ConfigError(RecostError, ValueError):
    """A setting is wrong. Raised by ``init()`` and never later.

    ``setting`` is the name of the setting or of the environment variable; a secret is never in the text.
    """

    def __init__(self, setting: str, got: object, want: str) -> None:
        super().__init__(f"{setting}={got!r}: want {want}")
        self.args = (setting, got, want)
        self.setting = setting


class RecostAuthError(RecostError):
    """The service refused the key (401). The window waits and is tried again."""

    def __init__(self, status: int, consecutive_failures: int) -> None:
        super().__init__(self._text(status, consecutive_failures), status)
        self.args = (status, consecutive_failures)
        self.consecutive_failures = consecutive_failures

    @staticmethod
    def _text(status: int, consecutive_failures: int) -> str:
        return (
            f"the service refused the API key (status={status}, {consecutive_failures} in a row);"
            " windows wait on disk; check api_key (RECOST_API_KEY)"
        )


class RecostFatalAuthError(RecostAuthError):
    """Too many refusals in a row: delivery for this key is suspended until a new key or a new ``init()``."""

    @staticmethod
    def _text(status: int, consecutive_failures: int) -> str:
        return (
            f"delivery is suspended, the API key was refused (status={status}, {consecutive_failures} in a row);"
            " windows wait on disk; set a valid api_key (RECOST_API_KEY): the next init() with it resumes delivery"
        )


def file_error(number: int, text: str, filename: str) -> OSError:
    """The ``OSError`` of this number (``FileNotFoundError``, ``PermissionError``, …); its text is ``text`` as it is."""
    kind = type(OSError(number, text))
    speaking = type(kind.__name__, (kind,), {"__str__": _own_text, "__reduce__": _by_file_error})
    error: OSError = speaking(number, text, filename)
    return error


def _own_text(error: OSError) -> str:
    return str(error.strerror)


def _by_file_error(error: OSError) -> tuple[object, ...]:  # the class exists in this process alone
    return file_error, (error.errno, error.strerror, error.filename)


class RecostRateLimitError(RecostError):
    """The service asked to slow down (429). The window waits ``retry_after_ms``; nothing is dropped."""

    def __init__(self, retry_after_ms: int, endpoint: str) -> None:
        super().__init__(
            f"the service limits the rate: next try in {retry_after_ms} ms, endpoint={endpoint}; nothing is lost", 429
        )
        self.args = (retry_after_ms, endpoint)
        self.retry_after_ms = retry_after_ms
        self.endpoint = endpoint
