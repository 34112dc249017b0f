"""What a setting may be.

A check gives the value to use, or raises the ``ConfigError`` that names the setting (or the variable that it
came from).  ``shown`` is the only way by which a value gets into a text: an API key never does so beyond its
first 8 characters nor beyond a third of it, in whichever setting it was put by mistake.
"""

from __future__ import annotations

import inspect
import os
import string
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from recost.errors import ConfigError
from recost.hosts import normal_host, split_base_url
from recost.ring.layout import MAX_CAPACITY, MIN_CAPACITY
from recost.session import ProviderDef

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

MAX_KEY = 512
MAX_NAME = 128
"""Characters of a project, an environment, a provider or a category."""
MAX_TEXT = 1024
"""Characters of a pattern, a path or a URL."""
MAX_ITEMS = 1000
MAX_COST_CENTS = 1_000_000
SHOWN_CHARS = 60
SHOWN_ITEMS = 5
KEY_PREFIX = "rc-"
SECRET_PREFIXES = (KEY_PREFIX, "cst_", "sk-", "sk_")
PROJECT_CHARS = frozenset(string.ascii_letters + string.digits + "-_.")


def redact(key: str) -> str:
    """What may be shown of a secret: 8 characters, and no more than a third of it."""
    return f"{key[: min(8, len(key) // 3)]}…"


def shown(value: object) -> object:
    """``value`` as a text may show it: no secret, not long, and no ``repr`` of a stranger."""
    if isinstance(value, str):
        return _shown_text(_plain(value))
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value[:SHOWN_ITEMS]] + ["…"] * (len(value) > SHOWN_ITEMS)
    if isinstance(value, ProviderDef):
        return f"ProviderDef for {shown(value.host_pattern)}"
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and value.bit_length() <= 64:
        return int(value)
    return f"a value of type {type(value).__name__}"


def wrong(setting: str, value: object, want: str) -> ConfigError:
    return ConfigError(setting, shown(value), want)


def check_key(setting: str, value: object) -> str:
    want = f"a key that starts with {KEY_PREFIX!r} (without any key: local mode)"
    if not isinstance(value, str):
        raise wrong(setting, value, want)
    if not value.startswith(KEY_PREFIX) or value == KEY_PREFIX:
        raise ConfigError(setting, value and redact(value), want)
    if len(value) > MAX_KEY or not value.isascii() or not value.isprintable() or " " in value:
        # It goes into an HTTP header.
        raise ConfigError(setting, redact(value), f"at most {MAX_KEY} ASCII characters, no space, no line break")
    return _plain(value)


