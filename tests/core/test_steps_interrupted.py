"""Ctrl-C at every step: the truth is written down, and nothing new is begun."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from samekey._core.plan import Contract
from samekey._core.run import Done, LookedUp
from samekey._core.states import Move, Status
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, start
from samekey._core.verbs import Existing
from samekey.errors import NeedsReviewError
from tests.core.driving import (
    GENERIC,
    INTERRUPTED,
    KEYLESS,
    REFUSED_CONNECTION,
    TIMEOUT,
    answer,
    at,
    faults,
    plan,
    record,
    world,
)

if TYPE_CHECKING:
    from samekey._core.plan import Profile

LOOKS_UP = Contract(looks_up=True)
ONE_READ = LookedUp("inconclusive", "", final=True)


def test_before_the_claim_was_written_there_is_nothing_to_write_but_a_refused_settlement() -> None:
    step = start(plan())
    assert isinstance(step, Reservation)
    settle = step.interrupted(at())
    assert isinstance(settle, Settle)
    assert settle.settlement.move is Move.NOT_SENT


def test_after_the_claim_the_key_is_fresh_again() -> None:
    there = world(after={Reservation})
    there.run(plan())
    assert there.names == ["Reservation", "Settle", "Done"]
    assert (there.row.status, there.row.first_sent_at) == (Status.PENDING, None)


def test_before_the_send_the_key_is_fresh_again() -> None:
    there = world(interrupt={Send})
    there.run(plan())
    assert there.row.status is Status.PENDING


@pytest.mark.parametrize("status", [Status.PENDING, Status.UNKNOWN, Status.SUCCEEDED, Status.NEEDS_REVIEW])
def test_a_claim_that_never_was_written_leaves_what_the_store_has(status: Status) -> None:
    row = record(status=status, holder=None)
    there = world(rows=[row], interrupt={Reservation})
    done = there.run(plan())
    assert there.names == ["Reservation", "Settle", "Done"]
    assert there.row == row
    assert done.record == row


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.IN_FLIGHT])
def test_a_take_over_that_never_was_written_leaves_what_the_store_has(status: Status) -> None:
    row = record(status=status)
    there = world(rows=[row], interrupt={Renew})
    there.run(plan())
    assert there.names == ["Reservation", "Renew", "Settle", "Done"]
    assert there.row == row


def test_a_take_over_that_was_written_and_not_made_is_unknown_as_before() -> None:
    there = world(rows=[record()], after={Renew})
    there.run(plan())
    row = there.row
    assert (row.status, row.open_attempts, row.fence) == (Status.UNKNOWN, 1, 2)
    assert row.first_sent_at == at().wall


def test_a_renewal_that_was_written_after_nothing_was_sent_leaves_the_key_fresh() -> None:
    there = world(REFUSED_CONNECTION, after={Renew})
    there.run(plan())
    assert there.row.status is Status.PENDING


def test_a_renewal_that_was_written_after_an_open_attempt_leaves_it_unknown() -> None:
    there = world(TIMEOUT, after={Renew})
    there.run(plan())
    assert (there.row.status, there.row.open_attempts) == (Status.UNKNOWN, 1)


def test_an_attempt_that_was_interrupted_is_unknown_and_not_repeated() -> None:
    there = world(INTERRUPTED)
    there.run(plan())
    assert there.names == ["Reservation", "Send", "Settle", "Done"]
    assert there.row.status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("contract", "status"),
    [(Contract(), Status.NEEDS_REVIEW), (LOOKS_UP, Status.UNKNOWN)],
    ids=["stop", "later"],
)
def test_an_interrupted_keyless_attempt_is_not_looked_up_now(contract: Contract, status: Status) -> None:
    there = world(INTERRUPTED)
    there.run(plan(KEYLESS, contract=contract))
    assert "LookUp" not in there.names
    assert there.row.status is status


@pytest.mark.parametrize(("brought", "status"), [(TIMEOUT, Status.UNKNOWN), (REFUSED_CONNECTION, Status.PENDING)])
def test_between_two_attempts_what_the_last_one_brought_is_written(brought: object, status: Status) -> None:
    there = world(brought, interrupt={Sleep})  # type: ignore[arg-type]
    there.run(plan())
    assert there.names == ["Reservation", "Send", "Sleep", "Settle", "Done"]
    assert there.row.status is status


def test_while_waiting_for_another_there_is_nothing_to_write() -> None:
    row = record()
    there = world(rows=[row], alive=True, interrupt={Await})
    assert there.run(plan()).record == row
    assert there.names == ["Reservation", "Await", "Done"]


def test_settling_is_done_again() -> None:
    there = world(answer(201), after={Settle})
    there.run(plan())
    assert there.names == ["Reservation", "Send", "Settle", "Settle", "Done"]
    assert there.row.status is Status.SUCCEEDED


def test_a_look_up_of_what_an_earlier_run_left_is_left_to_the_next() -> None:
    row = record(status=Status.UNKNOWN)
    there = world(rows=[row], interrupt={LookUp})
    there.run(plan(KEYLESS, contract=LOOKS_UP))
    assert there.row == row


@pytest.mark.parametrize("profile", [replace(GENERIC, after_5xx=None), KEYLESS], ids=["silent on 5xx", "keyless"])
def test_r9_an_interrupted_look_up_after_a_5xx_does_not_lead_to_a_resend(profile: Profile) -> None:
    there = world(answer(500), look_ups=[ONE_READ], interrupt={LookUp})
    there.run(plan(profile, contract=LOOKS_UP))
    there.interrupt = set()
    done = there.run(plan(profile, contract=LOOKS_UP))
    assert len(there.sends) == 1
    assert isinstance(done.error, NeedsReviewError)
    assert there.row.error_summary == f"{'server_error' if profile.keyed else 'keyless'}; ; inconclusive: "


def test_r9_what_a_5xx_forbids_is_on_disk_before_it_is_looked_up() -> None:
    there = world(answer(500), look_ups=[ONE_READ])
    there.run(plan(replace(GENERIC, after_5xx=None), contract=LOOKS_UP))
    assert there.names == ["Reservation", "Send", "Settle", "LookUp", "Settle", "Done"]
    first = there.settlements[0].settlement
    assert (first.move, first.window_seconds, first.reason, first.durable) == (
        Move.NO_ANSWER,
        0.0,
        "server_error",
        True,
    )


def test_a_settlement_that_was_overtaken_after_an_interruption_begins_nothing() -> None:
    other = Existing(record(status=Status.UNKNOWN, fence=5, holder=None))
    there = world(after={Reservation}, faults=faults(Settle=[other]))
    done = there.run(plan())
    assert done.record == other.record
    assert there.names == ["Reservation", "Settle", "Done"]


def test_a_settlement_with_nothing_to_settle_ends() -> None:
    step = start(plan())
    assert isinstance(step, Reservation)
    settle = step.interrupted(at())
    assert isinstance(settle, Settle)
    assert isinstance(settle.next(None, at()), Done)
