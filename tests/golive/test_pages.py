"""Each promise in the documentation names the tests that hold it up, and those exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUARANTEE = ROOT / "docs" / "explanation" / "guarantee.md"
GOING_LIVE = ROOT / "docs" / "how-to" / "going-live.md"

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
CODE = re.compile(r"\[(T\d+)\]")
HELD_UP = ("Five promises", "What they rest on", "What each class of API gives", "What no client can repair")
NOT_OURS = ("you state them.", "to an API without keys.", "and two arrived.", "is what no client sees.")
"""Ends of sentences about what is the user's to hold up, or nobody's."""


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUARANTEE.read_text(), re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def sentences(title: str) -> list[str]:
    """Of the items and cells of a section, each with the codes of its tests."""
    text = section(title)
    items = [" ".join(item.split()) for item in re.split(r"^(?:\d+\.|-) ", text, flags=re.MULTILINE)[1:]]
    cells = [cell.strip() for row in re.findall(r"^\|(.+)\|$", text, re.MULTILINE)[2:] for cell in row.split("|")[1:]]
    return [each for item in items for each in re.split(r"(?<=\.)\*{0,2} (?=[A-Z\"])", item)] + cells


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("page", [GUARANTEE, GOING_LIVE], ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = TEST.findall(page.read_text())
    assert len(named) >= 10
    assert not [f"{path}::{name}" for path, name in named if name not in names_in(path)]


@pytest.mark.parametrize("title", HELD_UP)
def test_every_sentence_names_its_tests(title: str) -> None:
    told = sentences(title)
    assert len(told) >= 5
    heads = re.compile(r"^\*\*[^*]+\*{0,2}$")
    bare = [each for each in told if not CODE.search(each) and not each.endswith(NOT_OURS) and not heads.match(each)]
    assert not bare


def test_the_list_of_tests_has_what_the_sentences_name_and_nothing_else() -> None:
    text = GUARANTEE.read_text()
    listed = re.findall(r'^\| <a id="t\d+"></a>(T\d+) \| `tests/', section("The tests"), re.MULTILINE)
    linked = re.findall(r"^\[(T\d+)\]: #t\d+$", text, re.MULTILINE)
    used = CODE.findall(text.partition("## The tests")[0])
    assert sorted(listed) == sorted(linked) == sorted(set(used))


def test_every_line_of_the_checklist_and_of_the_failure_matrix_names_a_test() -> None:
    rows = [row for row in re.findall(r"^\|(.+)\|$", GOING_LIVE.read_text(), re.MULTILINE) if "---" not in row]
    lines = [row for row in rows if not row.strip().endswith("test")]
    assert len(lines) == 6 + 5
    assert all(TEST.search(row) for row in lines)


def test_every_test_of_production_is_on_the_page() -> None:
    named = set(TEST.findall(GOING_LIVE.read_text()))
    files = ("tests/golive/test_checklist.py", "tests/golive/test_failures.py")
    assert {(path, name) for path in files for name in names_in(path) if name.startswith("test_")} == named
