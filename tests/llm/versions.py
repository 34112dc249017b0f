"""The command line of ``scripts/llm-styles``: every way to call an SDK, in several versions of each."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Optional

import msgspec

from tests.documents import block

ROOT = Path(__file__).parents[2]
FOLDERS = ROOT / ".cache" / "llm-styles"
KEPT = ROOT / "docs" / "llm-styles.json"
SHORT_HEADER = ("SDK", "versions", "ways to call it", "calls tried", "as they should be")
WHOLE, MISSING, FAILED = "whole", "missing", "failed"
SIGNS = {WHOLE: "✓", MISSING: "-", FAILED: "**✗**"}
PACKAGES = {"openai": "openai", "anthropic": "anthropic", "google": "google-genai"}
"""The distribution that the tests of each name are for."""
HELD = {
    "oldest": ("openai", "anthropic"),
    "oldest-google": ("google",),
    "middle": ("openai", "anthropic", "google"),
    "newest": ("openai", "anthropic", "google"),
}
"""What ``scripts/llm-styles`` has installed in each folder."""


class Column(msgspec.Struct):
    """One version of one SDK."""

    package: str
    version: str
    styles: dict[str, str]
    """How each way to call it went, in the order of the tests."""


class Run(msgspec.Struct):
    date: str
    python: str
    columns: list[Column]

    @property
    def holds(self) -> bool:
        return all(FAILED not in column.styles.values() for column in self.columns)


def main(arguments: Optional[list[str]] = None) -> int:
    """0: each call was one event with the right end; 1: one was not."""
    parser = argparse.ArgumentParser("scripts/llm-styles", description=__doc__)
    parser.add_argument("--only", choices=PACKAGES, help="one SDK")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what came of it, too")
    options = parser.parse_args(arguments)
    columns = [
        column
        for sdk in ([options.only] if options.only else PACKAGES)
        for folder, held in HELD.items()
        if sdk in held
        for column in [_try(sdk, FOLDERS / folder / "bin" / "python")]
    ]
    run = Run(dt.date.today().isoformat(), platform.python_version(), columns)  # noqa: DTZ011 - the machine's date
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    print(f"\n{as_markdown(run)}")
    return 0 if run.holds else 1


def read_kept() -> Run:
    return msgspec.json.decode(KEPT.read_bytes(), type=Run)


def as_markdown(run: Run) -> str:
    """A row for each way to call, sync and async together: it holds when both do."""
    columns = [(f"{column.package} {column.version}", _merged(column.styles)) for column in run.columns]
    names = list(dict.fromkeys(name for _, styles in columns for name in styles))
    rows = [[name, *(SIGNS.get(styles.get(name, ""), "") for _, styles in columns)] for name in names]
    return f"{_told(run)}\n\n{block.table(['one call', *(title for title, _ in columns)], rows)}"


def as_short_markdown(run: Run) -> str:
    """A row for each SDK, its versions together."""
    packages: dict[str, list[Column]] = {}
    for column in run.columns:
        packages.setdefault(column.package, []).append(column)
    rows = [
        [
            package,
            ", ".join(column.version for column in columns),
            str(len({way for column in columns for way in _merged(column.styles)})),
            f"{len(_tried(columns)):,}",
            f"{_tried(columns).count(WHOLE):,}",
        ]
        for package, columns in packages.items()
    ]
    return f"{_told(run)}\n\n{block.table(SHORT_HEADER, rows)}"


def _told(run: Run) -> str:
    tried = _tried(run.columns)
    return f"{run.date}, Python {run.python}: {len(tried)} calls tried, {tried.count(WHOLE)} as they should be."


def _tried(columns: list[Column]) -> list[str]:
    return [how for column in columns for how in column.styles.values() if how != MISSING]


def _merged(styles: dict[str, str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, how in styles.items():
        shared = re.sub(r"^async |(?<=`)async ", "", name)
        merged[shared] = max(how, merged.get(shared, how), key=[MISSING, WHOLE, FAILED].index)
    return merged


def _try(sdk: str, python: Path) -> Column:
    """Run the tests of ``sdk`` with what is installed beside ``python``."""
    say = f"from importlib.metadata import version; print(version({PACKAGES[sdk]!r}))"
    version = subprocess.run([python, "-c", say], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.xml"
        # Warnings are of no interest: of an old SDK on a new pydantic there are many.
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", f"--junitxml={found}"]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "collector")))}
        told = subprocess.run(
            [*map(str, command), *_tests(sdk)],
            check=False,
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
        )
        styles = _styles(found) if found.exists() else {}
    if not styles:
        sys.exit(f"llm-styles: nothing was tried with {PACKAGES[sdk]} {version}:\n{told.stdout}\n{told.stderr}")
    failed = [name for name, how in styles.items() if how == FAILED]
    print(f"{PACKAGES[sdk]} {version}: {len(styles)} ways, failed: {', '.join(failed) or 'none'}", flush=True)
    if failed:
        print(told.stdout)
    return Column(PACKAGES[sdk], version, styles)


def _tests(sdk: str) -> list[str]:
    return sorted(str(path) for path in Path(__file__).parent.glob(f"test_{sdk}*.py"))


def _styles(found: Path) -> dict[str, str]:
    styles = {}
    for case in ET.parse(found).iter("testcase"):
        name = re.fullmatch(r"test_each_way\w*\[(.*)\]", case.get("name", ""))
        if name:
            wrong = case.find("failure") is not None or case.find("error") is not None
            styles[name[1]] = FAILED if wrong else MISSING if case.find("skipped") is not None else WHOLE
    return styles


if __name__ == "__main__":
    sys.exit(main())
