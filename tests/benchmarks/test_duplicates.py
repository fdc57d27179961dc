"""The comparison in README and docs is what was measured, and what measures it still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/duplicates.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_every_figure_in_readme_and_docs_is_in_the_committed_results() -> None:
    told = run("--check")
    assert told.returncode == 0, told.stdout + told.stderr


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], dict[str, Any]]:
    """A run with few orders: two ways without a ledger, and samekey with and without a look-up."""
    told = run(
        "--actions", "14", "--kills", "3", "--json", "--only", "tenacity, derived key", "outside the loop", "samekey"
    )
    assert told.returncode == 0, told.stderr
    return {(row["api"], row["contender"]): row for row in json.loads(told.stdout)["rows"]}


@pytest.mark.parametrize("api", ["keyed", "late", "keyless"])
def test_samekey_makes_no_duplicate_and_loses_nothing(rows: dict[tuple[str, str], dict[str, Any]], api: str) -> None:
    row = rows[api, "samekey"]
    assert sum(row["killed"].values()) == 3
    assert row["lost_answers"] > 3
    assert row["duplicates"] == row["unaware"] == row["false_success"] == 0
    assert row["told_done"] + row["for_a_person"] == 14
    assert row["known_offline"] == row["changed_refused"] == row["asked"]


def test_a_look_up_leaves_nothing_to_a_person_where_the_api_ignores_keys(
    rows: dict[tuple[str, str], dict[str, Any]],
) -> None:
    row = rows["keyless", "samekey with a look-up"]
    assert row["duplicates"] == row["for_a_person"] == 0
    assert row["told_done"] == 14


def test_the_harness_sees_the_duplicates_of_those_who_make_some(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert rows["keyed", "httpx + tenacity, key outside the loop"]["duplicates"] > 0
    assert rows["keyed", "httpx + tenacity, derived key"]["duplicates"] == 0
    assert rows["late", "httpx + tenacity, derived key"]["duplicates"] > 0
    assert rows["keyless", "httpx + tenacity, derived key"]["duplicates"] > 0
