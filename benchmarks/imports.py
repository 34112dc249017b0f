"""What ``import recost`` adds to the start of a program, beside the imports of what it captures."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from compileall import compile_dir
from functools import partial
from typing import NamedTuple

from benchmarks.measure import Effort, interleaved
from benchmarks.place import ROOT, place
from benchmarks.rows import Row, compare

TITLE = "Imports, each in a new interpreter: CPU, modules, resident memory"
MODULES = ("recost", "msgspec", "requests", "httpx")
INIT = "recost; recost.init()"
"""What ``init()`` needs comes with it."""
TIMED = """
import sys, time
before, started_ns = len(sys.modules), time.process_time_ns()
import {module}
imported_ns, total_ns = time.process_time_ns() - started_ns, time.process_time_ns()
pages = int(open("/proc/self/statm").read().split()[1])
print(imported_ns, total_ns, len(sys.modules) - before, pages)
"""
"""CPU of the import and of the whole program, modules that it loaded, and pages of memory in the end."""
EMPTY = "time"
PAGE_BYTES = resource.getpagesize()


class Imported(NamedTuple):
    import_ms: float
    program_ms: float
    modules: float
    mb: float


class _Samples:
    def __init__(self, found: Sequence[Imported]) -> None:
        self.import_ms, self.program_ms, self.modules, self.mb = ([one[at] for one in found] for at in range(4))

    def added_mb(self, empty: _Samples) -> list[float]:
        return [mb - bare for mb, bare in zip(self.mb, empty.mb)]


def measure(effort: Effort) -> Iterator[Row]:
    compile_dir(ROOT / "recost", quiet=1)  # installed packages have theirs; a checkout may have none, nor write any
    with place():
        variants = {module: partial(_import, module) for module in (EMPTY, *MODULES, INIT)}
        found = interleaved(variants, effort.times(20), effort.seconds(12))
    recost, empty = _Samples(found["recost"]), _Samples(found[EMPTY])
    others = {module: _Samples(found[module]) for module in MODULES[1:]}
    yield compare("a program that imports recost", recost.program_ms, "ms", "an empty program", empty.program_ms)
    yield compare("its memory", recost.mb, "MB", "an empty program", empty.mb)
    for name, other in others.items():
        yield compare("import recost", recost.import_ms, "ms", f"import {name}", other.import_ms)
    msgspec_ms = others["msgspec"].import_ms
    yield compare("import recost; recost.init()", _Samples(found[INIT]).import_ms, "ms", "import msgspec", msgspec_ms)
    for name, other in others.items():
        yield compare("modules that it loads", recost.modules, "modules", f"import {name}", other.modules)
    for name, other in others.items():
        yield compare("memory that it adds", recost.added_mb(empty), "MB", f"import {name}", other.added_mb(empty))


def _import(module: str) -> Imported:
    command = [sys.executable, "-c", TIMED.format(module=module)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    imported_ns, total_ns, modules, pages = map(int, printed.split())
    return Imported(imported_ns / 1e6, total_ns / 1e6, modules, pages * PAGE_BYTES / 1e6)
