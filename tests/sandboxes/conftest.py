"""The API that the programs of these tests call, and collectors that do not linger."""

from __future__ import annotations

from tests.processes.fixtures import api, leave_soon  # noqa: F401 - pytest takes fixtures from here
