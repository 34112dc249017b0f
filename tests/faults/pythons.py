"""The Pythons that rows run on: this one and, in the full form, the oldest and the newest supported that are here."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OTHERS = ("3.9", "3.13")
ROOT = Path(__file__).parents[2]


class Python(NamedTuple):
    """An interpreter that can import recost, and its version as in the table."""

    version: str
    path: str


def this_python() -> Python:
    return Python(".".join(platform.python_version_tuple()[:2]), sys.executable)


def every_python() -> tuple[list[Python], list[str]]:
    """(those to run on, why others are missing). Makes a small virtual environment for each, once."""
    found, missing = [this_python()], []
    for version in OTHERS:
        if version == found[0].version:
            continue
        try:
            found.append(Python(version, _with_recost(version)))
        except (OSError, subprocess.SubprocessError) as exc:
            missing.append(f"Python {version}: {exc}")
    return found, missing


def _with_recost(version: str) -> str:
    """An interpreter of ``version`` with recost's core dependencies, in a virtual environment of the project."""
    folder = ROOT / ".cache" / f"torture-{version}"
    interpreter = str(folder / "bin" / "python")
    if not (folder / "complete").exists():
        subprocess.run([_find(version), "-m", "venv", "--clear", folder], check=True, capture_output=True)
        install = [interpreter, "-m", "pip", "install", "--quiet", "--editable", str(ROOT)]
        subprocess.run(
            install, check=True, capture_output=True, env={**os.environ, "PIP_CACHE_DIR": str(ROOT / ".cache" / "pip")}
        )
        (folder / "complete").touch()
    return interpreter


def _find(version: str) -> str:
    for candidate in _candidates(version):
        if _is_version(candidate, version):
            return candidate
    raise FileNotFoundError(f"no python{version} on PATH or in pyenv's folder")


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


def _is_version(path: str, version: str) -> bool:
    code = f"import sys; sys.exit('%d.%d' % sys.version_info[:2] != {version!r})"
    return subprocess.run([path, "-c", code], check=False, capture_output=True).returncode == 0
