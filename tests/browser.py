"""A real browser without a window, spoken to over a pipe in its own protocol (Chrome DevTools)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")


_START = """
import fcntl, os, sys
reading, writing = (fcntl.fcntl(int(text), fcntl.F_DUPFD, 5) for text in sys.argv[1:3])  # neither is 3 or 4 then
os.dup2(reading, 3), os.dup2(writing, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""The browser reads its descriptor 3 and writes to 4."""


class Page:
    """One tab. ``requests`` are the addresses that it asked for, ``complaints`` what it wrote on its console."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer = b""
        self._number = 0
        self._session: Optional[str] = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    @property
    def complaints(self) -> list[str]:
        told = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(event["params"]) for event in self.events if event["method"] in told]

    def open(self, path: Path, *, with_script: bool = True, width: int = 1120, dark: bool = False) -> None:
        self.events.clear()
        self.send("Emulation.setScriptExecutionDisabled", value=not with_script)
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._read()

    def ask(self, expression: str) -> Any:
        """What it comes to, in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def point_at(self, selector: str) -> None:
        """Move the pointer over the middle of the first such element."""
        box = f"document.querySelector({selector!r}).getBoundingClientRect()"
        x, y = self.ask(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path, height: int) -> None:
        """The upper part of the page as PNG."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height, size["height"]), "scale": 1}
        shot = self.send("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def send(self, method: str, **params: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        packed = json.dumps(message).encode() + b"\0"
        assert os.write(self._writing, packed) == len(packed)
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return found["result"]

    def close(self) -> None:
        self._session = None
        with contextlib.suppress(OSError, AssertionError):
            self.send("Browser.close")
        os.close(self._reading)
        os.close(self._writing)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            more = os.read(self._reading, 1 << 16)
            assert more, "the browser has gone"
            self._buffer += more
        packed, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(packed)
        if "method" in found:
            self.events.append(found)
        return found


@contextlib.contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A browser with one tab; skips the tests that want it where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is on PATH (Debian: chromium-headless-shell)")
    (their_end, our_end), (our_other_end, their_other_end) = os.pipe(), os.pipe()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [program, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    starter = [sys.executable, "-IS", "-c", _START, str(their_end), str(their_other_end), *command]
    ends, quiet = (their_end, their_other_end), subprocess.DEVNULL
    environ = {"PATH": os.environ["PATH"], "HOME": str(profile)}  # nothing by which its processes look like a test's
    with subprocess.Popen(starter, pass_fds=ends, stderr=quiet, env=environ) as process:
        os.close(their_end)
        os.close(their_other_end)
        opened = Page(our_other_end, our_end)
        try:
            yield opened
        finally:
            opened.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
