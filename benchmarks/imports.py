"""What ``import recost`` adds to the start of a program, beside the imports of what it captures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Effort, interleaved
from benchmarks.place import place
from benchmarks.rows import Row, compare

TITLE = "Imports: CPU, each in a new interpreter"
MODULES = ("recost", "msgspec", "requests", "httpx")
TIMED = """
import time
started_ns = time.process_time_ns()
import {module}
print(time.process_time_ns() - started_ns, time.process_time_ns())
"""
"""CPU of the import, and of the whole program."""


def measure(effort: Effort) -> Iterator[Row]:
    with place():
        variants = {module: partial(_import, module) for module in ("time", *MODULES)}
        found = interleaved(variants, effort.times(20), effort.seconds(12))
    imports = {module: [sample[0] for sample in samples] for module, samples in found.items()}
    programs = {module: [sample[1] for sample in samples] for module, samples in found.items()}
    yield compare("a program that imports recost", programs["recost"], "ms", "an empty program", programs["time"])
    for other in MODULES[1:]:
        yield compare("import recost", imports["recost"], "ms", f"import {other}", imports[other])


def _import(module: str) -> tuple[float, float]:
    command = [sys.executable, "-c", TIMED.format(module=module)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    imported_ns, total_ns = printed.split()
    return int(imported_ns) / 1e6, int(total_ns) / 1e6
