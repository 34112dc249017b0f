"""What is shipped, and what importing it costs a worker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from recost import _version

ROOT = Path(__file__).parents[1]

HEAVY = {
    "aiohttp", "asyncio", "concurrent.futures", "email", "filelock", "http.client", "httpx", "httpx2",
    "logging.config", "logging.handlers", "multiprocessing", "recost_collector", "requests", "socket", "sqlite3",
    "ssl", "subprocess", "urllib.request", "urllib3", "websockets",
}  # fmt: skip
"""The clients, for a program may not use them; the collector's tools, for a worker never does."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_a_program_that_imports_recost_before_pytest_is_not_warned(wheel: Path, tmp_path: Path):
    """pytest would rewrite all modules of a package that brings a plugin; those of an editable one it does not know."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass")
    program = "import sys, recost, recost_collector, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    environ = {**os.environ, "PYTHONPATH": str(tmp_path / "installed"), "PYTHONDONTWRITEBYTECODE": "1"}

    ran = subprocess.run([sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, check=False)

    assert ran.stdout.decode().splitlines()[-1].startswith("1 passed in")


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {"recost/__init__.py", "recost/py.typed"} <= names
    assert {"recost_collector/cli.py", "recost_collector/py.typed"} <= names
    dist_info = f"recost-{_version.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names} == {"recost", "recost_collector", "recost_pytest", dist_info}
    assert f"{dist_info}/licenses/LICENSE" in names


def test_every_module_of_the_tree_is_in_the_wheel(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.endswith(".py")}

    written = {str(file.relative_to(ROOT)) for file in (ROOT / "recost").rglob("*.py")}
    written |= {str(file.relative_to(ROOT)) for file in (ROOT / "recost_pytest").rglob("*.py")}
    written |= {str(file.relative_to(ROOT / "collector")) for file in (ROOT / "collector").rglob("*.py")}
    assert shipped == written


def test_the_wheel_installs_into_an_empty_folder_and_runs_from_there(wheel: Path, tmp_path: Path):
    """What is imported there is the wheel's, not the tree's."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import recost, recost_collector; print(recost.__version__, recost.__file__, recost_collector.__path__[0])"

    said = run_python(code, {**os.environ, "PYTHONPATH": str(tmp_path)}, tmp_path).split()

    folders = [str(tmp_path / "recost" / "__init__.py"), str(tmp_path / "recost_collector")]
    assert said == [_version.__version__, *folders]


def test_the_version_is_in_one_place():
    """Everything else asks for it."""
    files = [*ROOT.glob("*.toml"), *(ROOT / "recost").rglob("*.py"), *(ROOT / "collector").rglob("*.py")]
    literal = re.compile(rf"""["']{re.escape(_version.__version__)}["']""")

    assert [file.name for file in files if literal.search(file.read_text("utf-8"))] == ["_version.py"]


def test_the_wheel_says_what_it_needs_and_what_it_gives(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        dist_info = f"recost-{_version.__version__}.dist-info"
        said = archive.read(f"{dist_info}/METADATA").decode("utf-8").splitlines()
        scripts = archive.read(f"{dist_info}/entry_points.txt").decode("utf-8").splitlines()

    assert f"Version: {_version.__version__}" in said
    assert "Requires-Python: >=3.9" in said
    needs = [line.partition(": ")[2] for line in said if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert {re.split(r"[^\w-]", need)[0] for need in needs} == {"filelock", "msgspec", "urllib3"}
    assert [line for line in scripts if line] == [
        "[console_scripts]",
        "recost-collector = recost_collector.__main__:main",
        "recost-run = recost.run:main",
        "[pytest11]",
        "recost = recost_pytest",
    ]


def test_importing_recost_is_light():
    assert imported_by("import recost") & HEAVY == set()


def test_importing_recost_loads_neither_the_counting_nor_what_init_needs():
    """What ``init()`` needs it loads itself, at the start of a program and not with its first call."""
    assert imported_by("import recost") & {"recost.windows", "recost.providers", "recost.handle"} == set()
    assert imported_by("import recost; recost.init()") & {"recost.windows", "recost.providers"} == set()


def test_the_look_at_imports_sees_them():
    """The control for the test above."""
    assert imported_by("import recost; import requests") & HEAVY >= {"requests", "urllib3", "ssl"}


def imported_by(code: str) -> set[str]:
    """The modules that ``code`` loads in a new interpreter, beyond msgspec's: on 3.9 that loads subprocess."""
    listing = "import json, msgspec, sys; print(json.dumps(sorted(sys.modules)))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")])}
    bare, loaded = (set(json.loads(run_python(text, environ))) for text in (listing, f"{code}; {listing}"))
    return loaded - bare


def run_python(code: str, environ: dict[str, str], cwd: Path = ROOT) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    ran = subprocess.run(command, env=environ, cwd=cwd, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_oldest_versions_that_are_tried_are_the_lower_bounds():
    lines = (ROOT / "tests" / "constraints" / "oldest.txt").read_text().split()
    tried = dict(line.split("==") for line in lines)
    found = [re.match(r"([\w-]+)>=([\d.]+)(.*)", required) for required in metadata.requires("recost") or ()]
    bounds = [(one[1], one[2], one[3]) for one in found if one]

    shipped = {name for name, _, marker in bounds if "tests" not in marker and "dev" not in marker}
    assert {"msgspec", "filelock", "urllib3", "websockets", "rich", "flask"} <= shipped
    assert shipped <= tried.keys()
    for name, bound, _ in bounds:
        assert name not in tried or f"{tried[name]}.".startswith(f"{bound}."), name
