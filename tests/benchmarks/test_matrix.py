"""The kill matrix: what the page says was measured, it runs, and it sees a duplicate where there is one."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "matrix.json"


@pytest.fixture
def matrix(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("matrix")


def test_every_figure_on_the_page_is_in_the_committed_results() -> None:
    command = [sys.executable, "benchmarks/matrix.py", "--check"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode == 0, told.stdout + told.stderr


def test_the_committed_run_has_every_cell_without_a_duplicate_or_a_loss(matrix: Any) -> None:
    rows = json.loads(RESULTS.read_text())["rows"]
    assert [matrix.Cell(row["api"], row["script"], row["store"], row["processes"]) for row in rows] == [*matrix.CELLS]
    assert all(row["kills"] and row["faults"] for row in rows)
    assert not [row for row in rows if row["duplicates"] or row["lost"]]
    assert not [row for row in rows if row["needs_review"] and row["api"] == "keyed"]


def test_a_cell_runs_and_an_api_that_only_says_that_it_honours_keys_is_found_out(
    matrix: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, plan = matrix.Cell("keyed", "threads", "sqlite", 1), matrix.Plan(seed=1, actions=12, kills=2)
    with ExitStack() as stack:
        servers = matrix.Servers(stack, tmp_path)
        honest = matrix.measure(cell, plan, servers)
        lying = partial(matrix.KillingServer, after_error="released")
        monkeypatch.setattr(matrix, "KillingServer", lying)
        monkeypatch.setattr(matrix, "LOST", (matrix.Fault.COMMIT_THEN_5XX,))
        monkeypatch.setattr(matrix, "RATE", 0.5)
        doubling = matrix.measure(cell, plan, servers)
    assert honest["kills"] == 2
    assert (honest["effects"], honest["duplicates"], honest["lost"], honest["wrong"]) == (12, 0, 0, [])
    assert doubling["duplicates"] == doubling["effects"] - 12 > 0
    assert doubling["wrong"]


@pytest.mark.parametrize(
    ("effects", "told", "status", "reference", "known"),
    [
        (["order_1"], {"order_1"}, "succeeded", "order_1", True),
        (["order_1"], {"review"}, "needs_review", None, True),
        ([], {"review"}, "needs_review", None, True),
        ([], {"order_1"}, "succeeded", "order_1", False),
        (["order_1"], set(), "succeeded", "order_1", False),
        (["order_1"], {"order_2"}, "succeeded", "order_1", False),
        (["order_1"], {"order_1", "review"}, "succeeded", "order_1", False),
        (["order_1"], {"order_1"}, "needs_review", None, False),
        (["order_1"], {"order_1"}, "in_flight", None, False),
    ],
)
def test_what_is_known_of_an_order(
    matrix: Any, effects: list[str], told: set[str], status: str, reference: str | None, known: bool
) -> None:
    record = type("Record", (), {"status": matrix.samekey.Status(status), "response_reference": reference})
    assert matrix.is_known(effects, told, record) is known
    assert not matrix.is_known(effects, told, None)
