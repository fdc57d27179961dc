"""Small scopes, completely: every crash point, every fault, two processes, up to three actions, two generations."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.simulation.actors import begin
from tests.simulation.checks import check
from tests.simulation.choices import Choices, every
from tests.simulation.histories import calm
from tests.simulation.scenarios import FAULTS, Scenario, named
from tests.simulation.world import World

MOST = 400_000
BEGINS = 2


def bounded(scenario: Scenario, *, actions: int, crashes: int, faults: int, switches: int) -> Scenario:
    """A scenario small enough to be enumerated."""
    allowed = {name: percent for name, percent in FAULTS.items() if not name.startswith("get")}
    return replace(
        scenario,
        actions=actions,
        crashes=crashes,
        most_faults=faults,
        most_switches=switches,
        interrupts=0.0,
        jumps=(),
        faults=allowed,
        delays=(100.0,),
    )


def small(scenario: Scenario, choices: Choices) -> list[str]:
    """Two processes begin every action, and begin again; a refusal is answered by other data."""
    world = World(scenario, choices)
    for number in range(scenario.actions):
        for place in range(2):
            _begin(world, place, f"a{number}", 0, BEGINS)
    world.run()
    calm(world, (200.0,))
    return [*world.broken, *check(world)]


def _begin(world: World, place: int, action: str, version: int, left: int) -> None:
    def again(verdict: str) -> None:
        if left > 1 and verdict != "success":
            corrected = 1 if verdict == "ActionRejectedError" else version
            world.at(world.now + 40.0, lambda: _begin(world, place, action, corrected, left - 1))

    begin(world, place, action, version, again)


SMALL = ((1, 1, 1, 0), (1, 1, 0, 1), (1, 0, 1, 1), (2, 1, 1, 0), (3, 1, 1, 0))
LARGE = ((1, 2, 1, 0), (1, 1, 2, 0), (1, 1, 1, 1))
"""Actions, crashes, faults, switches. The large scopes take minutes: `SAMEKEY_SCOPE=large` runs them too."""

SCOPES = SMALL + (LARGE if os.environ.get("SAMEKEY_SCOPE") == "large" else ())
NAMES = ("keyed, stored errors", "keyless", "refusals stored", "window of ten minutes", "two hosts")


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: "-".join(map(str, scope)))
@pytest.mark.parametrize("name", NAMES)
def test_no_small_history_breaks_a_promise(name: str, scope: tuple[int, int, int, int]) -> None:
    """All combinations of crashes, faults and switches between processes, in every place where they can be."""
    actions, crashes, faults, switches = scope
    scenario = bounded(named(name), actions=actions, crashes=crashes, faults=faults, switches=switches)

    def run(choices: Choices) -> None:
        broken = small(scenario, choices)
        assert not broken, f"{broken}; replay: small(bounded(...), Choices(given={choices.drawn}))"

    count = every(run, most=MOST)
    print(f"{name}: {actions} actions, {crashes} crashes, {faults} faults, {switches} switches: {count} histories")
    assert count > 20  # a scope that collapsed would prove nothing
