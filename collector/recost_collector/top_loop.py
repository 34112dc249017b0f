"""Looking again and again for ``top``, on a terminal until somebody has seen enough."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live

from recost_collector.top_look import Look, look
from recost_collector.top_screen import frame

WIDTH = 120
"""Of a frame that goes to no terminal."""
QUIT = (b"q", b"Q", b"\x03", b"\x04")


def run(arguments: argparse.Namespace) -> int:
    if arguments.once or not sys.stdout.isatty():
        return _once(arguments)
    with _keys() as is_terminal:
        _live(arguments, is_terminal=is_terminal)
    return 0


def _once(arguments: argparse.Namespace) -> int:
    """Two looks: a rate is a difference. One will do where nobody collects and nobody calls."""
    seen = look(None)
    if seen.status.leading or seen.status.rings:
        time.sleep(arguments.interval)
        seen = look(seen)
    columns = shutil.get_terminal_size((WIDTH, 0)).columns
    console = Console(width=columns, highlight=False)
    with console.capture() as drawn:  # rich would end the process itself when the reader has gone
        console.print(frame(seen, arguments.by, 0, columns))
    sys.stdout.write(drawn.get())
    return seen.status.exit_code


def _live(arguments: argparse.Namespace, *, is_terminal: bool) -> None:
    console = Console(highlight=False)
    seen: Look = look(None)
    with Live(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(frame(seen, arguments.by, console.height, console.width), refresh=True)
            if _wait(arguments.interval, is_terminal=is_terminal):
                return
            seen = look(seen)


def _wait(seconds: float, *, is_terminal: bool) -> bool:
    """True when a key says that it is enough."""
    if not is_terminal:
        time.sleep(seconds)
        return False
    until = time.monotonic() + seconds
    while select.select([sys.stdin], [], [], max(0.0, until - time.monotonic()))[0]:
        if os.read(sys.stdin.fileno(), 1) in {*QUIT, b""}:
            return True
    return False


@contextlib.contextmanager
def _keys() -> Iterator[bool]:
    """Keys come at once and are not shown meanwhile. False: there is no keyboard."""
    if not sys.stdin.isatty():
        yield False
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
