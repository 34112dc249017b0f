"""Random and mutated bytes wherever bytes come in: rings, session blocks, the spool, the files of the exporter.

Attempts are numbered; each follows from the seed and its number.  A child process makes a batch of them, with a little
more memory than it has, a kernel timer that ends it when one takes too long, and a fence around its folders.  A batch
that ends in any way but its own is a violation, and the next one goes on behind the attempt that it met.

The control makes such attempts where the collector does not expect that bytes cannot be read.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

from recost_collector import aggregate, drain, leading, spool, spool_rows
from recost_collector.exporters import ndjson
from tests.faults.fuzz import files, rings, sessions, spools
from tests.faults.row import Place, Row, Trial
from tests.harness import start_child, wait_for_child

BATCH = 40
INPUT_S = 20.0
CONTROL_S = 10.0
MORE_MEMORY = 256 << 20
STACK_BYTES = 512 << 10
M_ARENA_MAX = -8
"""From glibc's <malloc.h>: each further arena reserves address space, and that is what is limited."""
STATM = Path("/proc/self/statm")
STDERR = 2
ATTEMPTS, INPUTS = 0, 1
"""Words that the children share with us."""
LAST_WORDS = 1500
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGED_FILE = {
    "os.mkdir": 0,
    "os.rename": 1,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.link": 1,
    "os.symlink": 1,
    "os.truncate": 0,
}
"""Audit events of what changes a file, and which of their arguments names it."""
ASKS_NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname"})

Attempt = Callable[[random.Random], int]
"""Tries something out. Returns how many inputs that were; raises when a promise is broken."""
Batch = Callable[[Place], AbstractContextManager[Attempt]]
"""What a batch shares, made in its child."""


def in_rings(trial: Trial) -> None:
    _fuzz(trial, rings.rings, lambda: _forget("UNDECODABLE", aggregate))


def in_sessions(trial: Trial) -> None:
    _fuzz(trial, sessions.sessions, lambda: _forget("UNDECODABLE", drain))


def in_spools(trial: Trial) -> None:
    _fuzz(trial, spools.spools, lambda: _forget("UNREADABLE", leading, spool, spool_rows))


def in_files(trial: Trial) -> None:
    _fuzz(trial, files.files, lambda: _forget("UNDECODABLE", ndjson))


def _forget(errors: str, *modules: ModuleType) -> None:
    """These modules catch none of the ``errors`` any more."""
    for module in modules:
        setattr(module, errors, ())


def _fuzz(trial: Trial, batch: Batch, take_away: Callable[[], object]) -> None:
    if not STATM.exists():
        trial.skip("needs Linux: its address space is limited by what it has")
    inputs = Inputs(trial, batch)
    until = time.monotonic() + trial.size(5.0, 45.0)
    while time.monotonic() < until:
        before = inputs.count
        trouble = inputs.try_batch(until)
        trial.tried(inputs.count - before)
        trial.check(not trouble, trouble)
    control = Inputs(trial, batch, take_away)
    until = time.monotonic() + CONTROL_S
    trouble = ""
    while not trouble and time.monotonic() < until:
        trouble = control.try_batch(until)
    trial.controlled("expecting that bytes cannot be read", int(bool(trouble)), control.count)


class Inputs:
    """Numbered attempts of one kind."""

    def __init__(self, trial: Trial, batch: Batch, prepare: Callable[[], object] = lambda: None) -> None:
        """``prepare`` is called in each child."""
        self._trial = trial
        self._batch = batch
        self._prepare = prepare
        self._seed = trial.random.getrandbits(32)
        self._tried = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")  # shared with the child

    @property
    def count(self) -> int:
        """Those that were tried."""
        return self._tried[INPUTS]

    def try_batch(self, until: float) -> str:
        """Try the next few in a child, not longer than ``until``. What went wrong; empty: nothing."""
        place, first = _in_memory(self._trial.place()), self._tried[ATTEMPTS]
        try:
            code = wait_for_child(start_child(lambda: self._try_here(place, until)), INPUT_S * BATCH)
            if not code:
                return ""
            last_words = (place.home / "stderr").read_text("utf-8", "replace")[-LAST_WORDS:].strip()
        finally:
            shutil.rmtree(place.runtime.parent)
        self._tried[ATTEMPTS] += 1
        self._tried[INPUTS] += 1
        return f"attempt {self._tried[ATTEMPTS] - 1}, in the batch from {first}: {_ending(code)}: {last_words}"

    def _try_here(self, place: Place, until: float) -> None:
        """What goes wrong is written down in the batch's home."""
        with open(place.home / "stderr", "wb") as output:
            os.dup2(output.fileno(), STDERR)
        place.enter()
        os.chdir(place.home)  # a relative name is inside of the fence, then
        self._prepare()
        _restrict(place)
        with self._batch(place) as attempt:
            for _ in range(BATCH):
                if time.monotonic() > until:
                    break
                signal.setitimer(signal.ITIMER_REAL, INPUT_S)  # the default action ends this process
                self._tried[INPUTS] += attempt(random.Random(f"{self._seed}:{self._tried[ATTEMPTS]}"))
                self._tried[ATTEMPTS] += 1
            signal.setitimer(signal.ITIMER_REAL, INPUT_S)


def _in_memory(place: Place) -> Place:
    """Folders that wait for no disk."""
    state, local, home = (place.runtime.parent / name for name in ("state", "local", "home"))
    for folder in (state, local, home):
        folder.mkdir(mode=0o700)
    return Place(place.runtime, state, local, home)


def _restrict(place: Place) -> None:
    """Little memory; no file elsewhere and no network, for a hostile session may name any."""
    threading.stack_size(STACK_BYTES)
    getattr(ctypes.CDLL(None), "mallopt", max)(M_ARENA_MAX, 1)  # other libraries have no arenas
    pages = int(STATM.read_text().split()[0])
    limit = pages * mmap.PAGESIZE + MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folders = tuple(f"{folder.parent}/" for folder in place)

    def watch(name: str, arguments: tuple[Any, ...]) -> None:
        if name in CHANGED_FILE or (name == "open" and arguments[2] & WRITES):
            _require_inside(arguments[CHANGED_FILE.get(name, 0)], folders)
        elif name in ASKS_NETWORK and "127.0.0.1" not in str(arguments):
            raise OSError(errno.ENETUNREACH, "fuzz: no network", str(arguments))

    sys.addaudithook(watch)


def _require_inside(path: object, folders: tuple[str, ...]) -> None:
    """As the kernel does to a user who may write in a few places only."""
    if isinstance(path, (str, bytes, os.PathLike)):
        name = os.path.abspath(os.fsdecode(path))
        if name != os.devnull and not f"{name}/".startswith(folders):
            raise PermissionError(errno.EACCES, "fuzz: outside of the row's folders", name)


def _ending(code: int) -> str:
    if code == -signal.SIGALRM:
        return f"it took more than {INPUT_S:g} s"
    return f"ended by {signal.Signals(-code).name}" if code < 0 else "raised"


ROWS = [
    Row("fuzz.ring", "no bytes in a ring end the collector, stop it or make it grow; other rings are exact", in_rings),
    Row("fuzz.session", "the same for session blocks", in_sessions),
    Row("fuzz.spool", "a damaged spool is repaired or moved aside, and what comes next is delivered", in_spools),
    Row(
        "fuzz.file", "what is in the delivered file or the intent, the next windows are there once and whole", in_files
    ),
]