def check_project(setting: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not PROJECT_CHARS.issuperset(value):
        raise wrong(setting, value, f"1 to {MAX_NAME} letters, digits, '-', '_' and '.' (it becomes a file name)")
    if value.startswith("."):
        raise wrong(setting, value, "no '.' at the beginning (it becomes a file name)")
    return _plain(value)


def check_name(setting: str, value: object, *, part: str = "") -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_NAME or not value.isprintable():
        raise wrong(setting, value, f"{part}1 to {MAX_NAME} printable characters")
    return _plain(value)


def check_whole(setting: str, value: object, *, low: int, high: int, or_zero: bool = False) -> int:
    if _is_whole(value) and (low <= value <= high or (or_zero and value == 0)):
        return int(value)
    raise wrong(setting, value, f"{'0 or ' * or_zero}an integer from {low} to {high}")


def check_ring_bytes(setting: str, value: object) -> int:
    if _is_whole(value) and MIN_CAPACITY <= value <= MAX_CAPACITY and not value & (value - 1):
        return int(value)
    raise wrong(setting, value, f"a power of two from {MIN_CAPACITY} to {MAX_CAPACITY}")


def check_number(setting: str, value: object, *, low: float, high: float, unit: str) -> float:
    if (_is_whole(value) or isinstance(value, float)) and low <= value <= high:  # no comparison holds for NaN
        return float(value)
    raise wrong(setting, value, f"{unit}, a number from {low} to {high}")


def check_flag(setting: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise wrong(setting, value, "a boolean (in a variable: 1 true yes on, 0 false no off)")


def check_choice(setting: str, value: object, *, of: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in of:
        return _plain(value)
    raise wrong(setting, value, " or ".join(map(repr, of)))


def check_callback(setting: str, value: object) -> object:
    if not callable(value):
        raise wrong(setting, value, "a function of one argument, the exception")
    if is_async(value):
        raise wrong(setting, value, "a function that is not async: the thread that calls it has no loop")
    return value


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling it does nothing yet, but gives a coroutine for somebody to await."""
    return any(map(inspect.iscoroutinefunction, (function, getattr(function, "__call__", None))))  # noqa: B004 - not whether


def check_items(setting: str, value: object, *, check: Callable[[str, Any], Any]) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise wrong(setting, value, "a list")
    if len(value) > MAX_ITEMS:
        raise wrong(setting, value, f"at most {MAX_ITEMS} items")
    return tuple(check(setting, item) for item in value)


def check_pattern(setting: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise wrong(setting, value, "pieces of a URL or host, as strings that are not empty")
    if "*" in value:
        raise wrong(setting, value, "pieces of a URL or host as they are written: '*' is no wildcard here")
    return _plain(value)


def check_host(setting: str, value: object) -> str:
    host = normal_host(value) if isinstance(value, str) else ""
    if not host:
        raise wrong(setting, value, "exact host names, without scheme, port, path and '*'")
    return host


def check_path(setting: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or "\0" in value:
        raise wrong(setting, value, "the path of a file")
    return _plain(value)


def check_prices(setting: str, value: object) -> object:
    from recost.llm.overrides import WANT, fault_of  # noqa: PLC0415 - for those who name prices

    fault = fault_of(value, setting)
    if fault is None:
        return value
    if fault.setting == setting or any(prefix in str(fault) for prefix in SECRET_PREFIXES):
        raise wrong(setting, value, WANT)
    raise fault  # it says which price


def check_base_url(setting: str, value: object) -> str:
    url = split_base_url(value) if isinstance(value, str) and len(value) <= MAX_TEXT else None
    if url is None:
        raise wrong(setting, value, "an http:// or https:// URL with a host, without user, query and fragment")
    return str(url)


def check_provider(setting: str, value: object) -> ProviderDef:
    if not isinstance(value, ProviderDef):
        raise wrong(setting, value, "objects of type ProviderDef")
    category, cents = value.endpoint_category, value.cost_per_request_cents
    return ProviderDef(
        host_pattern=_host_pattern(setting, value.host_pattern),
        provider=check_name(setting, value.provider, part="as provider "),
        path_prefix=None if value.path_prefix is None else _path_prefix(setting, value.path_prefix),
        endpoint_category=None if category is None else check_name(setting, category, part="as endpoint_category "),
        cost_per_request_cents=None if cents is None else _cents(setting, cents),
    )


def _host_pattern(setting: str, value: object) -> str:
    wildcard = isinstance(value, str) and value.startswith("*.")
    host = normal_host(value[2:] if wildcard else value) if isinstance(value, str) else ""
    if not host:
        raise wrong(
            setting, value, "as host_pattern a host name or '*.' and a host name, without scheme, port and path"
        )
    return "*." * wildcard + host


def _path_prefix(setting: str, value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or len(value) > MAX_TEXT or not value.isprintable():
        raise wrong(setting, value, "as path_prefix the beginning of a path, with its '/'")
    return _plain(value)


def _cents(setting: str, value: object) -> float:
    return check_number(setting, value, low=0, high=MAX_COST_CENTS, unit="as cost_per_request_cents US cents")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(text: str) -> str:
    """Of exactly the type ``str``, as msgpack wants it: an enum's member is a string, too."""
    return "".join(text)


def _shown_text(text: str) -> str:
    if text.strip().startswith(SECRET_PREFIXES):
        return redact(text.strip())
    scheme, slashes, rest = text.rpartition("://")
    place, question, _ = rest.partition("?")
    _, at, place = place.rpartition("@")
    text = f"{scheme}{slashes}{'…' if at else ''}{at}{place}{question}{'…' if question else ''}"
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
