"""``collector="thread"``: the one place where a worker loads the collector, to run it inside this process."""

from __future__ import annotations

import logging

logger = logging.getLogger("recost")


def load() -> None:
    """Import all that ``start`` needs, on the thread of ``init()``.

    A thread of ours that imports while the program forks leaves a child in which the same import never ends.
    """
    from recost_collector import in_process  # noqa: PLC0415 - only this mode pays for these imports

    in_process.load_exporters()


def start(directory: str) -> bool:
    """Run a collector for ``directory`` on a thread of this process. False: the interpreter starts none any more."""
    if not directory:
        return False
    from recost_collector import in_process  # noqa: PLC0415 - the same

    return in_process.start(directory)


def end(directory: str, timeout_s: float) -> bool:
    """Deliver what is left, within ``timeout_s``, and end it. On this very thread if there was never another."""
    from recost_collector import in_process  # noqa: PLC0415 - the same

    try:
        if in_process.start(directory):
            in_process.stop(max(0.0, timeout_s))
            return True
        return in_process.run_here(directory, max(0.0, timeout_s))
    except Exception as exc:  # noqa: BLE001 - the end of the application is not the place for our troubles
        logger.warning("the last windows could not be delivered, they wait in shared memory or on disk: %s", exc)
        return False
