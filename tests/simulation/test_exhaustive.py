"""Small scopes, completely: every crash point, every fault, two processes, up to three actions, two generations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.simulation.actors import begin
from tests.simulation.choices import Choices, every
from tests.simulation.histories import calm, check
from tests.simulation.scenarios import FAULTS, HONEST, Scenario, named
from tests.simulation.world import World

MOST = 400_000
BEGINS = 3


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
        delays=(0.2, 100.0),
    )


def small(scenario: Scenario, choices: Choices) -> list[str]:
    """Two processes begin every action, and begin again whatever they were told; a refusal is answered by other data."""
    world = World(scenario, choices)
    for number in range(scenario.actions):
        for place in range(2):
            _begin(world, place, f"a{number}", 0, BEGINS)
    world.run()
    calm(world)
    return [*world.broken, *check(world)]


def _begin(world: World, place: int, action: str, version: int, left: int) -> None:
    def again(verdict: str) -> None:
        if left > 1 and verdict != "success":
            corrected = 1 if verdict == "ActionRejectedError" else version
            world.at(world.now + 40.0, lambda: _begin(world, place, action, corrected, left - 1))

    begin(world, place, action, version, again)


SCOPES = [
    pytest.param(scenario.name, actions, crashes, faults, switches, id=f"{scenario.name}: {actions} actions")
    for scenario in HONEST
    if scenario.name in {"keyed, stored errors", "keyless", "refusals stored", "window of ten minutes", "two hosts"}
    for actions, crashes, faults, switches in ((1, 1, 1, 1), (2, 1, 1, 0), (3, 1, 0, 0))
]


@pytest.mark.parametrize(("name", "actions", "crashes", "faults", "switches"), SCOPES)
def test_no_small_history_breaks_a_promise(name: str, actions: int, crashes: int, faults: int, switches: int) -> None:
    """All combinations of a crash, a fault and a switch between processes, in every place where they can be."""
    scenario = bounded(named(name), actions=actions, crashes=crashes, faults=faults, switches=switches)

    def run(choices: Choices) -> None:
        broken = small(scenario, choices)
        assert not broken, f"{broken}; replay: small(bounded(...), Choices(given={choices.drawn}))"

    print(f"{name}, {actions} actions: {every(run, most=MOST)} histories")
