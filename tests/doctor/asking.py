"""``recost-collector doctor --rings``, asked from a test."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import pytest

from recost.session import Destination, Session
from recost_collector.cli import main

KEY = "rc-very-secret-key"
SHOP = Session(Destination("https://user:pw@api.example.com/projects/shop/telemetry", "shop"), "production")


class Doctor:
    """The command in this process: what it said last, and its exit code."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture
        self.text = self.errors = ""

    def __call__(self, *arguments: object) -> int:
        self._capture.readouterr()
        code = main(["doctor", "--rings", *map(str, arguments)])
        self.text, self.errors = self._capture.readouterr()
        return code

    def json(self, *arguments: object) -> dict[str, Any]:
        code = self("--json", *arguments)
        found: dict[str, Any] = json.loads(self.text)
        assert found["exit_code"] == code
        return found


def kinds(found: dict[str, Any]) -> list[str]:
    return [problem["kind"] for ring in found["rings"] for problem in ring["problems"]]


def prove(content: bytearray, index: int, value: bytes) -> bytearray:
    """The same ring with other words in its header."""
    content[index * 8 : index * 8 + len(value)] = value
    struct.pack_into("=Q", content, 15 * 8, zlib.crc32(content[: 15 * 8]))
    return content
