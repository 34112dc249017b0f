"""The command itself: what it makes of its arguments, of a wrong setting and of the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from recost import __version__
from recost.run import FOLDER, instrumented
from tests.processes.support import Api, delivered, rings
from tests.run.running import CALLS, CALLS_FIVE_TIMES, recost_run, write

SETS_IT_WRONG = f"""
import os
os.environ["RECOST_PROJECT_ID"] = "not/a/name"
{CALLS_FIVE_TIMES}
"""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "recost-run: want a command"),
        (["--"], 2, "recost-run: want a command"),
        ([""], 2, "recost-run: want a command"),
        (["--workers", "2"], 2, "recost-run: no such option: --workers"),
        (["no-such-command-anywhere"], 127, "recost-run: command not found: no-such-command-anywhere"),
        (["/dev/null/x"], 127, "recost-run: command not found: /dev/null/x"),
        (["/"], 126, "recost-run: cannot run /: "),
        ([__file__], 126, f"recost-run: cannot run {__file__}: Permission denied"),
    ],
)
def test_what_it_cannot_run_is_said_in_a_line(arguments: list[str], code: int, said: str):
    ended = recost_run(*arguments, code=code)
    assert ended.errors.startswith(said)
    assert ended.errors.count("\n") == 1 + (code == 2)
    assert ended.output == ""


def test_help_and_version():
    assert "recost-run gunicorn app:app" in recost_run("--help").output
    assert "RECOST_PROJECT_ID" in recost_run("-h").output
    assert recost_run("--version").output == f"recost {__version__}\n"


def test_options_after_the_command_are_the_command_s():
    assert recost_run("echo", "--help", "--", "-x").output == "--help -- -x\n"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"RECOST_PROJECT_ID": "not/a/name"}, "RECOST_PROJECT_ID='not/a/name': want "),
        ({"RECOST_API_KEY": "rc-x-key-that-is-quite-long"}, "project_id=None: want "),
        ({"RECOST_ENABLED": "perhaps"}, "RECOST_ENABLED='perhaps': want "),
    ],
)
def test_a_wrong_setting_is_one_line_and_the_program_runs(api: Api, tmp_path: Path, environ: dict[str, str], said: str):
    script = write(tmp_path / "script.py", CALLS_FIVE_TIMES)
    ended = recost_run(sys.executable, script, api.url, code=0, **environ)
    assert ended.errors.startswith(f"recost-run: no calls are captured: {said}")
    assert ended.errors.count("\n") == 1
    assert "quite-long" not in ended.errors
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


def test_a_setting_that_the_program_itself_makes_wrong_is_one_line_too(api: Api, tmp_path: Path):
    ended = recost_run(sys.executable, write(tmp_path / "script.py", SETS_IT_WRONG), api.url)
    said = f"recost-run: no calls are captured in process {ended.pid}: RECOST_PROJECT_ID='not/a/name': want "
    assert ended.errors.startswith(said)
    assert ended.errors.count("\n") == 1
    assert (api.calls, rings(), delivered()) == (CALLS, [], 0)


def test_without_stderr_a_wrong_setting_does_no_harm_either(api: Api, tmp_path: Path):
    script = write(tmp_path / "script.py", f"import sys; sys.stderr = None{SETS_IT_WRONG}")
    assert recost_run(sys.executable, script, api.url).errors == ""
    assert api.calls == CALLS


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, [FOLDER]),
        ("", [FOLDER]),
        ("/a:/b", [FOLDER, "/a", "/b"]),
        (":/a", [FOLDER, "", "/a"]),
        (f"/a:{FOLDER}:/b", [FOLDER, "/a", "/b"]),
        (FOLDER, [FOLDER]),
    ],
)
def test_the_folder_comes_first_and_no_other_entry_comes_or_goes(before: str | None, after: list[str]):
    """An empty entry is the working directory: none must appear, and a user's own stays."""
    environ = {"A": "b"} if before is None else {"A": "b", "PYTHONPATH": before}
    assert instrumented(environ) == {"A": "b", "PYTHONPATH": os.pathsep.join(after)}
