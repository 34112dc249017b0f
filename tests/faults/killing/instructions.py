"""Ends a process with SIGKILL at one exact bytecode instruction, and counts which ones a process executes.

An instruction is a code object and an offset in it; the ``n``-th time that it executes is a point.  Code objects are
made when a module is imported and the processes here are forks made after that, so the identity of one tells it in all
of them.  When it comes to the kill, only the frames of that one are traced by instruction: a run up to the point is
hardly slower than one without a tracer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import msgspec

import recost
import recost_collector

Tracer = Callable[[FrameType, str, object], Any]

RECOST = tuple(f"{Path(str(package.__file__)).parent}{os.sep}" for package in (recost, recost_collector))
"""Where the code is whose instructions count."""


class Instruction(NamedTuple):
    """One bytecode instruction."""

    code: int
    """Identity of the code object."""
    offset: int
    place: str
    """Its file and function, for people."""

    def __str__(self) -> str:
        return f"{self.place}+{self.offset}"


class Point(NamedTuple):
    """The ``execution``-th time, counted from 1, that an instruction is about to execute."""

    instruction: Instruction
    execution: int

    def __str__(self) -> str:
        return f"{self.instruction}, execution {self.execution}"


class Executed:
    """How often each instruction below ``places`` was executed while this was the tracer."""

    def __init__(self, places: tuple[str, ...] = RECOST) -> None:
        self._places = places
        self._counts: Counter[tuple[CodeType, int]] = Counter()

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._places):
            return None
        return _trace_instructions(frame, self._count)

    def write(self, path: Path) -> None:
        """For another process to ``read_executed``."""
        found = [(id(code), offset, _place(code), count) for (code, offset), count in self._counts.items()]
        path.write_bytes(msgspec.json.encode(found))

    def _count(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode":
            self._counts[frame.f_code, frame.f_lasti] += 1
        return self._count


class KillAt:
    """A tracer that ends the process right before the point."""

    def __init__(self, point: Point) -> None:
        self._code, self._offset = point.instruction.code, point.instruction.offset
        self._left = point.execution

    def __call__(self, frame: FrameType, _event: str, _argument: object) -> Any:
        return _trace_instructions(frame, self._look) if id(frame.f_code) == self._code else None

    def _look(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "opcode" and frame.f_lasti == self._offset:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._look


def read_executed(path: Path) -> dict[Instruction, int]:
    """What ``Executed.write`` wrote, in the order of first execution."""
    found = msgspec.json.decode(path.read_bytes(), type=list[tuple[int, int, str, int]])
    return {Instruction(code, offset, place): count for code, offset, place, count in found}


@contextlib.contextmanager
def traced(tracer: Tracer) -> Iterator[None]:
    """What this thread and the threads that it starts execute goes through ``tracer``."""
    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]  # what the documentation says


def _trace_instructions(frame: FrameType, tracer: Tracer) -> Any:
    frame.f_trace = tracer  # from 3.12 on before the next line, or this call goes unnoticed
    frame.f_trace_opcodes = True
    return tracer


def _place(code: CodeType) -> str:
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno} {code.co_name}"
