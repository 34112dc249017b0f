"""The examples of deployment: what can be checked without the systems that they are for."""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recost._settings import SETTINGS

DEPLOY = Path(__file__).parents[1] / "examples" / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc")
DIRECTORIES = {"RECOST_LOCAL_DIR", "RECOST_RUNTIME_DIR", "RECOST_STATE_DIR"}


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_variable_of_recost_is_one(file: Path) -> None:
    known = DIRECTORIES | {f"RECOST_{name.upper()}" for name in SETTINGS}
    assert set(re.findall(r"RECOST_[A-Z_]+[A-Z]", file.read_text())) <= known


def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    units = []
    for file in DEPLOY.glob("systemd/*.service"):
        unit = tmp_path / file.name
        here = {"/srv/shop/.venv/bin/": f"{Path(sys.executable).parent}/", "=shop\n": f"={getpass.getuser()}\n"}
        text = file.read_text()
        for theirs, ours in here.items():
            assert theirs in text
            text = text.replace(theirs, ours)
        unit.write_text(text.replace("=/srv/shop\n", f"={tmp_path}\n"))
        units.append(unit)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, units)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert len(units) == 2
    assert [line for line in done.stderr.splitlines() if str(tmp_path) in line] == []
    assert done.returncode == 0, done.stderr


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (DEPLOY.parent / name).is_file()] == []
