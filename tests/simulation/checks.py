"""What is checked of a history when it is over."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from samekey._core.states import Status
from tests.simulation.actors import identity_of
from tests.simulation.scenarios import FORGOTTEN
from tests.simulation.world import World

NOTHING_HAPPENED = {"ActionRejectedError", "NotSentError"}


def check(world: World) -> list[str]:
    """The promises of rules.md that the history broke."""
    return [*_effects(world), *_results(world), *_nothing(world), *_records(world), *_ends(world)]


def _counted(world: World) -> Counter[str]:
    return Counter(effect.cause.action for effect in world.api.effects)


def _doubled(world: World, action: str) -> str:
    """Effects that are a window apart are told by themselves: who forgot a claim sends after that in good faith."""
    times = sorted(effect.at for effect in world.api.effects if effect.cause.action == action)
    apart = min(later - earlier for earlier, later in pairwise(times))
    promise = FORGOTTEN if apart >= world.scenario.behaviour.window else "promise 1"
    return f"{promise}: {action} had {len(times)} effects"


def _effects(world: World) -> list[str]:
    broken = [_doubled(world, action) for action, count in _counted(world).items() if count > 1]
    if world.scenario.same_payload:
        by_payload: dict[bytes, set[str]] = {}
        for effect in world.api.effects:
            by_payload.setdefault(effect.cause.payload, set()).add(effect.cause.action)
        broken += [
            f"promise 1: {' and '.join(sorted(actions))} did the same, which their contract excludes"
            for actions in by_payload.values()
            if len(actions) > 1
        ]
    return broken


def _ends(world: World) -> list[str]:
    """In the calm nobody works any more: whoever asks gets an answer, and not that somebody else is on it."""
    broken = []
    for number in range(world.scenario.actions):
        action = f"a{number}"
        verdicts = [told.verdict for told in world.told[world.told_before_calm :] if told.action == action]
        if len(verdicts) != world.begun_in_calm:
            broken.append(f"promise 3: {action} was begun and nobody was told what came of it")
        elif verdicts[-1] == "ActionInProgressError":
            broken.append(f"promise 3: {action} is in progress for ever, and nobody works on it")
    return broken


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
