"""Runs the help desk of the demo under load, and takes pictures of what the commands show of it meanwhile."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from examples.demo.load import Load
from examples.demo.place import ROOT, Place
from examples.demo.server import Server
from examples.helpdesk import providers, under_way
from examples.standins import ProviderStandIn
from tests.browser import page

FOLDER = ROOT / "docs" / "pictures"
WIDTH = 118
PAGE_WIDTH, PAGE_HEIGHT = 1120, 1250
WATCH_S = 8
"""How long ``top`` looks before its frame is taken."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/pictures", description=__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="of load (default: %(default)s)")
    seconds = parser.parse_args().seconds
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = Path(tempfile.mkdtemp(prefix="recost-pictures-"))
    try:
        with running(kept) as (environ, address):
            load = Load(address, visitors=4)
            with load:
                time.sleep(max(0.0, seconds - WATCH_S))
                take("top", environ, "--once", "--interval", str(WATCH_S))
                take("status", environ)
            load.stop()
            subprocess.run(command("flush"), env=environ, check=False)
            take("report", environ)
            draw_page(environ, kept)
    finally:
        shutil.rmtree(kept)
    print(f"pictures: {', '.join(sorted(path.name for path in FOLDER.iterdir()))}")
    return 0


@contextlib.contextmanager
def running(kept: Path) -> Iterator[tuple[dict[str, str], tuple[str, int]]]:
    """The help desk and its assistant: their environment, and the desk's address."""
    with Place(kept) as place, ProviderStandIn() as stand_in:
        environ = {
            **place.environment(),
            "RECOST_FLUSH_INTERVAL_MS": "1000",
            providers.VARIABLE: json.dumps(stand_in.urls()),
            under_way.VARIABLE: place.under_way,
        }
        assistant = [sys.executable, "-m", "tests.pictures.assistant"]
        with Server(environ, place.under_way, place.log) as server:
            with subprocess.Popen(assistant, env=environ, cwd=ROOT) as process:
                try:
                    yield environ, server.address
                finally:
                    process.terminate()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "recost_collector", *arguments]


def take(name: str, environ: dict[str, str], *options: str) -> None:
    """What the command shows on a terminal, as SVG."""
    shown = on_terminal(command(name, *options), environ)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(f"$ recost-collector {name}\n{shown.rstrip()}"))
    drawn = console.export_svg(title="recost-collector", unique_id=name)
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)  # they would be fetched from elsewhere
    (FOLDER / f"{name}.svg").write_text(drawn, encoding="utf-8")


def on_terminal(command: list[str], environ: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    environ = {**environ, "COLUMNS": str(WIDTH), "LINES": "60", "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        shown = bytearray()
        with contextlib.suppress(OSError):  # nobody has it open any more
            while True:
                shown += os.read(ours, 1 << 16)
        process.wait()
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def draw_page(environ: dict[str, str], kept: Path) -> None:
    path = kept / "spend.html"
    subprocess.run(command("report", "--html", str(path)), env=environ, check=True)
    with page(kept / "profile") as tab:
        for name, dark in (("page", False), ("page-dark", True)):
            tab.open(path, dark=dark, width=PAGE_WIDTH)
            tab.picture(FOLDER / f"{name}.png", PAGE_HEIGHT)


if __name__ == "__main__":
    sys.exit(main())
