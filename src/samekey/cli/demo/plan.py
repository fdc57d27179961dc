"""What happens in a demo, all of it drawn from one seed: the orders, and where the scripts are killed."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from samekey.testing import LOST_REPLIES, Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULT_RATE: Final = 0.25
"""How many requests get no usable answer, unless their script is killed first."""

FAULTS: Final = (*LOST_REPLIES, Fault.STALL, Fault.DROP_BEFORE, Fault.UNAVAILABLE)
"""Eight in which the order is made and the answer lost, two in which nothing happens; a script cannot tell."""

MOST_KILLS: Final = 8
"""Kills, unless told otherwise; each costs every script a start of Python."""


class Moment(Enum):
    """When a script is killed, seen from the shop."""

    AFTER = "the order is made, its answer has not left yet"
    NEVER = "the request is lost with the script"
    BEFORE = "the request has arrived, the order is made when the script is gone"


@dataclass(frozen=True, slots=True)
class Plan:
    """One demo.

    Attributes:
        seed: what everything else was drawn from.
        orders: the bodies that the scripts send.
        kills: cart of the order in whose first request the script is killed, and when.
    """

    seed: int
    orders: tuple[Mapping[str, Any], ...]
    kills: Mapping[str, Moment]


def draw(actions: int, kills: int | None, seed: int) -> Plan:
    """Draws a plan. `kills` is at most `actions`; None for one in five orders, but not more than eight."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    orders = tuple(_order(number, chance) for number in range(1, actions + 1))
    number = default_kills(actions) if kills is None else kills
    carts = sorted(order["cart"] for order in chance.sample(orders, number))
    # In turn: a script loses something at some of them, whatever the seed.
    moments = list(itertools.islice(itertools.cycle(Moment), number))
    chance.shuffle(moments)
    return Plan(seed, orders, dict(zip(carts, moments, strict=True)))


def default_kills(actions: int) -> int:
    """How often each script is killed, unless told otherwise."""
    return min(MOST_KILLS, max(1, actions // 5))


def _order(number: int, chance: random.Random) -> dict[str, Any]:
    total = f"{chance.randint(5, 250)}.{chance.randint(0, 99):02d}"
    return {"customer": chance.randint(1, 20), "cart": f"c-{number:03d}", "total": total, "currency": "EUR"}
