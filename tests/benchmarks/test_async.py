"""What the page about event loops says was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTENDERS = [
    "httpx, default",
    "httpx2, default",
    "httpx, in pools",
    "httpx2, in pools",
    "samekey, httpx",
    "samekey, httpx2",
    "samekey, a given httpx",
    "samekey, a given httpx2",
]


def test_every_figure_on_the_page_is_in_the_committed_results() -> None:
    page = (ROOT / "docs" / "how-to" / "async.md").read_text(encoding="utf-8")
    table = page.partition("<!-- figures: async -->")[2].partition("<!-- end -->")[0].strip().splitlines()[2:]
    figures = json.loads((ROOT / "benchmarks" / "results" / "async.json").read_text(encoding="utf-8"))["figures"]
    measured = [
        [round(figures[f"{name} at {at_once}"]["per_second"]) for at_once in (1, 16, 64, 256)] for name in CONTENDERS
    ]
    assert [[int(cell) for cell in re.findall(r" (\d+) (?=\|)", line)] for line in table] == measured
