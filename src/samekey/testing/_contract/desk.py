"""The part of the contract that is about people's decisions and about old age."""

from __future__ import annotations

from typing import Any

import pytest

from samekey._core.model import Event, Record
from samekey._core.states import TRANSITIONS, UNSETTLED, IllegalMoveError, Move, Status
from samekey._core.verbs import Claim, Claimed, DuplicateFound, Existing, Expect, Resolved, Settled
from samekey.stores import Store
from samekey.testing._contract.builders import (
    LATER,
    T0,
    at,
    claimed,
    done,
    record,
    renewal,
    resolution,
    seen,
    settlement,
    stored,
)
from samekey.testing._contract.settling import put

DECIDING = [Move.SUCCESS, Move.RULED_OUT, Move.REOPEN, Move.ABANDON]


def orphan(store: Store, name: str = "c-9", **changes: Any) -> Record:
    """An action in flight whose process has ended."""
    row = claimed(store, name, **changes)
    store.release(row.identity, row.generation, row.fence)
    return row


class Decisions:
    @pytest.mark.parametrize("move", DECIDING)
    @pytest.mark.parametrize("status", list(Status))
    def test_a_decision_moves_a_row_as_the_table_says(self, store: Store, status: Status, move: Move) -> None:
        row = orphan(store) if status is Status.IN_FLIGHT else put(store, status)
        asked = resolution(row, move, reason="why", open_attempts=1, expires_at=at(99))
        target = TRANSITIONS[status].get(move)
        if target is None:
            with pytest.raises(IllegalMoveError):
                store.resolve(asked)
            assert stored(store) == row
            assert store.events(row.idempotency_key) == []
            return
        assert store.resolve(asked) == Resolved(stored(store))
        after = stored(store)
        assert (after.status, after.reason, after.open_attempts) == (target, "why", 1)
        assert (after.fence, after.holder, after.claim_nonce) == (row.fence + 1, None, "nonce-of-ada")
        assert (after.expires_at, after.last_seen_at) == (at(99), at(LATER))
        assert (after.completed_at is None) is (target in UNSETTLED)
        assert (after.frozen_request is None) is (target not in UNSETTLED or row.frozen_request is None)
        assert store.events(row.idempotency_key) == [Event(at(LATER), "resolved", "ada")]

    def test_a_success_keeps_the_reference_that_the_person_found(self, store: Store) -> None:
        row = put(store, Status.NEEDS_REVIEW)
        store.resolve(resolution(row, reference="ord_\ud800"))
        assert stored(store).response_reference == "ord_?"

    def test_a_refusal_that_is_reopened_keeps_the_date_of_the_refusal(self, store: Store) -> None:
        row = put(store, Status.REJECTED)
        store.resolve(resolution(row, Move.REOPEN))
        assert stored(store).completed_at == row.completed_at

    @pytest.mark.parametrize(
        "wrong", [Expect(1, 2, Status.NEEDS_REVIEW), Expect(1, 1, Status.UNKNOWN), Expect(2, 1, Status.NEEDS_REVIEW)]
    )
    def test_what_was_not_shown_is_not_decided(self, store: Store, wrong: Expect) -> None:
        row = put(store, Status.NEEDS_REVIEW)
        assert store.resolve(resolution(row, expect=wrong)) == Existing(row, high_water=at(1))
        assert stored(store) == row
        told = [Event(at(LATER), "resolve_refused", "ada")] if wrong.generation == 1 else []
        assert store.events(row.idempotency_key) == told

    def test_of_two_people_one_wins_and_the_audit_shows_both(self, store: Store) -> None:
        row = put(store, Status.NEEDS_REVIEW)
        ada = resolution(row, Move.SUCCESS)
        bob = resolution(
            row,
            Move.ABANDON,
            nonce="nonce-of-bob",
            event=Event(at(LATER), "resolved", "bob"),
            refused=Event(at(LATER), "resolve_refused", "bob"),
        )
        first = store.resolve(ada)
        assert isinstance(first, Resolved)
        assert store.resolve(bob) == Existing(first.record)
        assert stored(store).status is Status.SUCCEEDED
        assert [(event.kind, event.detail) for event in store.events(row.idempotency_key)] == [
            ("resolved", "ada"),
            ("resolve_refused", "bob"),
        ]

    def test_the_same_decision_again_is_resolved_again(self, store: Store) -> None:
        row = put(store, Status.NEEDS_REVIEW)
        first = store.resolve(resolution(row))
        assert store.resolve(resolution(row)) == first
        assert len(store.events(row.idempotency_key)) == 1

    @pytest.mark.parametrize("move", DECIDING)
    def test_r12_nothing_is_decided_while_the_holder_is_alive(self, store: Store, move: Move) -> None:
        row = claimed(store)
        answer = store.resolve(resolution(row, move))
        assert answer == Existing(row, alive=True, own=True, high_water=T0)
        assert stored(store) == row
        assert [event.kind for event in store.events(row.idempotency_key)] == ["resolve_refused"]

    @pytest.mark.parametrize(("seconds", "decided"), [(60, False), (60.001, True)])
    def test_r12_nothing_is_decided_while_a_lease_runs(self, store: Store, seconds: float, *, decided: bool) -> None:
        row = orphan(store)
        answer = store.resolve(resolution(row, Move.ABANDON, at=at(seconds)))
        assert isinstance(answer, Resolved if decided else Existing)
        assert (stored(store).status is Status.ABANDONED) is decided

    def test_r12_the_old_holder_finds_another_row(self, store: Store) -> None:
        row = orphan(store)
        store.resolve(resolution(row, Move.REOPEN))
        after = stored(store)
        assert store.settle(settlement(row, Move.NO_ANSWER)) == Existing(after, high_water=at(LATER))
        assert store.renew(renewal(row, store)) == Existing(after, high_water=at(LATER))
        assert stored(store) == after

    def test_r11_a_late_success_settles_what_was_abandoned(self, store: Store) -> None:
        row = orphan(store)
        store.resolve(resolution(row, Move.ABANDON))
        assert isinstance(store.settle(settlement(row, at=at(99))), Settled)
        assert stored(store).status is Status.SUCCEEDED

    def test_r11_a_late_success_after_it_was_ruled_out_goes_to_a_person(self, store: Store) -> None:
        row = orphan(store)
        store.resolve(resolution(row, Move.RULED_OUT, reason="did_not_happen"))
        answer = store.settle(settlement(row, at=at(99)))
        assert isinstance(answer, Settled)
        assert answer.contradiction
        assert stored(store).status is Status.NEEDS_REVIEW

    def test_r11_a_person_who_finds_an_effect_puts_later_generations_before_a_person(self, store: Store) -> None:
        first = done(store, move=Move.STOP)
        second = record(store, generation=2, fence=2)
        assert isinstance(store.claim(Claim(second, replaces=seen(first))), Claimed)
        store.settle(settlement(second, Move.NO_ANSWER))
        assert isinstance(store.resolve(resolution(first)), Resolved)
        assert [row.status for row in store.find()] == [Status.SUCCEEDED, Status.NEEDS_REVIEW]
        assert store.find()[1].reason == "effect_after_close"

    @pytest.mark.parametrize("move", [Move.RULED_OUT, Move.ABANDON, Move.REOPEN])
    def test_only_the_highest_generation_is_reopened(self, store: Store, move: Move) -> None:
        first = done(store, move=Move.STOP)
        second = record(store, generation=2, fence=2)
        store.claim(Claim(second, replaces=seen(first)))
        answer = store.resolve(resolution(first, move))
        assert isinstance(answer, Existing if move is Move.REOPEN else Resolved)
        assert stored(store) == second

    def test_of_an_action_that_was_never_written_there_is_nothing_to_decide(self, store: Store) -> None:
        assert store.resolve(resolution(record(store))) is None
        assert store.find() == []


