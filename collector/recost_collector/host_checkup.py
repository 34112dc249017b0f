"""The whole host, examined: every check in the order in which a person would ask. Leaves all as it was."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from recost.config import RecostConfig
from recost.paths import runtime_dir
from recost_collector import status, status_look
from recost_collector.checks import Check, fail, host, network, places, settings
from recost_collector.figures import as_json
from recost_collector.words import about_file

PRECEDENCE = (4, 1, 3)
"""Of exit codes: the first of these that there is counts."""


class Examination(msgspec.Struct):
    """All that ``doctor --json`` prints; fields are only ever added."""

    checks: list[Check]
    exit_code: int = 0


def examine(*, reach: bool, timeout_s: float) -> Examination:
    """``reach``: ask destinations also when this environment says local mode."""
    found = settings.read()
    config = found.config if found.config is not None else RecostConfig()
    is_local = config.api_key is None
    local_file = f"{config.project_id or 'default'}.jsonl" if is_local and config.local_transport == "file" else ""
    standing, trouble = _standing()
    urls = [destination.destination for destination in standing.destinations]
    urls += [ring.destination for ring in standing.rings]
    checks = [
        *settings.check(found, urls),
        *_guarded("directories", places.check(config.ring_bytes, local_file)),
        *trouble,
        *_guarded("host", host.check(standing, is_local=is_local, excludes_loopback=config.exclude_loopback)),
        *network.check(network.targets(found.config, urls), timeout_s if reach or not is_local else 0.0),
    ]
    codes = {check.exit_code for check in checks}
    return Examination(checks, next((code for code in PRECEDENCE if code in codes), 0))


def to_json(examination: Examination) -> str:
    return as_json(examination)


def _guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """What cannot be looked at is a finding, too, and the rest goes on."""
    try:
        yield from checks
    except OSError as exc:
        yield fail(name, f"not all could be looked at: {about_file(exc)}")


def _standing() -> tuple[status.Status, list[Check]]:
    try:
        return status_look.gather(), []
    except OSError as exc:  # the runtime directory is refused, which is a check of its own
        if places.private_trouble(runtime_dir()):
            return status.nothing(runtime_dir()), []
        return status.nothing(runtime_dir()), [fail("collection", about_file(exc), exit_code=4)]
