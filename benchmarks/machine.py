"""What a table was measured on: figures of two machines do not compare, ratios roughly do."""

from __future__ import annotations

import os
import platform
import sysconfig
import time
from importlib import metadata
from pathlib import Path

from recost import __version__

PACKAGES = ("msgspec", "urllib3", "requests", "httpx", "httpx2", "aiohttp")


def describe() -> dict[str, str]:
    """The machine, and the versions of what is measured on it."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "load": f"{load} in the last 1, 5 and 15 minutes",
        "python": f"{platform.python_implementation()} {platform.python_version()}{_lacking()}",
        "recost": __version__,
        "packages": ", ".join(f"{name} {version_of(name)}" for name in PACKAGES),
    }


def _lacking() -> str:
    """Builds of one version differ by a fifth."""
    is_optimized = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "--enable-optimizations")
    return "" if is_optimized else ", built without --enable-optimizations"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
