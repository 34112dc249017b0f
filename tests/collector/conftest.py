"""Collectors that the tests turn by hand."""

from __future__ import annotations

from tests.collector.hurried import hurry  # noqa: F401 - pytest takes fixtures from here
