"""R10: what a store on several hosts says by its own clock counts before the clocks of those hosts."""

from __future__ import annotations

import pytest

from samekey._core.begin import Check, TakeOver, WaitFor, decide
from samekey._core.model import later
from samekey._core.verbs import Existing, StoreClock
from tests.core.driving import DAY, T0, at, plan, record


@pytest.mark.parametrize(
    ("lease_left", "alive", "waits"),
    [(1.0, True, True), (0.0, True, True), (-1.0, True, False), (1.0, False, False)],
)
@pytest.mark.parametrize("own_clock", [5.0, 500.0])
def test_a_lease_ends_when_the_stores_clock_says_so(
    lease_left: float, alive: bool, waits: bool, own_clock: float
) -> None:
    row = record(lease_expires_at=later(T0, 60))
    existing = Existing(row, alive=alive, by_store=StoreClock(10.0, lease_left))
    assert isinstance(decide(plan(), existing, at(own_clock)), WaitFor if waits else TakeOver)


@pytest.mark.parametrize(("own_clock", "waits"), [(5.0, True), (500.0, False)])
def test_without_a_lease_by_its_clock_the_own_clock_tells(own_clock: float, waits: bool) -> None:
    row = record(lease_expires_at=later(T0, 60))
    existing = Existing(row, alive=True, by_store=StoreClock(None, None))
    assert isinstance(decide(plan(), existing, at(own_clock)), WaitFor if waits else TakeOver)


@pytest.mark.parametrize("ago", [0.0, DAY - 300, DAY, 2 * DAY])
def test_a_window_closes_by_the_stores_clock_though_the_senders_was_ahead(ago: float) -> None:
    """The row says that it was sent a minute ago; the store knows better."""
    existing = Existing(record(lease_expires_at=T0), by_store=StoreClock(ago, -1.0))
    decision = decide(plan(), existing, at(60))
    if ago < DAY - 200:
        assert isinstance(decision, TakeOver)
        assert decision.closes_at == later(T0, 60 + DAY - 120 - max(ago, 60.0))
    else:
        assert decision == Check(existing.record, "window_closed")
