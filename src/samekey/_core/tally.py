"""What a store is counted for: the raw numbers that every signal is made of.

Stores fill a `Tally`; `samekey.telemetry.signals` makes the signals of it. What a kind of event means for a signal is
told here and nowhere else.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from samekey._core.model import Event, Record
from samekey._core.states import UNSETTLED, Status

PREVENTED: Final = {
    "replay": "record",
    "server_replay": "server",
    "found": "look_up",
    "awaited": "claim",
    "in_progress": "claim",
    "duplicate": "claim",
}
"""Kinds of events that tell of a prevented duplicate, and what prevented it."""
CONFLICTS: Final = ("conflict", "server_conflict")
"""Kinds of events that tell of other data under a known key, by the store's word or the API's."""
TAKEN_OVER: Final = ("recovery", "credential_changed")
"""Kinds of events that tell of an attempt of a dead process which was taken over."""
REPEATS: Final = ("replay", "refused_again", "awaited", "in_progress", "duplicate", "conflict", "blocked", *TAKEN_OVER)
"""Kinds of events of which each tells of one more begin of an action that the store knew."""

CLOSED: Final = "effect_after_close"
SECOND_EFFECT: Final = "second_effect"
NAMES_A_REFERENCE: Final = (CLOSED, SECOND_EFFECT)
"""Kinds of events that name an object which the record does not."""
_REFERENCE: Final = "reference "
CREATING: Final = "POST"
"""The method of writes that make an object; the others are sent to one that has a name already."""


def told_reference(reference: str) -> str:
    """An event's detail that names an object."""
    return f"{_REFERENCE}{reference}"


def reference_told(detail: str) -> str | None:
    """The object that an event's detail names, if it does."""
    return detail.removeprefix(_REFERENCE) if detail.startswith(_REFERENCE) else None


@dataclass(frozen=True, slots=True, order=True)
class Effect:
    """One object that one action is known to have made.

    Attributes:
        operation_name: the operation.
        origin: scheme, host and port of the API.
        reference: the object's id at the API.
        identity: digest of the action.
        idempotency_key: the key under which it was made, or under which it came to light.
    """

    operation_name: str
    origin: str
    reference: str
    identity: str
    idempotency_key: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class Rows:
    """How many records of one operation, first claimed in one stretch of time, are what.

    Attributes:
        actions: records, each one generation of an action.
        succeeded: of them, the effect is confirmed.
        rejected: of them, definitely refused.
        attempts: sends permitted for them.
        retried: of them, sent more than once.
        recovered: of these, the effect is confirmed.
        unchecked: confirmed writes that name no object, or that went to one which had a name already.
    """

    actions: int = 0
    succeeded: int = 0
    rejected: int = 0
    attempts: int = 0
    retried: int = 0
    recovered: int = 0
    unchecked: int = 0

    def __add__(self, other: "Rows") -> "Rows":
        """Both together."""
        return Rows(
            self.actions + other.actions,
            self.succeeded + other.succeeded,
            self.rejected + other.rejected,
            self.attempts + other.attempts,
            self.retried + other.retried,
            self.recovered + other.recovered,
            self.unchecked + other.unchecked,
        )


@dataclass(frozen=True, slots=True)
class Left:
    """The unsettled records of one operation in one state, whenever they were claimed.

    Attributes:
        count: how many.
        oldest: when the one that was sent first, was; else claimed.
        window_seconds: how long the API remembers that one's key; None if nobody said.
    """

    count: int
    oldest: datetime
    window_seconds: float | None


@dataclass(frozen=True, slots=True)
class Tally:
    """A store in numbers. Stretches of time are numbered from 1970 on; without stretches all is in number 0.

    Attributes:
        rows: by operation and stretch.
        events: by operation, stretch and kind.
        left: by operation and status.
        writes: how many pairs of an action and an object that it made are known, by operation.
        clashes: those pairs that share their action or their object with another one.
    """

    rows: Mapping[tuple[str, int], Rows]
    events: Mapping[tuple[str, int, str], int]
    left: Mapping[tuple[str, Status], Left]
    writes: Mapping[str, int]
    clashes: tuple[Effect, ...] = ()


