"""The API that these tests call."""

from __future__ import annotations

from tests.processes.fixtures import api  # noqa: F401 - pytest takes fixtures from here
