"""A virtual environment for each product that is compared, ``.cache/bench-NAME``, with the clients of recost's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import PACKAGES, version_of
from benchmarks.place import ROOT
from benchmarks.products import Product

CLIENTS = tuple(name for name in PACKAGES if name != "msgspec")
LOG = "pip.log"


def python_of(product: Product) -> str:
    """The interpreter that the product is installed for."""
    return str(_folder(product) / "bin" / "python") if product.requirements else sys.executable


def set_up(product: Product) -> bool:
    """Make the environment if it is not as wanted; takes a minute then. False: it cannot be had, ``LOG`` says why."""
    folder = _folder(product)
    stamp, wanted = folder / "made-from", _wanted(product)
    if not product.requirements or (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        return True
    folder.mkdir(parents=True, exist_ok=True)
    print(f"bench: installing {product.name}", flush=True)
    requirements = [*product.requirements, *(f"{name}=={version_of(name)}" for name in CLIENTS)]
    steps = (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--prefer-binary", *requirements],
    )
    environ = {**os.environ, "PIP_CACHE_DIR": str(ROOT / ".cache" / "pip"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    with (folder / LOG).open("wb") as log:
        if any(subprocess.run(step, check=False, env=environ, stdout=log, stderr=log).returncode for step in steps):
            print(f"bench: {product.name} could not be installed, see {folder / LOG}", flush=True)
            return False
    _put_us_last(folder)
    stamp.write_text(wanted, encoding="utf-8")
    return True


def versions(product: Product) -> str:
    """What is installed of its requirements."""
    if not product.requirements:
        return version_of("recost") if product.name == "recost" else ""
    names = [requirement.partition("=")[0] for requirement in product.requirements]
    code = f"from importlib import metadata\nprint(*(metadata.version(name) for name in {names[:1]}))"
    return subprocess.run(
        [python_of(product), "-I", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _folder(product: Product) -> Path:
    return ROOT / ".cache" / f"bench-{product.name.lower().replace(' ', '-')}"


def _wanted(product: Product) -> str:
    clients = ", ".join(f"{name} {version_of(name)}" for name in CLIENTS)
    return f"{ROOT}, Python {sys.version}: {', '.join(product.requirements)}; {clients}\n"


def _put_us_last(folder: Path) -> None:
    """``benchmarks`` is found there, and whatever else we have only if the environment has it not."""
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "recost-benchmarks.pth").write_text(f"{ROOT}\n", encoding="utf-8")
