"""The part of the contract that is about settlements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from samekey._core.model import Event, Record, Result
from samekey._core.states import TRANSITIONS, UNSETTLED, IllegalMoveError, Move, Status
from samekey._core.verbs import (
    Claim,
    Claimed,
    Existing,
    Expect,
    Settled,
)
from samekey.stores import Store
from samekey.testing._contract.builders import (
    ANSWER,
    T0,
    at,
    claimed,
    done,
    record,
    seen,
    settlement,
    stored,
)

ROUTES: dict[Status, Move | None] = {
    Status.IN_FLIGHT: None,
    Status.PENDING: Move.NOT_SENT,
    Status.UNKNOWN: Move.NO_ANSWER,
    Status.NEEDS_REVIEW: Move.STOP,
    Status.SUCCEEDED: Move.SUCCESS,
    Status.REJECTED: Move.REFUSAL,
}
"""How a fresh claim gets to each state."""

SETTLING = [Move.SUCCESS, Move.REFUSAL, Move.NOT_SENT, Move.NO_ANSWER, Move.STOP]


def put(store: Store, status: Status, name: str = "c-9") -> Record:
    """An action in that state."""
    if status is Status.ABANDONED:  # only people lead there, and that comes with `resolve`
        return claimed(store, name, status=status, holder=None, frozen_request=None)
    move = ROUTES[status]
    return claimed(store, name) if move is None else done(store, name, move)


class Settlements:
    def test_a_success_is_kept_and_the_payload_is_not(self, store: Store) -> None:
        row = claimed(store)
        event = Event(at(1), "replay", "by the server")
        answer = store.settle(settlement(row, event=event))
        expected = replace(
            row,
            status=Status.SUCCEEDED,
            holder=None,
            open_attempts=0,
            frozen_request=None,
            last_seen_at=at(1),
            completed_at=at(1),
            expires_at=at(86_400),
            response_status=201,
            response_headers=ANSWER.headers,
            response_body=ANSWER.body,
            response_reference="ord_9",
        )
        assert answer == Settled(expected)
        assert stored(store) == expected
        assert store.events(row.idempotency_key) == [event]

    @pytest.mark.parametrize("move", SETTLING)
    @pytest.mark.parametrize("status", list(Status))
    def test_rows_move_as_the_table_says(self, store: Store, status: Status, move: Move) -> None:
        row = put(store, status)
        asked = settlement(row, move, at=at(5))
        target = TRANSITIONS[status].get(move)
        if move is Move.SUCCESS and status in {Status.SUCCEEDED, Status.REJECTED}:
            return  # below
        if target is None:
            with pytest.raises(IllegalMoveError):
                store.settle(asked)
            assert stored(store) == row
            return
        assert store.settle(asked) == Settled(stored(store))
        after = stored(store)
        assert after.status is target
        assert (after.completed_at is None) is (target in UNSETTLED)
        assert (after.frozen_request is None) is (target not in UNSETTLED or move is Move.NOT_SENT)

    def test_nothing_sent_starts_the_window_anew(self, store: Store) -> None:
        row = claimed(store)
        store.settle(settlement(row, Move.NOT_SENT, clear_first_sent=True, error_summary="refused"))
        after = stored(store)
        assert after.status is Status.PENDING
        assert (after.first_sent_at, after.boot_id, after.boot_time) == (None, None, None)
        assert after.error_summary == "refused"
        assert after.window_seconds == 86_400.0

    def test_without_an_answer_the_request_is_kept(self, store: Store) -> None:
        row = claimed(store)
        store.settle(settlement(row, Move.NO_ANSWER, open_attempts=1, window_seconds=60.0))
        after = stored(store)
        assert after.status is Status.UNKNOWN
        assert after.frozen_request == row.frozen_request
        assert after.first_sent_at == row.first_sent_at
        assert (after.open_attempts, after.window_seconds, after.holder) == (1, 60.0, None)

    def test_a_stop_says_why(self, store: Store) -> None:
        row = claimed(store)
        store.settle(settlement(row, Move.STOP, reason="keyless", error_summary="no answer"))
        after = stored(store)
        assert (after.status, after.reason, after.error_summary) == (
            Status.NEEDS_REVIEW,
            "keyless",
            "no answer",
        )

    @pytest.mark.parametrize("move", SETTLING)
    def test_the_same_settlement_again_is_settled_again(self, store: Store, move: Move) -> None:
        row = claimed(store)
        event = Event(at(1), "retry")
        first = store.settle(settlement(row, move, event=event))
        assert isinstance(first, Settled)
        assert store.settle(settlement(row, move, event=event)) == first
        assert stored(store) == first.record
        assert store.events(row.idempotency_key) == [event]

    @pytest.mark.parametrize(
        "changes",
        [
            {"expect": Expect(1, 2, Status.IN_FLIGHT)},
            {"expect": Expect(1, 1, Status.UNKNOWN)},
            {"holder": "somebody else"},
            {"nonce": "another task"},
        ],
    )
    @pytest.mark.parametrize("move", [Move.REFUSAL, Move.NOT_SENT, Move.NO_ANSWER, Move.STOP])
    def test_of_another_row_nothing_changes(self, store: Store, move: Move, changes: dict[str, Any]) -> None:
        row = claimed(store)
        answer = store.settle(settlement(row, move, **changes))
        assert answer == Existing(row, alive=True, own=True, high_water=T0)
        assert stored(store) == row

    @pytest.mark.parametrize("move", SETTLING)
    def test_of_a_claim_that_was_never_written_there_is_nothing_to_settle(self, store: Store, move: Move) -> None:
        assert store.settle(settlement(record(store), move)) is None
        assert store.find() == []

    def test_a_reply_of_half_a_character_is_kept_as_well_as_it_can_be(self, store: Store) -> None:
        row = claimed(store)
        store.settle(
            settlement(row, result=Result(201, (), None, "ord_\ud800"), event=Event(at(1), "replay", "\udfff"))
        )
        assert stored(store).response_reference == "ord_?"
        assert store.events(row.idempotency_key)[0].detail == "?"


class Truth:
    """R11: the truth wins."""

    @pytest.mark.parametrize(
        "status",
        [Status.PENDING, Status.IN_FLIGHT, Status.UNKNOWN, Status.NEEDS_REVIEW, Status.ABANDONED],
    )
    def test_a_success_settles_whatever_the_fence(self, store: Store, status: Status) -> None:
        row = put(store, status)
        late = settlement(row, expect=Expect(1, 7, Status.IN_FLIGHT), holder="gone", nonce="gone", at=at(9))
        answer = store.settle(late)
        after = stored(store)
        assert answer == Settled(after)
        assert (after.status, after.response_reference, after.reason) == (
            Status.SUCCEEDED,
            "ord_9",
            None,
        )
        assert after.frozen_request is None

    def test_the_loser_of_a_race_gets_the_stored_result(self, store: Store) -> None:
        row = claimed(store)
        first = store.settle(settlement(row))
        assert isinstance(first, Settled)
        late = settlement(row, nonce="another", at=at(9), result=Result(200, (), b"", "ord_10"))
        assert store.settle(late) == Existing(first.record)
        assert stored(store) == first.record

    def test_a_success_after_a_refusal_goes_to_a_person(self, store: Store) -> None:
        row = done(store, move=Move.REFUSAL)
        late = settlement(row, expect=Expect(1, 1, Status.IN_FLIGHT), at=at(9))
        answer = store.settle(late)
        after = stored(store)
        assert answer == Settled(after, contradiction=True)
        assert (after.status, after.reason, after.completed_at, after.expires_at) == (
            Status.NEEDS_REVIEW,
            "effect_after_close",
            None,
            None,
        )
        assert [(event.kind, "ord_9" in event.detail) for event in store.events(row.idempotency_key)] == [
            ("effect_after_close", True)
        ]
        assert store.settle(late) == answer
        assert len(store.events(row.idempotency_key)) == 1

    @pytest.mark.parametrize(
        ("move", "second_after"),
        [
            (None, Status.IN_FLIGHT),
            (Move.NO_ANSWER, Status.NEEDS_REVIEW),
            (Move.NOT_SENT, Status.NEEDS_REVIEW),
            (Move.REFUSAL, Status.NEEDS_REVIEW),
            (Move.SUCCESS, Status.SUCCEEDED),
        ],
    )
    def test_a_success_that_meets_a_later_generation_goes_to_a_person(
        self, store: Store, move: Move | None, second_after: Status
    ) -> None:
        row = done(store, move=Move.REFUSAL)
        second = record(store, generation=2, fence=2)
        assert isinstance(store.claim(Claim(second, replaces=seen(row))), Claimed)
        if move is not None:
            store.settle(settlement(second, move))
        late = settlement(row, expect=Expect(1, 1, Status.IN_FLIGHT), at=at(9))
        answer = store.settle(late)
        assert isinstance(answer, Settled)
        assert answer.contradiction
        rows = store.find()
        assert answer.record == rows[0]
        assert [row.status for row in rows] == [Status.NEEDS_REVIEW, second_after]

    def test_a_running_first_generation_is_not_settled_past_a_second(self, store: Store) -> None:
        row = claimed(store)
        second = record(store, generation=2, fence=2)
        assert isinstance(store.claim(Claim(second, replaces=seen(row))), Claimed)
        answer = store.settle(settlement(row))
        assert isinstance(answer, Settled)
        assert answer.contradiction
        assert [row.status for row in store.find()] == [Status.NEEDS_REVIEW, Status.IN_FLIGHT]