class Purges:
    @pytest.mark.parametrize("status", list(Status))
    def test_only_what_is_settled_and_expired_is_purged(self, store: Store, status: Status) -> None:
        row = orphan(store) if status is Status.IN_FLIGHT else put(store, status)
        if status is Status.ABANDONED:
            row = put_abandoned(store)
        due = status not in UNSETTLED
        assert store.purge(at(86_399.9), limit=9) == 0
        assert store.find(key_prefix=row.idempotency_key) == [row]
        assert store.purge(at(86_400), limit=9) == due
        assert (store.find(key_prefix=row.idempotency_key)[0] == row) is not due

    def test_r8_a_tombstone_says_that_it_was_and_how_it_ended_and_nothing_else(self, store: Store) -> None:
        row = done(store)
        store.note(row, Event(at(2), "replay", "stored result"))
        assert store.purge(at(90_000), limit=1) == 1
        left = stored(store)
        assert left == Record(
            idempotency_key=row.idempotency_key,
            identity=row.identity,
            actor_id="",
            operation_name="create_order",
            scope={},
            generation=1,
            request_fingerprint="",
            status=Status.SUCCEEDED,
            created_at=T0,
            last_seen_at=at(90_000),
            method="",
            url="",
            origin="",
            provider="stripe-v1",
            attempts=1,
            fence=1,
            open_attempts=0,
            response_reference="ord_9",
            window_seconds=86_400.0,
            first_sent_at=T0,
            lease_expires_at=at(60),
            boot_id="boot",
            boot_time=12.5,
            response_status=201,
            completed_at=at(1),
        )
        assert left.purged
        assert store.events(row.idempotency_key) == [Event(at(90_000), "purged")]

    def test_r8_the_identity_stays_taken(self, store: Store) -> None:
        row = done(store)
        store.purge(at(90_000), limit=1)
        again = record(store, claim_nonce="another")
        assert store.claim(Claim(again)) == Existing(stored(store))
        assert store.claim(Claim(again, replaces=None, duplicates_since=T0)) == Existing(stored(store))
        assert len(store.find()) == 1
        assert row.identity == stored(store).identity

    def test_a_tombstone_is_not_purged_again(self, store: Store) -> None:
        done(store)
        assert [store.purge(at(90_000), limit=9) for _ in range(2)] == [1, 0]

    def test_the_oldest_go_first_and_a_limit_holds(self, store: Store) -> None:
        for name in ("one", "two", "three"):
            done(store, name)
        assert store.purge(at(90_000), limit=2) == 2
        assert [row.purged for row in store.find()] == [True, True, False]

    def test_a_tombstone_is_no_duplicate_of_anything(self, store: Store) -> None:
        done(store, "one")
        store.purge(at(90_000), limit=9)
        asked = Claim(record(store, "two", request_fingerprint=""), duplicates_since=T0, refuse_duplicates=True)
        assert not isinstance(store.claim(asked), DuplicateFound)


def put_abandoned(store: Store) -> Record:
    """An action that a person closed."""
    row = orphan(store, "left")
    store.resolve(resolution(row, Move.ABANDON, expires_at=at(86_400)))
    return stored(store, "left")
