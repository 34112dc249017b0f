"""The README's table of faults has the sums of the rows in docs/faults.md."""

from __future__ import annotations

import re
from collections import Counter

from tests.documents.__main__ import ROOT

ROW = re.compile(r"^\| `([a-z]+)\S*` \| .*? \| ([\d,]+) \| (\d+) \| without ", re.MULTILINE)
SUM = re.compile(r"^\| .* \(`([a-z]+)`\) \| ([\d,]+) \| (\d+) \| (\d+) of \4 \|$", re.MULTILINE)


def test_the_readme_has_the_sums_of_the_last_full_run():
    readme = (ROOT / "README.md").read_text("utf-8")
    tries, violations, rows = Counter[str](), Counter[str](), Counter[str]()
    for name, tried, broken in ROW.findall((ROOT / "docs" / "faults.md").read_text("utf-8")):
        tries[name] += int(tried.replace(",", ""))
        violations[name] += int(broken)
        rows[name] += 1

    summed = {name: (f"{tries[name]:,}", str(violations[name]), str(rows[name])) for name in rows}
    assert {name: tuple(figures) for name, *figures in SUM.findall(readme)} == summed
    assert f"{sum(rows.values())} rows, {sum(tries.values()):,} tries" in readme
