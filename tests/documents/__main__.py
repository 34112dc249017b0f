"""The command line of ``scripts/docs``: the generated parts of the documents, written anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Optional

from tests.documents import block, settings
from tests.llm import versions
from tests.servers import results, table

ROOT = Path(__file__).parents[2]


class Part(NamedTuple):
    """One generated part: the document that it is in, the name in its markers, and what is to be there."""

    document: str
    name: str
    content: Callable[[], str]


PARTS = (
    Part("README.md", "settings", settings.as_markdown),
    Part("README.md", "matrix", lambda: table.as_short_markdown(results.read(results.KEPT))),
    Part("README.md", "llm-styles", lambda: versions.as_short_markdown(versions.read_kept())),
    Part("docs/servers.md", "matrix", lambda: table.as_markdown(results.read(results.KEPT))),
    Part("docs/llm.md", "llm-styles", lambda: versions.as_markdown(versions.read_kept())),
)


def main(arguments: Optional[list[str]] = None) -> int:
    """0: every part is, or was not and has been made, what it should be; 1: with ``--check``, one is not."""
    parser = argparse.ArgumentParser("scripts/docs", description="Write the generated parts of the documents anew.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a part is not up to date")
    is_check = parser.parse_args(arguments).check
    stale = [part for part in PARTS if refreshed(part) != (ROOT / part.document).read_text("utf-8")]
    for part in stale:
        print(f"docs: {part.document}, {part.name}: {'not up to date' if is_check else 'written'}")
        if not is_check:
            (ROOT / part.document).write_text(refreshed(part), "utf-8")
    return int(is_check and bool(stale))


def refreshed(part: Part) -> str:
    """The whole document with this part as it should be."""
    return block.put((ROOT / part.document).read_text("utf-8"), part.name, part.content())


if __name__ == "__main__":
    sys.exit(main())
