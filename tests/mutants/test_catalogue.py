"""The catalogue fits the source; whether each mutant is found is what `run.py` takes an hour to tell."""

from __future__ import annotations

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import SIMULATION, Mutant
from tests.mutants.workspace import ROOT

RULES = {*(f"R{number}" for number in range(1, 18)), "R5b", "R7b"}
"""All but R0, which is the API's: histories with an API that breaks it are `DISHONEST` in `tests/simulation`."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_replaces_is_there_once(mutant: Mutant) -> None:
    assert not mutant.missing(ROOT)
    assert all(edit.old != edit.new for edit in mutant.edits)


def test_every_mutant_has_a_name_of_its_own_and_there_are_many() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30


def test_every_rule_is_taken_out_and_must_be_missed_by_the_simulation() -> None:
    assert {mutant.removes for mutant in MUTANTS if mutant.is_rule and mutant.finder == SIMULATION} == RULES


def test_at_least_five_slips_are_made_by_hand_in_three_modules() -> None:
    slips = [mutant for mutant in MUTANTS if mutant.by_hand and mutant.finder == SIMULATION]
    assert len(slips) >= 5
    assert {edit.file for slip in slips for edit in slip.edits} == {
        "_core/begin.py", "_core/classify.py", "stores/_rows.py",
    }  # fmt: skip


def test_every_guard_names_tests_that_exist() -> None:
    finders = {mutant.finder for mutant in MUTANTS} - {SIMULATION}
    assert not [finder for finder in finders if not (ROOT / finder).exists()]
