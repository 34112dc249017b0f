"""Which interpreters are instrumented, and what they have as ``sitecustomize``."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from recost import _capture
from recost.run import FOLDER
from tests.processes.support import ROOT, Api, delivered, rings, wait_until_delivered, wait_until_idle
from tests.run.running import CALLS, CALLS_FIVE_TIMES, recost_run, write

IMPORTS_A_CLIENT_OF_ITS_OWN = """
import sys
import requests  # the file beside this one
print(requests.MARK, "recost" in sys.modules)
"""

SHOWS_ITS_SITECUSTOMIZE = """
import sys, urllib3, sitecustomize
print(sitecustomize.MARK, sitecustomize.__file__, sys.path.count("/added/by/it"), "recost" in sys.modules)
"""


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """An environment without recost."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


def test_an_environment_without_recost_is_left_alone_and_told_nothing(other_python: Path, tmp_path: Path):
    write(tmp_path / "requests.py", "MARK = 'own'")
    script = write(tmp_path / "script.py", IMPORTS_A_CLIENT_OF_ITS_OWN)
    command = [sys.executable, "-m", "recost.run", str(other_python), "-W", "error", str(script)]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("own False\n", "")


def test_with_debug_it_is_told_why_nothing_is_captured(other_python: Path, tmp_path: Path):
    write(tmp_path / "requests.py", "MARK = 'own'")
    script = write(tmp_path / "script.py", IMPORTS_A_CLIENT_OF_ITS_OWN)
    command = [sys.executable, "-m", "recost.run", str(other_python), str(script)]
    environ = {**os.environ, "RECOST_DEBUG": "1"}
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environ)
    assert ran.stdout == "own False\n"
    assert ran.stderr.startswith("recost-run: no calls are captured in process ")
    assert f"{other_python} cannot import recost" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_an_interpreter_that_looks_at_no_environment_runs_as_ever(api: Api, tmp_path: Path, flag: str):
    """-S: and at no packages, so the script names their folder."""
    packages = [path for path in sys.path if path.endswith("-packages")]
    script = write(tmp_path / "script.py", f"import sys; sys.path += {packages!r}\n{CALLS_FIVE_TIMES}")
    ended = recost_run(sys.executable, flag, script, api.url)
    assert ended.errors == ""
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


@pytest.mark.parametrize("name", ["pip", "pip3.11", "recost-collector", "recost-run"])
def test_pip_and_recost_s_own_commands_are_not_captured(api: Api, tmp_path: Path, name: str):
    recost_run(sys.executable, write(tmp_path / name, CALLS_FIVE_TIMES), api.url)
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


def test_pip_as_a_module_is_not_captured(api: Api, tmp_path: Path):
    write(tmp_path / "pip" / "__init__.py", "")
    write(tmp_path / "pip" / "__main__.py", CALLS_FIVE_TIMES)
    paths = os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "collector")])
    recost_run(sys.executable, "-m", "pip", api.url, PYTHONPATH=paths)
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


def test_a_program_that_is_only_called_like_it_is_captured(api: Api, tmp_path: Path):
    """The control for the two above."""
    recost_run(sys.executable, write(tmp_path / "pip-audit", CALLS_FIVE_TIMES), api.url)
    wait_until_delivered(CALLS)


def test_the_collector_s_command_line_is_left_alone():
    ended = recost_run(sys.executable, "-m", "recost_collector", "status")
    assert ended.errors == ""
    wait_until_idle()


def test_the_sitecustomize_that_is_hidden_is_loaded_in_its_place(tmp_path: Path):
    hidden = write(
        tmp_path / "site" / "sitecustomize.py", "import sys\nMARK = 'hidden'\nsys.path.append('/added/by/it')"
    )
    script = write(tmp_path / "script.py", SHOWS_ITS_SITECUSTOMIZE)
    paths = os.pathsep.join([str(hidden.parent), str(ROOT), str(ROOT / "collector")])
    ended = recost_run(sys.executable, script, PYTHONPATH=paths)
    assert ended.output == f"hidden {hidden} 1 True\n"
    assert ended.errors == ""


def test_an_error_of_the_hidden_one_is_reported_as_ever(api: Api, tmp_path: Path):
    hidden = write(tmp_path / "site" / "sitecustomize.py", "raise RuntimeError('of its own')")
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES)
    paths = os.pathsep.join([str(hidden.parent), str(ROOT), str(ROOT / "collector")])
    bare = subprocess.run(
        [sys.executable, "-c", "pass"],
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
        capture_output=True,
        text=True,
    )
    ended = recost_run(sys.executable, script, api.url, PYTHONPATH=paths)
    assert "of its own" in bare.stderr
    # once from the interpreter that recost-run itself runs in, once from the script's
    assert ended.errors == 2 * bare.stderr
    wait_until_delivered(CALLS)


def test_a_tool_of_the_same_kind_in_front_of_it_is_no_obstacle(api: Api, tmp_path: Path):
    """It has its own folder first, and looks for the next sitecustomize without it, as they do."""
    outer = """
import os, sys
here = os.path.dirname(__file__)
sys.path.remove(here)
ours = sys.modules.pop("sitecustomize")
import sitecustomize
sys.path.insert(0, here)
"""
    folder = write(tmp_path / "tool" / "sitecustomize.py", outer).parent
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES)
    paths = os.pathsep.join([str(folder), FOLDER, str(ROOT), str(ROOT / "collector")])
    command = [sys.executable, str(script), api.url]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, check=True)
    wait_until_delivered(CALLS)


def test_it_is_read_by_every_python_that_may_meet_it():
    """A SyntaxError would be a line on stderr at every start of an older interpreter."""
    text = Path(FOLDER, "sitecustomize.py").read_text("utf-8")
    tree = ast.parse(text, feature_version=(3, 4))
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.AnnAssign, ast.JoinedStr))]
    assert "__future__" not in text
    assert text.isascii()


def test_its_folder_holds_no_other_module():
    """It is first on the path: whatever is in it would hide a module of the program's."""
    assert [file.name for file in Path(FOLDER).glob("*.py")] == ["sitecustomize.py"]


def test_it_knows_every_client():
    """Read, not imported: it would begin to capture in this process."""
    tree = ast.parse(Path(FOLDER, "sitecustomize.py").read_text("utf-8"))
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert set(ast.literal_eval(values["CLIENTS"])) == set(_capture.CLIENTS)