def objects(effects: Iterable[Effect]) -> list[list[Effect]]:
    """The effects in groups of which each should have been one write: linked by their action or by their object."""
    groups: dict[tuple[str, ...], list[Effect]] = {}
    for effect in sorted(effects):
        action = ("action", effect.identity)
        thing = ("object", effect.operation_name, effect.origin, effect.reference)
        one, other = groups.get(action), groups.get(thing)
        joined = [effect] if one is None and other is None else [*(one or ()), effect]
        if other is not None and other is not one:
            joined += other
        for each in joined:
            groups["action", each.identity] = joined
            groups["object", each.operation_name, each.origin, each.reference] = joined
    return list({id(group): group for group in groups.values()}.values())


class Counter:
    """Makes a tally of records and their events, for stores that cannot count by themselves.

    Args:
        since: nothing before it counts, but for what is unsettled.
        stretch_seconds: the length of a stretch of time; None for no stretches.
    """

    def __init__(self, since: datetime | None, stretch_seconds: int | None) -> None:
        self._since = since
        self._stretch = stretch_seconds
        self._rows: dict[tuple[str, int], Rows] = defaultdict(Rows)
        self._events: dict[tuple[str, int, str], int] = defaultdict(int)
        self._left: dict[tuple[str, Status], Left] = {}
        self._effects: set[Effect] = set()

    def add(self, record: Record, events: Collection[Event]) -> None:
        """Counts one generation with its timeline."""
        if record.status in UNSETTLED:
            self._add_left(record)
        for event in events:
            if self._since is None or event.at >= self._since:
                self._events[record.operation_name, self._number(event.at), event.kind] += 1
        if self._since is not None and record.created_at < self._since:
            return
        self._rows[record.operation_name, self._number(record.created_at)] += row_of(record)
        self._effects.update(effects_of(record, events))

    def tally(self) -> Tally:
        """What was counted."""
        writes: dict[str, int] = defaultdict(int)
        for effect in self._effects:
            writes[effect.operation_name] += 1
        clashes = tuple(sorted(effect for group in objects(self._effects) if len(group) > 1 for effect in group))
        return Tally(dict(self._rows), dict(self._events), dict(self._left), dict(writes), clashes)

    def _number(self, moment: datetime) -> int:
        return int(moment.timestamp() // self._stretch) if self._stretch else 0

    def _add_left(self, record: Record) -> None:
        name = (record.operation_name, record.status)
        known, sent = self._left.get(name), record.first_sent_at or record.created_at
        if known is None or sent < known.oldest:
            self._left[name] = Left(known.count + 1 if known else 1, sent, record.window_seconds)
        else:
            self._left[name] = Left(known.count + 1, known.oldest, known.window_seconds)


def row_of(record: Record) -> Rows:
    """One record in numbers."""
    done, again = record.status is Status.SUCCEEDED, record.attempts > 1
    named = record.method == CREATING and record.response_reference
    return Rows(
        actions=1,
        succeeded=int(done),
        rejected=int(record.status is Status.REJECTED),
        attempts=record.attempts,
        retried=int(again),
        recovered=int(again and done),
        unchecked=int(done and not named),
    )


def effects_of(record: Record, events: Collection[Event]) -> set[Effect]:
    """The objects that a generation is known to have made; a purged one is out of it, for nobody knows where."""
    if record.method != CREATING:
        return set()
    told = [reference_told(event.detail) for event in events if event.kind in NAMES_A_REFERENCE]
    if record.status is Status.SUCCEEDED:
        told.append(record.response_reference)
    return {
        Effect(record.operation_name, record.origin, reference, record.identity, record.idempotency_key)
        for reference in told
        if reference
    }
