"""The API that the applications of these tests call, collectors that do not linger, and exits that wait."""

from __future__ import annotations

from tests.processes.fixtures import api, leave_soon, wait_long_enough  # noqa: F401 - pytest takes fixtures from here
