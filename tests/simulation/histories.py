"""One history from beginning to end, and what is checked of it."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.simulation.actors import begin, recover
from tests.simulation.checks import check
from tests.simulation.choices import Choices, shrink
from tests.simulation.people import decide, purge
from tests.simulation.scenarios import Scenario, of_seed
from tests.simulation.world import World

PLACES = 3
"""Processes that run at once."""
FIRST_SEED = int(os.environ.get("SAMEKEY_SEED", "0"))
"""Where the seeds begin."""


@dataclass(frozen=True)
class Verdict:
    """What a history showed.

    Attributes:
        broken: the promises it broke.
        tolerated: those that no client could have kept, the API being what it is.
        reached: which rare paths it took.
        drawn: its draws, to replay it.
    """

    broken: tuple[str, ...]
    tolerated: tuple[str, ...]
    reached: Counter[str]
    drawn: tuple[int, ...]


def history(scenario: Scenario, choices: Choices) -> Verdict:
    """Runs one history and checks it."""
    world = World(scenario, choices)
    for number in range(scenario.actions):
        _Caller(world, f"a{number}").start()
    if scenario.recovers and choices.chance(40):
        world.at(choices.pick(4) * 60.0, lambda: recover(world, choices.pick(PLACES), account(world)))
    for percent, act in ((scenario.people, decide), (scenario.purges, purge)):
        if percent and choices.chance(percent):
            for time in (60.0, 400.0, 1500.0, 9000.0):
                world.at(time, partial(_act, world, act))
    world.run()
    calm(world)
    broken: list[str] = []
    tolerated: list[str] = []
    for fault in (*world.broken, *check(world)):
        (tolerated if kind(fault) in scenario.tolerates else broken).append(fault)
    return Verdict(tuple(broken), tuple(tolerated), world.reached, tuple(choices.drawn))


def _act(world: World, act: Callable[[World, int], None]) -> None:
    act(world, world.choices.pick(PLACES))


def kind(fault: str) -> str:
    """Which promise it is that was broken."""
    return fault.partition(":")[0]


def account(world: World) -> int:
    """The credential that somebody uses: mostly the first one."""
    return int(world.scenario.accounts > 1 and world.choices.chance(30))


class _Caller:
    """Begins one action again and again, as scripts and schedulers do."""

    def __init__(self, world: World, action: str) -> None:
        self._world = world
        self._action = action
        self._left = world.scenario.begins

    def start(self) -> None:
        """The first begin, perhaps twice at once."""
        self._begin()
        if self._world.choices.chance(35):
            self._begin()

    def _begin(self) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        world = self._world
        place = world.choices.pick(PLACES)
        version = 1 if world.choices.chance(8) else 0
        begin(world, place, self._action, version, self._again, account(world))

    def _again(self, verdict: str) -> None:
        world = self._world
        if self._left <= 0 or (verdict == "success" and world.choices.chance(60)):
            return
        wait = (1.0, 30.0, 300.0, 4000.0)[world.choices.pick(4, (4, 4, 3, 2))]
        world.at(world.now + wait, self._begin)


def calm(world: World, waits: tuple[float, ...] = (200.0, 3 * 86_400.0)) -> None:
    """Nothing breaks any more; everybody is asked once more, now and after all windows."""
    world.calm, world.told_before_calm = True, len(world.told)
    for wait in waits:
        _ask_all(world, wait)
    if not world.scenario.right_clocks:
        for host in world.hosts:
            host.skew = 0.0
        _ask_all(world, waits[-1])


def _ask_all(world: World, wait: float) -> None:
    world.begun_in_calm += 1
    for number in range(world.scenario.actions):
        world.at(world.now + wait, partial(begin, world, 0, f"a{number}", 0, lambda _verdict: None))
    world.run()


def hunt(seeds: Iterable[int]) -> tuple[bool, str]:
    """Looks for the first seed whose history breaks a promise.

    Returns:
        Whether there is one, and which; or how many there were, and the first exception, which is no broken promise.
    """
    logging.getLogger("samekey").disabled = True
    count, raised = 0, ""
    for seed in seeds:
        count, scenario = count + 1, of_seed(seed)
        try:
            broken = history(scenario, Choices(seed)).broken
        except Exception as error:  # noqa: BLE001 - a mutant may break anything
            raised = raised or f", though seed {seed} raised {type(error).__name__}: {error}"
        else:
            if broken:
                return True, f"seed {seed} ({scenario.name}) after {count} histories: {broken[0]}"
    return False, f"{count} histories{raised}"


def explain(scenario: Scenario, seed: int, drawn: Sequence[int]) -> str:
    """A failure, made as small as it gets, and how to replay it."""

    def fails(draws: Sequence[int]) -> bool:
        return bool(history(scenario, Choices(given=draws)).broken)

    small = shrink(drawn, fails)
    verdict = history(scenario, Choices(given=small))
    return (
        f"scenario {scenario.name!r}, seed {seed}: {'; '.join(verdict.broken)}\n"
        f"  path: {', '.join(f'{name} {count}' for name, count in sorted(verdict.reached.items()))}\n"
        f"  replay: history(named({scenario.name!r}), Choices(seed={seed})), or Choices(given={small})"
    )
