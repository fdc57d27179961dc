"""What a store is asked."""

from __future__ import annotations

from samekey._core.model import Event
from samekey._core.states import Status
from samekey._core.verbs import Claim, Expect
from tests.core.driving import T0, record


def test_a_claim_that_uses_the_time_is_the_same_claim() -> None:
    claim = Claim(record(), Expect(1, 1, Status.PENDING), T0, True, Event(T0, "claimed", "told"))
    used: list[str] = []
    using = claim.using_time(lambda: used.append("used"))
    assert using == claim
    assert claim.meanwhile is None
    assert using.meanwhile is not None
    using.meanwhile()
    assert used == ["used"]
