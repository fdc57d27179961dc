"""People: one who looks at what is open and decides about it, and one who purges."""

from __future__ import annotations

from uuid import UUID

from samekey._core.resolve import Decision, Refusal, Ruling, resolve
from samekey._core.states import Status
from tests.simulation.machines import Process, ProcessStore, SimClock
from tests.simulation.world import World

THINKS = (0.0, 60.0, 700.0)
"""Seconds between the look at the record and the decision."""
UNSURE = (Decision.DID_NOT_HAPPEN, Decision.TRY_AGAIN, Decision.ABANDON)
SETTLED = (Decision.TRY_AGAIN,)


def decide(world: World, place: int) -> None:
    """Somebody goes through the records, looks at the API, and decides what to do about each that is open.

    They are honest and not all-knowing: what has not happened by now may still happen, and some err (R3 bears that while the
    API remembers the key).
    """
    process = world.process(place)
    world.spawn(process, lambda: _decide_all(world, process), world.now)


def _decide_all(world: World, process: Process) -> None:
    store = ProcessStore(world, process)
    for row in [rows[-1] for rows in world.store.rows.values() if rows]:
        if row.purged or row.status in {Status.SUCCEEDED, Status.ABANDONED, Status.PENDING}:
            continue
        action = row.scope["id"]
        found = next((effect for effect in world.api.effects if effect.cause.action == action), None)
        errs = (
            found is not None and world.scenario.errs and row.status is not Status.REJECTED and world.choices.chance(50)
        )
        choices = SETTLED if row.status is Status.REJECTED else UNSURE
        if errs:
            decision = Decision.DID_NOT_HAPPEN
        else:
            decision = choices[world.choices.pick(len(choices))] if found is None else Decision.HAPPENED
        world.reached["plan"] += 1
        ruling = Ruling(
            decision=decision,
            by="somebody",
            nonce=UUID(int=world.reached["plan"]).hex,
            reference=None if found is None else f"ord_{found.number}",
            keyless=not world.scenario.profile.keyed,
        )
        ruled = resolve(row, ruling, SimClock(world, process).now())
        if isinstance(ruled, Refusal):
            world.reached[f"refused {decision.value}"] += 1
            continue
        world.wait_until(world.now + THINKS[world.choices.pick(len(THINKS))])
        answer = store.resolve(ruled)
        world.reached[f"resolve {'refused' if answer is None else decision.value}"] += 1


def purge(world: World, place: int) -> None:
    """Erases what is settled and over its retention."""
    process = world.process(place)

    def work() -> None:
        world.pause("before purge")
        if ProcessStore(world, process).purge(SimClock(world, process).now().wall):
            world.reached["purged"] += 1

    world.spawn(process, work, world.now)
