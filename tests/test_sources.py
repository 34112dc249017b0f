"""What CONTRIBUTING asks of the sources and no tool of scripts/check looks at."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("benchmarks", "collector", "examples", "recost", "recost_pytest", "scripts", "tests")
MOST_LINES = 300


def test_no_file_is_longer_than_one_subject_takes():
    sizes = {
        str(file.relative_to(ROOT)): file.read_bytes().count(b"\n")
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
    }
    assert {f"{folder}/__main__.py" for folder in ("benchmarks", "examples/demo")} <= sizes.keys()
    assert {name: lines for name, lines in sizes.items() if lines > MOST_LINES} == {}
