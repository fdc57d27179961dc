"""The API of `duplicates.py`: it loses answers and kills the script by a seed, the same for every contender."""

import collections
import itertools
import os
import random
import re
import signal
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum

from samekey.testing import LOST_REPLIES, Delivery, Fault, FlakyServer, Wire

DAY = 86_400.0
WINDOW_SECONDS = DAY
LOST = (*LOST_REPLIES, Fault.DROP_BEFORE, Fault.RESET_BEFORE)
"""Nine ways to lose an answer: after the effect in seven of them, before it in two."""

_ORDER = re.compile(rb"order-(\d+)")


class Kind(StrEnum):
    """The three APIs, and when the script is run again."""

    KEYED = "keyed"
    LATE = "late"
    KEYLESS = "keyless"

    @property
    def days(self) -> int:
        """How many days lie between two runs of the script."""
        return 0 if self is Kind.KEYED else 2


class Death(StrEnum):
    """The instants at which the script is killed."""

    NEVER_ARRIVED = "the request was sent, and is lost"
    BEFORE_REPLY = "the effect happened; nothing of the answer was sent"
    BEFORE_NOTE = "the answer is there; the script has not written it down"


@dataclass(frozen=True)
class Plan:
    """What goes wrong: a pure function of the seed, whatever a contender does."""

    seed: int
    actions: int
    kills: int
    rate: float

    @property
    def deaths(self) -> dict[int, Death]:
        """Which actions the script does not survive at their first request, and how."""
        chance = random.Random(f"{self.seed} deaths")
        numbers = sorted(chance.sample(range(self.actions), self.kills))
        return dict(zip(numbers, itertools.cycle(Death), strict=False))

    def fault(self, number: int, occurrence: int) -> Fault:
        """What the n-th request about an action meets."""
        chance = random.Random(f"{self.seed} {number} {occurrence}")
        return chance.choice(LOST) if chance.random() < self.rate else Fault.NONE


@dataclass
class Tally:
    """What the API has seen."""

    lost: int = 0
    killed: collections.Counter[str] = field(default_factory=collections.Counter)


def order_in(body: bytes) -> int:
    """Which action a request is about."""
    found = _ORDER.search(body)
    assert found, f"no order in {body!r}"
    return int(found[1])


class FaultyServer(FlakyServer):
    """A flaky server that follows a plan.

    Args:
        kind: honours keys for a day, or ignores them.
        plan: what goes wrong.
    """

    def __init__(self, kind: Kind, plan: Plan) -> None:
        keys = "ignore" if kind is Kind.KEYLESS else "honour"
        super().__init__(keys=keys, window=WINDOW_SECONDS, clock=lambda: time.time() + self.ahead)
        self.ahead = 0.0
        self.tally = Tally()
        self.calm = False
        self.victim: int | None = None
        self._plan = plan
        self._deaths = plan.deaths
        self._seen: collections.Counter[int] = collections.Counter()
        self._guard = threading.Lock()

    def next_fault(self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes) -> Fault:
        """By the plan, or none when it is calm."""
        if method != "POST" or self.calm:
            return super().next_fault(method, target, headers, body)
        with self._guard:
            number = order_in(body)
            self._seen[number] += 1
            if number in self._deaths:
                return Fault.NONE
            fault = self._plan.fault(number, self._seen[number])
            self.tally.lost += fault is not Fault.NONE
            return fault

    def handle(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...], body: bytes, fault: Fault
    ) -> Delivery:
        """Kills the script where it is its time."""
        number = order_in(body) if method == "POST" else -1
        death = None if self.calm else self._deaths.get(number)
        if death in {Death.NEVER_ARRIVED, Death.BEFORE_REPLY}:
            self.dead(number)
            delivery = super().handle(method, target, headers, body, fault) if death is Death.BEFORE_REPLY else None
            assert self.victim is not None
            os.kill(self.victim, signal.SIGKILL)
            return delivery or Delivery(Wire.CLOSE)
        return super().handle(method, target, headers, body, fault)

    def dead(self, number: int) -> None:
        """Counts a death, which does not come twice; its answer is lost."""
        with self._guard:
            self.tally.killed[self._deaths.pop(number).name] += 1
            self.tally.lost += 1

    @property
    def deaths_left(self) -> list[int]:
        """The actions after which the script has still to be killed before it notes the answer."""
        return [number for number, death in self._deaths.items() if death is Death.BEFORE_NOTE]
