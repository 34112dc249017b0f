"""The table of settings, from the code: names, defaults and docstrings of ``RecostConfig``, types and checks."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from functools import partial

from recost import config
from recost._settings import SETTINGS, Keywords
from recost.errors import ConfigError
from tests.documents import block

HEADER = ("setting, variable", "type", "default", "may be", "meaning")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
LONG_CHARS = 30
ALIASES = {"CollectorMode": "str", "LocalTransportMode": "str"}
"""Types whose values the check names."""


def as_markdown() -> str:
    """A row for each setting, in the order of the code."""
    types, meanings = _types(), _meanings()
    rows = ((_names(name), f"`{types[name]}`", _default(name), _may_be(name), meanings[name]) for name in SETTINGS)
    return block.table(HEADER, rows)


def _names(name: str) -> str:
    return f"`{name}`" + (f"<br>`{config.PREFIX}{name.upper()}`" if SETTINGS[name].read else "")


def _types() -> dict[str, str]:
    """As in the signature of ``init``, where each may be None as well."""
    told = {name: ast.parse(_text(said), mode="eval").body for name, said in Keywords.__annotations__.items()}
    return {
        name: _short(ast.unparse(one.slice if isinstance(one, ast.Subscript) else one)) for name, one in told.items()
    }


def _short(annotation: str) -> str:
    outer = annotation.partition("[")[0]
    return ALIASES.get(annotation, annotation if len(annotation) <= LONG_CHARS else f"{outer}[…]")


def _text(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else str(getattr(annotation, "__forward_arg__", annotation))


def _meanings() -> dict[str, str]:
    """The docstring below each field, on one line."""
    body = ast.parse(inspect.getsource(config.RecostConfig)).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: " ".join(said.value.value.replace("``", "`").split())
        for field, said in zip(body.body, body.body[1:])
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) and isinstance(said.value.value, str)
    }


def _default(name: str) -> str:
    value = getattr(config.RecostConfig, name)
    if value is None or value == ():
        return "none"
    if name.endswith("_bytes"):
        return _bytes(value)
    return (
        f"`{value}`" if isinstance(value, (str, bool)) else f"{value:g}" if isinstance(value, float) else f"{value:,}"
    )


def _may_be(name: str) -> str:
    """What its check wants, in the words of the error that a user would read; the type has said the rest."""
    check = SETTINGS[name].check
    one = check.keywords.get("check", check) if isinstance(check, partial) else check
    try:
        one(name, object())
    except ConfigError as error:
        _, _, want = str(error).partition(": want ")
        return _less(want, _bytes if name.endswith("_bytes") else "{:,}".format)
    raise AssertionError(f"{name}: anything is allowed")


def _less(want: str, shown: Callable[[int], str]) -> str:
    if want.startswith("a boolean"):
        return ""
    plain = re.sub(r"(an integer|seconds, a number) from ", "", want.replace(" (it becomes a file name)", ""))
    return re.sub(r"\b\d{4,}\b", lambda number: shown(int(number[0])), plain)


def _bytes(value: int) -> str:
    size, unit = value, 0
    while size >= 1024 and not size % 1024:
        size, unit = size // 1024, unit + 1
    return f"{size} {UNITS[unit]}"
