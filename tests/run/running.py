"""Commands under ``recost-run``, and programs for it that know nothing of recost."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness import END_S
from tests.processes.support import ROOT

CALLS = 5

CALLS_FIVE_TIMES = f"""
import os, sys, urllib3

with urllib3.PoolManager(retries=False) as pools:
    for _ in range({CALLS}):
        assert pools.request("GET", sys.argv[1], timeout=20).status == 200
print("done in", os.getpid())
"""


class Ended(NamedTuple):
    """What a command said."""

    pid: int
    code: int
    output: str
    errors: str


@contextlib.contextmanager
def started(*command: str | Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """``recost-run COMMAND``, with an environment in which recost can be imported. Killed unless the test ended it."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    process = subprocess.Popen(
        [sys.executable, "-m", "recost.run", *map(str, command)],
        env={**os.environ, **paths, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # harmless after it was waited for


def recost_run(*command: str | Path, code: int = 0, **environ: str) -> Ended:
    """The same, waited for."""
    with started(*command, **environ) as process:
        output, errors = process.communicate(timeout=END_S)
    assert process.returncode == code, output + errors
    return Ended(process.pid, process.returncode, output, errors)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
