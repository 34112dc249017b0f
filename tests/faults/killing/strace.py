"""strace on one thread of a forked child: which system calls it makes, and one of them that fails or kills."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.harness import start_child, wait_for_child

PR_SET_PTRACER = 0x59616D61
ANYBODY = ctypes.c_ulong(-1)
WAIT_S = 20.0
CALLS = "%file,%desc"
NO_FILE_CALLS = frozenset({"poll", "ppoll", "select", "pselect6", "restart_syscall"})
_LINE = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)")
_WORKING_DIRECTORY = re.compile(r"AT_FDCWD<[^>]*>")
_PATH = re.compile(r'[<"](/[^>"]*)[>"]')
_RANDOM = re.compile(r"[0-9a-f]{16,}|(?<=/)\d+(?=/)")


class Refused(Exception):  # noqa: N818 - a finding, not an error of the program
    """strace may not attach here; the text is strace's."""


class SystemCall(NamedTuple):
    """The ``nth`` call of ``name`` that a thread makes, counted from 1."""

    thread: str
    name: str
    nth: int
    file: str
    """Its path, without what differs from run to run."""

    def __str__(self) -> str:
        return f"{self.thread}: {self.name} {self.nth} on {self.file}"


class Gate:
    """Where a thread of a forked child stops until somebody has attached to it. Made before the fork."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe()
        self._wait, self._open = os.pipe()

    def stop(self) -> None:
        """In the child. Reads nothing, for a read would count as one of its calls."""
        with contextlib.suppress(OSError, AttributeError):  # only where Yama lets nobody but a parent attach
            ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
        os.write(self._tell, str(threading.get_native_id()).encode())
        poll = select.poll()
        poll.register(self._wait, select.POLLIN)
        poll.poll()

    def thread(self) -> int:
        """In the parent, after the fork: who has stopped; 0 when the child ended without stopping."""
        os.close(self._tell)
        try:
            ready, _, _ = select.select([self._told], [], [], WAIT_S)
            return int(os.read(self._told, 20) or b"0") if ready else 0
        finally:
            os.close(self._told)

    def open(self) -> None:
        """In the parent: let it go on."""
        os.write(self._open, b".")
        os.close(self._open)
        os.close(self._wait)


def why_not() -> str:
    """Why strace cannot be used here; empty when it can."""
    if not sys.platform.startswith("linux"):
        return "strace is for Linux"
    if shutil.which("strace") is None:
        return "needs strace"
    gate = Gate()
    pid = start_child(gate.stop)
    try:
        with attached(gate.thread(), Path(os.devnull), "-e", "trace=none"):
            gate.open()
    except Refused as exc:
        return str(exc)
    finally:
        with contextlib.suppress(OSError):  # open already
            gate.open()
        wait_for_child(pid)
    return ""


@contextlib.contextmanager
def attached(thread: int, output: Path, *options: str) -> Iterator[None]:
    """strace with ``options`` on that thread, until it ends. Raises ``Refused``."""
    command = ["strace", "-p", str(thread), "-o", str(output), *options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        said = process.stderr.readline().decode()
        if not said.endswith("attached\n"):
            raise Refused(said.strip())
        yield
        process.wait(WAIT_S)
    finally:
        process.kill()  # harmless once it has ended
        process.wait()
        process.stderr.close()


def calls_in(output: Path, thread: str) -> list[SystemCall]:
    """The calls on files that strace wrote down with ``-y``."""
    counts: Counter[str] = Counter()
    found = []
    for line in output.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None or match["name"] in NO_FILE_CALLS:
            continue
        name = match["name"]
        counts[name] += 1
        path = _PATH.search(_WORKING_DIRECTORY.sub("", match["arguments"]))
        if path is not None:
            found.append(SystemCall(thread, name, counts[name], _tidy(path[1])))
    return found


def _tidy(path: str) -> str:
    shown = path if path.startswith(("/proc/", "/dev/urandom", "/dev/null")) else os.path.basename(path)
    return _RANDOM.sub("*", shown)
