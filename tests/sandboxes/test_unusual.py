"""Programs that are started or packed in an unusual way."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.processes.support import ROOT, Api, delivered, run_program

PROGRAM = """
import sys, urllib3, recost
recost.init()
assert urllib3.PoolManager(retries=False).request("GET", sys.argv[1]).status == 200
assert recost.estimate_cost("openai", "gpt-4o", {"prompt_tokens": 1000}) > 0
assert recost.flush(60)
print(recost.__file__)
"""
CLOSING = """
import os, sys, urllib3, recost
def call():
    assert urllib3.PoolManager(retries=False).request("GET", sys.argv[1]).status == 200
recost.init(collector="thread")
call()
assert recost.flush(60)
os.closerange(3, 256)
for _ in range(3):
    call()
recost.flush(1)
os._exit(0)
"""


def test_recost_in_an_archive_prices_and_starts_its_collector(api: Api, tmp_path: Path) -> None:
    archive = tmp_path / "application.pyz"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("__main__.py", PROGRAM)
        for folder, package in ((ROOT, "recost"), (ROOT / "collector", "recost_collector")):
            for path in (folder / package).rglob("*.*"):
                if "__pycache__" not in path.parts:
                    packed.write(path, path.relative_to(folder))
    assert str(archive) in run_program(archive, api.url)
    assert delivered() == 1


def test_of_a_program_that_closes_the_descriptors_of_its_collector_the_next_one_delivers(
    api: Api, tmp_path: Path
) -> None:
    """As programs do that make a daemon of themselves."""
    path = tmp_path / "program.py"
    path.write_text(CLOSING)
    run_program(path, api.url)
    run_program("-m", "recost_collector", "flush")
    assert delivered() == 4
