"""A contract that changed between two runs of one action is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from samekey._core.drift import drift
from samekey._core.plan import Contract
from samekey._core.states import Status
from tests.core.driving import DAY, GENERIC, answer, plan, record, world


def test_the_same_contract_is_no_change() -> None:
    assert drift(plan(), record()) == ()


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"contract": Contract(volatile=("/a", "/b"))}, "volatile none → /a /b: the record's counts"),
        ({"window_seconds": 3600.0}, "window 86400 s → 3600 s: the shorter counts"),
        ({"window_seconds": None}, "window 86400 s → undeclared: the shorter counts"),
        ({"max_delay_seconds": 60.0}, "max_delay 120 s → 60 s: the longer counts"),
        ({"profile": replace(GENERIC, name="other")}, "provider generic → other: today's rules count"),
        (
            {"contract": Contract(duplicates="reject")},
            "duplicates: the record takes part in the search as it was declared then",
        ),
    ],
)
def test_each_change_is_told_with_the_word_that_counts(facts: dict[str, Any], told: str) -> None:
    assert drift(plan(**facts), record()) == (told,)


def test_what_an_answer_has_forbidden_is_nobodys_contract() -> None:
    assert drift(plan(), record(window_seconds=0.0)) == ()


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.REJECTED, Status.ABANDONED])
def test_what_is_settled_keeps_no_contract(status: Status) -> None:
    assert drift(plan(window_seconds=1.0), record(status=status)) == ()


def test_a_rerun_carries_it_to_its_end() -> None:
    there = world(answer(200), rows=[record(status=Status.UNKNOWN, holder=None)])
    done = there.run(plan(window_seconds=DAY / 2))
    assert done.error is None
    assert done.run.drift == ("window 86400 s → 43200 s: the shorter counts",)
