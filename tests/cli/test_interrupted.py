"""Ctrl-C while a command is still being loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

INTERRUPT = """
import importlib.abc, runpy, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "recost_collector.cli":
            raise KeyboardInterrupt  # as the handler of SIGINT does, wherever the program is

sys.meta_path.insert(0, Finder())
"""
BY_NAME = "from recost_collector.__main__ import main; sys.exit(main())"
BY_MODULE = "runpy.run_module('recost_collector', run_name='__main__')"


@pytest.mark.parametrize("how", [BY_NAME, BY_MODULE])
def test_it_ends_without_a_traceback(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPT + how], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "")
