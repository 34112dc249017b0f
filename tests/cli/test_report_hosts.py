"""``report`` and ``run`` on a healthy and a hung host."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.cli.hosts import Command, foreground
from tests.collector.collecting import Worker, file_session, total
from tests.harness import wait_until


def test_the_report_is_there_while_the_collector_works_and_while_it_hangs(report: Command) -> None:
    worker = Worker(file_session())
    with foreground() as process:
        worker.calls(6)
        worker.ask_for_flush()
        wait_until(worker.is_settled, what="the flush")
        assert report() == 0
        assert "calls       6, errors 0 (0.0%)" in report.text

        process.send_signal(signal.SIGSTOP)
        worker.calls(3)  # of these nobody can know
        assert report.json()["total"]["calls"] == 6
        other = [sys.executable, "-m", "recost_collector", "run"]
        done = subprocess.run(other, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, f"pid {process.pid} (run) already leads" in done.stderr) == (1, True)

        process.send_signal(signal.SIGCONT)
        worker.ask_for_flush()
        wait_until(lambda: total() == 9, what="the rest")
        worker.leave()
