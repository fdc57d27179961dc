"""The transition table."""

from __future__ import annotations

from itertools import product

import pytest

from samekey._core.states import TRANSITIONS, UNSETTLED, IllegalMoveError, Move, Status, after

S, M = Status, Move

LEGAL = {
    (S.PENDING, M.CLAIM): S.IN_FLIGHT,
    (S.PENDING, M.SUCCESS): S.SUCCEEDED,
    (S.IN_FLIGHT, M.CLAIM): S.IN_FLIGHT,
    (S.IN_FLIGHT, M.RESEND): S.IN_FLIGHT,
    (S.IN_FLIGHT, M.TAKE_OVER): S.IN_FLIGHT,
    (S.IN_FLIGHT, M.SUCCESS): S.SUCCEEDED,
    (S.IN_FLIGHT, M.REFUSAL): S.REJECTED,
    (S.IN_FLIGHT, M.NOT_SENT): S.PENDING,
    (S.IN_FLIGHT, M.NO_ANSWER): S.UNKNOWN,
    (S.IN_FLIGHT, M.STOP): S.NEEDS_REVIEW,
    (S.UNKNOWN, M.TAKE_OVER): S.IN_FLIGHT,
    (S.UNKNOWN, M.SUCCESS): S.SUCCEEDED,
    (S.UNKNOWN, M.STOP): S.NEEDS_REVIEW,
    (S.NEEDS_REVIEW, M.SUCCESS): S.SUCCEEDED,
    (S.SUCCEEDED, M.SUCCESS): S.SUCCEEDED,
    (Status.PENDING, Move.CONTRADICTION): Status.NEEDS_REVIEW,
    (Status.IN_FLIGHT, Move.CONTRADICTION): Status.NEEDS_REVIEW,
    (Status.UNKNOWN, Move.CONTRADICTION): Status.NEEDS_REVIEW,
    (Status.NEEDS_REVIEW, Move.CONTRADICTION): Status.NEEDS_REVIEW,
    (S.REJECTED, M.CONTRADICTION): S.NEEDS_REVIEW,
    (S.ABANDONED, M.SUCCESS): S.SUCCEEDED,
    (S.ABANDONED, M.CONTRADICTION): S.NEEDS_REVIEW,
    (S.IN_FLIGHT, M.RULED_OUT): S.REJECTED,
    (S.UNKNOWN, M.RULED_OUT): S.REJECTED,
    (S.NEEDS_REVIEW, M.RULED_OUT): S.REJECTED,
    (S.IN_FLIGHT, M.REOPEN): S.UNKNOWN,
    (S.UNKNOWN, M.REOPEN): S.UNKNOWN,
    (S.NEEDS_REVIEW, M.REOPEN): S.UNKNOWN,
    (S.REJECTED, M.REOPEN): S.REJECTED,
    (S.PENDING, M.ABANDON): S.ABANDONED,
    (S.IN_FLIGHT, M.ABANDON): S.ABANDONED,
    (S.UNKNOWN, M.ABANDON): S.ABANDONED,
    (S.NEEDS_REVIEW, M.ABANDON): S.ABANDONED,
}


@pytest.mark.parametrize(("status", "move"), list(product(Status, Move)), ids=str)
def test_every_move_leads_where_the_table_says_or_is_refused_by_name(status: Status, move: Move) -> None:
    if (status, move) in LEGAL:
        assert after(status, move) is LEGAL[status, move]
        return
    with pytest.raises(IllegalMoveError) as caught:
        after(status, move)
    assert repr(status.value) in str(caught.value)
    assert repr(move.value) in str(caught.value)


def test_the_table_has_a_row_for_every_status() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_only_succeeded_rejected_and_abandoned_are_settled() -> None:
    assert set(Status) - UNSETTLED == {Status.SUCCEEDED, Status.REJECTED, Status.ABANDONED}


def test_a_success_is_never_unmade_by_a_move() -> None:
    assert set(TRANSITIONS[Status.SUCCEEDED].values()) == {Status.SUCCEEDED}


def test_from_needs_review_nothing_is_sent() -> None:
    assert not {Move.CLAIM, Move.RESEND, Move.TAKE_OVER} & set(TRANSITIONS[Status.NEEDS_REVIEW])
