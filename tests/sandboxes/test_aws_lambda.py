"""The example for AWS Lambda in a sandbox like Lambda's: frozen between invocations, and killed at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.standins import CloudStandIn
from examples.standins.server import Answer, Request, StandIn, json_answer
from tests.cloud.application import KEY
from tests.harness import wait_until
from tests.processes.support import ROOT
from tests.sandboxes.test_sandboxes import refusal

FOLDER = ROOT / "examples" / "deploy" / "aws_lambda"


async def _answer(_: Request) -> Answer:
    return json_answer({"stargazers_count": 7})


def _invoke(function: subprocess.Popen[str]) -> Any:
    assert function.stdin is not None
    assert function.stdout is not None
    function.stdin.write(json.dumps({"repository": "python/cpython"}) + "\n")
    function.stdin.flush()
    return json.loads(function.stdout.readline())


def _freeze_and_thaw(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: "(stopped)" in Path(f"/proc/{pid}/status").read_text(), what="the freeze")
    os.kill(pid, signal.SIGCONT)


def test_each_invocation_has_delivered_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restrictions = ("no-shared-memory", f"read-only={tmp_path}", "deadly-processes")
    if why := refusal(*restrictions):
        pytest.skip(f"this machine does not permit it: {why}")
    for name in ("RECOST_RUNTIME_DIR", "RECOST_LOCAL_DIR"):
        monkeypatch.delenv(name)
    with StandIn(_answer, [("127.0.0.2", 0)]) as github, CloudStandIn(keys={KEY}) as cloud:
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "collector")]),
            "GITHUB_URL": "http://{}:{}".format(*github.addresses[0]),
            "HOME": "/home/sbx_user1051",
            "TMPDIR": str(tmp_path),
            "RECOST_STATE_DIR": str(tmp_path / "recost"),
            "RECOST_API_KEY": KEY,
            "RECOST_PROJECT_ID": "shop",
            "RECOST_BASE_URL": cloud.url,
        }
        invoker = (str(ROOT / "tests/sandboxes/invoker.py"), str(FOLDER))
        command = [sys.executable, "-m", "tests.sandboxes.enter", *restrictions, "--", *invoker]
        with subprocess.Popen(
            command, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as function:
            try:
                for number in range(1, 4):
                    assert _invoke(function) == {"status": 200, "stars": 7}
                    assert cloud.calls("shop") == number
                    _freeze_and_thaw(function.pid)
            finally:
                function.kill()  # the environment is given up without a word
        tags = [metric["featureTag"] for window in cloud.unique_windows("shop") for metric in window["tagMetrics"]]
    assert tags == ["stars"] * 3
