"""The Python in the documents for users runs, in the order in which it is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.__main__ import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = ("README.md", "docs/llm.md", "docs/testing.md")
STAND_INS = """
import sys
import pytest, recost, recost.testing
from fastapi import FastAPI
from flask import Flask

card = None

def charge(card): ...

def checkout(*_): ...

for number, code in enumerate(eval(sys.stdin.read())):
    framework = FastAPI() if "fastapi" in code else Flask(__name__) if "flask" in code else None
    space = {**globals(), "app": framework, "__name__": f"block_{number}"}
    try:
        exec(compile(code, f"block {number}", "exec", dont_inherit=True), space)
    except Exception:
        print(f"in this block:\\n{code}", file=sys.stderr)
        raise
print("all ran")
"""
"""What the blocks take for granted: an application, and functions of the reader's."""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_of_python_runs(document: str, tmp_path: Path):
    blocks = BLOCK.findall((ROOT / document).read_text("utf-8"))
    (tmp_path / "prices.json").write_text("{}")
    ran = run(blocks, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("all ran\n")


def test_a_block_that_does_not_run_is_found_out(tmp_path: Path):
    """The control."""
    ran = run(["import recost\nrecost.innit()\n"], tmp_path)
    assert ran.returncode == 1
    assert "innit" in ran.stderr


def run(blocks: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """None of them makes a call, so nothing is started, and nothing is sent with the keys that they show."""
    for framework in ("celery", "fastapi", "flask"):
        pytest.importorskip(framework)
    environ = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'collector'}",
        "HOME": str(folder),
        "RECOST_RUNTIME_DIR": str(folder / "r"),
    }
    command = [sys.executable, "-c", STAND_INS]
    return subprocess.run(
        command, input=repr(blocks), env=environ, cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )
