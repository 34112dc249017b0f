"""Names, links and commands in the documents are of things that are there."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

import recost
from recost_collector import cli
from tests.documents.__main__ import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
PLACE = re.compile(r"`((?:recost|collector|tests)/(?![\w/]*X\.py)[\w/]+\.py)(?::([\w.]+))?`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(params=DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def document(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_file_and_function_that_is_named_is_there(document: Path):
    named = PLACE.findall(document.read_text("utf-8"))
    assert [(file, name) for file, name in named if not is_there(ROOT / file, name)] == []


def test_every_file_of_the_way_of_a_call_is_there():
    """ARCHITECTURE's first block: names after a comma are beside the first."""
    _, block, _ = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("```", 2)
    lines = [re.split(r"\s{2,}", line)[0].split(", ") for line in block.splitlines() if re.match(r"\w", line)]
    named = [Path(first).parent / Path(name).name for first, *others in lines for name in (first, *others)]
    assert len(named) > 20
    assert [str(file) for file in named if not (ROOT / file).exists()] == []


def test_decisions_are_numbered_once_and_in_order():
    """In one row over both documents."""
    texts = [(ROOT / name).read_text("utf-8") for name in ("ARCHITECTURE.md", "docs/decisions.md")]
    here, elsewhere = ([int(number) for number in re.findall(r"^\*\*(\d+)\. ", text, re.MULTILINE)] for text in texts)
    assert (here, elsewhere) == (sorted(here), sorted(elsewhere))
    assert sorted(here + elsewhere) == list(range(1, len(here + elsewhere) + 1))
    index, _, _ = texts[1].partition("\n**")
    assert {int(number) for number in re.findall(r"\b\d+\b", index)} == {*here, *elsewhere}
    assert sorted({int(number) for number in re.findall(r"\*\*(\d+)\*\*", index)}) == here


def test_ten_behaviours_have_a_place():
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len([row for row in rows if any(name for _, name in PLACE.findall(row.rpartition(" | ")[2]))]) == 10


def test_a_name_that_is_gone_is_found_out():
    """The control."""
    assert is_there(ROOT / "recost" / "handle.py", "RecostHandle.dispose")
    assert not is_there(ROOT / "recost" / "handle.py", "RecostHandle.close")
    assert not is_there(ROOT / "recost" / "nothing.py", "")


def test_every_link_leads_somewhere(document: Path):
    assert [link for link in LINK.findall(document.read_text("utf-8")) if not leads(document, link)] == []


def test_every_command_of_ours_is_understood(document: Path):
    """Those in blocks of shell, and those within a line that are whole."""
    text = document.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    lines += re.findall(r"`(recost-collector [a-z][^`\[|…]*)`", text)
    for line in lines:
        command, *arguments = shlex.split(line, comments=True) or [""]
        if command == "recost-collector":
            cli._parser().parse_args(arguments)  # or SystemExit
        if command.startswith("scripts/"):
            assert (ROOT / command).is_file(), line


def test_the_newest_entry_of_the_changelog_is_of_this_version():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == recost.__version__


def test_every_public_name_is_in_the_file_that_a_users_type_checker_reads():
    used = set(re.findall(r"recost\.(\w+)", (ROOT / "examples" / "typed.py").read_text("utf-8")))
    assert set(recost.__all__) - used == set()


def is_there(file: Path, name: str) -> bool:
    """Whether ``file`` has the function or class ``name``, as ``function`` or ``Class.method``; any when empty."""
    if not file.is_file():
        return False
    found = ast.parse(file.read_text("utf-8")).body
    for part in name.split(".") if name else ():
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        of_that_name = [node for node in found if isinstance(node, kinds) and node.name == part]
        if not of_that_name:
            return False
        found = of_that_name[0].body
    return True


def leads(document: Path, link: str) -> bool:
    """Whether a relative link names a file, and its anchor a heading there; links out are not followed."""
    if "://" in link:
        return True
    path, _, anchor = link.partition("#")
    file = document.parent / path if path else document
    return file.exists() and (not anchor or anchor in anchors(file))


def anchors(file: Path) -> set[str]:
    """As a forge makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
