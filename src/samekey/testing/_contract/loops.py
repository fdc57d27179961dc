"""The part of the contract that only stores for event loops have: what a cancellation leaves, and what never blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import anyio
import anyio.lowlevel
import pytest

from samekey._core.model import Event, Record
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Existing, Renewed, Settled
from samekey.stores import Store
from samekey.testing._contract.blocking import Blocking
from samekey.testing._contract.builders import T0, at, claimed, record, renewal, settlement, stored

TURNS = range(25)
"""Turns of the loop after which a verb is cancelled: before it began, at each of its first steps, and about its end."""


async def cancelled_after(turns: int, verb: Callable[[], Awaitable[object]]) -> bool:
    """Runs a verb and cancels it after so many turns of the loop; returns whether it answered all the same."""
    answered = False

    async def work() -> None:
        nonlocal answered
        await verb()
        answered = True

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    return answered


async def claim_all(blocking: Blocking, claims: list[Claim]) -> None:
    async with anyio.create_task_group() as group:
        for claim in claims:
            group.start_soon(blocking.inner.claim, claim)


def renewed(row: Record, store: Store) -> Record:
    """What `renewal` makes of a row."""
    return replace(
        row,
        attempts=2,
        open_attempts=2,
        fence=2,
        holder=store.holder,
        claim_nonce="nonce-of-renewal",
        lease_expires_at=at(120),
        last_seen_at=at(30),
    )


class Loops:
    @pytest.fixture
    def blocking(self, store: Store) -> Blocking:
        """The store, if it is one for event loops."""
        if not isinstance(store, Blocking):
            pytest.skip("it is not for event loops")
        return store

    def test_a_cancelled_claim_is_whole_or_nothing_and_leaves_no_task(self, blocking: Blocking) -> None:
        claimed(blocking, "first")
        for turns in TURNS:
            asked = Claim(record(blocking, str(turns)), event=Event(at(0), "retry", "claimed"))
            answered = blocking.portal.call(cancelled_after, turns, partial(blocking.inner.claim, asked))
            found = blocking.get(asked.record.identity)
            if answered:
                assert found is not None
                assert found.alive
            elif found is not None:
                assert found.record == asked.record
                assert not found.alive
                assert not found.own
            assert blocking.events(asked.record.idempotency_key) == ([asked.event] if found is not None else [])
            assert blocking.claim(asked) == Claimed(asked.record)  # it goes on as if nothing had been
            assert isinstance(blocking.settle(settlement(asked.record)), Settled)

    def test_a_cancelled_take_over_is_whole_or_nothing_and_leaves_no_task(self, blocking: Blocking) -> None:
        for turns in TURNS:
            row = claimed(blocking, str(turns))
            blocking.release(row.identity, row.generation, row.fence)
            asked = renewal(row, blocking)
            answered = blocking.portal.call(cancelled_after, turns, partial(blocking.inner.renew, asked))
            found = blocking.get(row.identity)
            assert found is not None
            assert found.alive is answered
            if answered:
                assert found.record != row
            if found.record != row:
                assert found.record == renewed(row, blocking)
            assert len(blocking.events(row.idempotency_key)) == (found.record != row)
            assert blocking.renew(asked) == Renewed(renewed(row, blocking))
            assert stored(blocking, str(turns)).attempts == 2

    @pytest.mark.parametrize("durable", [True, False])
    def test_a_cancelled_settlement_is_whole_or_nothing(self, blocking: Blocking, *, durable: bool) -> None:
        for turns in TURNS:
            row = claimed(blocking, str(turns))
            asked = settlement(row, durable=durable, event=Event(at(1), "replay", "settled"))
            answered = blocking.portal.call(cancelled_after, turns, partial(blocking.inner.settle, asked))
            found = stored(blocking, str(turns))
            if answered:
                assert found != row
            assert found == row or (found.status, found.response_reference) == (Status.SUCCEEDED, "ord_9")
            assert len(blocking.events(row.idempotency_key)) == (found != row)
            assert isinstance(blocking.settle(asked), Settled)  # the same settlement again
            after = stored(blocking, str(turns))
            assert (after.status, after.response_reference) == (Status.SUCCEEDED, "ord_9")
            assert len(blocking.events(row.idempotency_key)) == 1
            assert blocking.get(row.identity) == Existing(after)

    def test_of_claims_that_are_cancelled_together_each_is_whole_or_nothing(self, blocking: Blocking) -> None:
        for turns in TURNS:
            asked = [Claim(record(blocking, f"{turns}-{number}")) for number in range(8)]
            answered = blocking.portal.call(cancelled_after, turns, partial(claim_all, blocking, asked))
            for claim in asked:
                found = blocking.get(claim.record.identity)
                assert found is None or found.record == claim.record
                if answered:
                    assert found is not None
                assert blocking.claim(claim) == Claimed(claim.record)
        assert len(blocking.find()) == 8 * len(TURNS)

    def test_who_is_cancelled_while_it_waits_leaves_nothing(self, blocking: Blocking) -> None:
        row = claimed(blocking)
        existing = blocking.get(row.identity)
        assert existing is not None
        assert not blocking.portal.call(cancelled_after, 20, lambda: blocking.inner.wait(existing, 60))
        assert blocking.get(row.identity) == existing
        assert blocking.settle(settlement(row, Move.REFUSAL)) == Settled(stored(blocking))

    def test_a_release_in_the_middle_of_other_verbs_is_known_at_once(self, blocking: Blocking) -> None:
        row = claimed(blocking)
        claims = [Claim(record(blocking, str(number))) for number in range(8)]

        found: list[Existing | None] = []

        async def in_the_middle() -> None:
            async with anyio.create_task_group() as group:
                for claim in claims:
                    group.start_soon(blocking.inner.claim, claim)
                await anyio.lowlevel.checkpoint()
                blocking.inner.release(row.identity, row.generation, row.fence)
                found.append(await blocking.inner.get(row.identity))

        blocking.portal.call(in_the_middle)
        assert found == [Existing(row, high_water=T0)]
        assert len(blocking.find()) == 9

    def test_many_who_wait_for_one_are_all_woken(self, blocking: Blocking) -> None:
        row = claimed(blocking)
        existing = blocking.get(row.identity)
        assert existing is not None
        woken: list[int] = []

        async def wait(number: int) -> None:
            await blocking.inner.wait(existing, 60)
            woken.append(number)

        async def many() -> None:
            with anyio.fail_after(30):
                async with anyio.create_task_group() as group:
                    for number in range(200):
                        group.start_soon(wait, number)
                    for _ in range(3):
                        await anyio.lowlevel.checkpoint()
                    await blocking.inner.settle(settlement(row))

        blocking.portal.call(many)
        assert sorted(woken) == list(range(200))

    def test_verbs_of_many_tasks_are_all_kept(self, blocking: Blocking) -> None:
        async def work(number: int) -> None:
            row = record(blocking, str(number))
            assert await blocking.inner.claim(Claim(row)) == Claimed(row)
            assert isinstance(await blocking.inner.settle(settlement(row)), Settled)

        async def many() -> None:
            async with anyio.create_task_group() as group:
                for number in range(64):
                    group.start_soon(work, number)

        blocking.portal.call(many)
        assert len(blocking.find(statuses={Status.SUCCEEDED})) == 64
