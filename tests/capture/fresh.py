"""A fresh interpreter, in which no client is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

START = """
import os
import sys
from recost._capture import add_sink, fault_count, remove_sink

seen = []
url = os.environ["ORIGIN"] + "/ok"
CLIENTS = {"aiohttp", "httpx", "httpx2", "urllib3", "requests"}

def get(name):
    module = sys.modules[name]
    if name == "aiohttp":
        import asyncio
        async def run():
            async with module.ClientSession() as session:
                async with session.get(url):
                    pass
        asyncio.run(run())
    elif name == "urllib3":
        module.PoolManager().request("GET", url)
    else:
        module.get(url)
"""


def run(origin, script):
    """Run ``script`` in an interpreter that has imported no client; it ends with 0, and without a fault of ours."""
    lines = START + textwrap.dedent(script) + "\nassert fault_count() == 0, fault_count()\n"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ORIGIN": origin.url}
    subprocess.run([sys.executable, "-W", "ignore", "-c", lines], check=True, env=environ, timeout=60, cwd=os.sep)
