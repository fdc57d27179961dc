"""One history from beginning to end, and what is checked of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from samekey._core.states import Status
from tests.simulation.actors import begin, identity_of, recover
from tests.simulation.choices import Choices, shrink
from tests.simulation.scenarios import Scenario
from tests.simulation.world import World

PLACES = 3
"""Processes that run at once."""
NOTHING_HAPPENED = {"ActionRejectedError", "NotSentError"}


@dataclass(frozen=True)
class Verdict:
    """What a history showed.

    Attributes:
        broken: the promises it broke.
        reached: which rare paths it took.
        drawn: its draws, to replay it.
    """

    broken: tuple[str, ...]
    reached: Counter[str]
    drawn: tuple[int, ...]


def history(scenario: Scenario, choices: Choices) -> Verdict:
    """Runs one history and checks it."""
    world = World(scenario, choices)
    for number in range(scenario.actions):
        _Caller(world, f"a{number}").start()
    if scenario.recovers and choices.chance(40):
        world.at(choices.pick(4) * 60.0, lambda: recover(world, choices.pick(PLACES)))
    world.run()
    calm(world)
    return Verdict(tuple(world.broken) + tuple(check(world)), world.reached, tuple(choices.drawn))


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
        begin(world, place, self._action, version, self._again)

    def _again(self, verdict: str) -> None:
        world = self._world
        if self._left <= 0 or (verdict == "success" and world.choices.chance(60)):
            return
        wait = (1.0, 30.0, 300.0, 4000.0)[world.choices.pick(4, (4, 4, 3, 2))]
        world.at(world.now + wait, self._begin)


def calm(world: World, waits: tuple[float, ...] = (200.0, 3 * 86_400.0)) -> None:
    """Nothing breaks any more; everybody is asked once more, now and after all windows."""
    world.calm = True
    for wait in waits:
        for number in range(world.scenario.actions):
            world.at(world.now + wait, partial(begin, world, 0, f"a{number}", 0, lambda _verdict: None))
        world.run()


def check(world: World) -> list[str]:
    """The promises of rules.md that the history broke."""
    return [*_effects(world), *_results(world), *_nothing(world), *_records(world)]


def _effects(world: World) -> list[str]:
    counts = Counter(effect.cause.action for effect in world.api.effects)
    return [f"promise 1: {action} had {count} effects" for action, count in counts.items() if count > 1]


def _results(world: World) -> list[str]:
    broken = []
    happened = {f"ord_{effect.number}": effect for effect in world.api.effects}
    first: dict[str, str | None] = {}
    for told in world.told:
        if told.verdict != "success":
            continue
        if told.reference not in happened or happened[told.reference].cause.action != told.action:
            broken.append(f"promise 2: {told.action} was told {told.reference}, which is no effect of it")
        if first.setdefault(told.action, told.reference) != told.reference:
            broken.append(f"promise 2: {told.action} was told {first[told.action]}, then {told.reference}")
    return broken


def _nothing(world: World) -> list[str]:
    """Who was told that nothing happened was told so of all attempts until then."""
    broken = []
    for told in world.told:
        if told.verdict in NOTHING_HAPPENED:
            late = [effect for effect in world.api.effects if effect.cause.number in told.sent]
            if late and all(effect.cause.action == told.action for effect in late):
                broken.append(
                    f"promise 3: {told.action} was told {told.verdict}, but request {late[0].cause.number} had one"
                )
    return broken


def _records(world: World) -> list[str]:
    broken = []
    sent = {request.action for request in world.requests}
    for action in sorted(sent):
        rows = world.store.rows.get(identity_of(action).digest, [])
        if not rows:
            broken.append(f"promise 3: {action} was sent and has no record")
            continue
        happened = [effect for effect in world.api.effects if effect.cause.action == action]
        last = rows[-1]
        if last.status is Status.SUCCEEDED and not happened:
            broken.append(f"promise 3: {action} is recorded as succeeded, and nothing happened")
        quiet = {Status.PENDING, Status.REJECTED}
        if happened and all(row.status in quiet for row in rows):
            broken.append(f"promise 3: {action} happened and is recorded as {last.status.value}")
        broken += [
            f"promise 5: {action} is settled and still has its request"
            for row in rows
            if row.settled and row.frozen_request is not None
        ]
    return broken


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
