"""The API that the scripts write to. It honours keys, and kills whoever writes to it when the plan says so."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

from samekey.cli.demo.plan import FAULT_RATE, FAULTS, Moment
from samekey.testing import Commit, Delivery, Fault, FlakyServer, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey.cli.demo.plan import Plan
    from samekey.testing import Effect, Reply, Seen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill(Fault):
    """The script is killed in mid-flight. The one at `AFTER` is done when the order is made and remembered."""

    moment: Moment
    strike: Callable[[], None]

    def deliver(self, reply: Reply | None) -> Delivery:
        """Kills, if it was to be now; what would be answered goes nowhere."""
        if self.moment is Moment.AFTER:
            self.strike()
        return super().deliver(reply)


class Shop(FlakyServer):
    """A `FlakyServer` with the faults and kills of a plan.

    Args:
        plan: what goes wrong.
        strike: kills the script that runs now, and returns when it is gone.
        keys: what it does with keys, as in `FlakyServer`.
    """

    def __init__(self, plan: Plan, strike: Callable[[], None], *, keys: Literal["honour", "ignore"] = "honour") -> None:
        super().__init__(seed=plan.seed, keys=keys)
        self._kills = dict(plan.kills)
        self._strike = strike
        self.chaos(FAULT_RATE, FAULTS)
        self.on_request: Callable[[Seen], None] | None = self._kill_early

    @property
    def kills_to_come(self) -> int:
        """Kills that are still to come."""
        return len(self._kills)

    def next_fault(self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
        """What a request meets: in the first one of some orders, a kill."""
        fault = super().next_fault(method, target, headers, body)
        moment = self._kills.pop(json.loads(body)["cart"], None) if self._kills else None
        if moment is None:
            return fault
        commit = Commit.NEVER if moment is Moment.NEVER else Commit.NOW
        return Kill(name="KILL", commit=commit, wire=Wire.CLOSE, moment=moment, strike=self._strike)

    def orders_by_cart(self) -> Counter[str]:
        """How many orders were made of each cart."""
        return Counter(cart_of(effect) for effect in self.effects)

    def references(self) -> set[tuple[str, str]]:
        """The carts and ids of all orders."""
        return {(cart_of(effect), effect.reference) for effect in self.effects}

    def _kill_early(self, seen: Seen) -> None:
        if isinstance(seen.fault, Kill) and seen.fault.moment is not Moment.AFTER:
            seen.fault.strike()


def cart_of(effect: Effect) -> str:
    """What the order is for: the business object."""
    body: dict[str, Any] = json.loads(effect.body)
    return str(body["cart"])
