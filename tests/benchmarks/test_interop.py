"""The page about other people's servers says what was measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "interop.json"


def test_every_figure_on_the_page_is_in_the_committed_results() -> None:
    command = [sys.executable, "benchmarks/interop/run.py", "--check"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_committed_run_met_its_bar() -> None:
    servers = json.loads(RESULTS.read_text())["servers"]
    assert len(servers) >= 8
    for server in servers:
        cases = [case for case in server["cases"] if not case["bare"]]
        assert len(cases) >= 15
        assert [case["untrue"] for case in server["cases"] if case["untrue"]] == [], server["server"]
        assert not any(case["lost"] for case in cases), server["server"]
        while_well = [fact for name, fact in server["facts"].items() if name not in {"after a 500", "after a crash"}]
        if all(fact["effects"] <= 1 for fact in while_well):
            failing = {"500 after the effect", "the application crashes after the effect"}
            assert not any(case["duplicates"] for case in cases if case["case"] not in failing), server["server"]
