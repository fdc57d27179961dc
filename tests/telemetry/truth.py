"""A store of many actions whose every signal is known, for it was written down when they were made up."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from samekey._core.model import Event
from samekey._core.states import Status
from samekey._core.tally import SECOND_EFFECT
from tests.telemetry.stories import Story, make

if TYPE_CHECKING:
    from samekey._core.model import Record

WEIGHTS = {"create_order": 60, "pay_invoice": 25, "ship_parcel": 10, "refund <b>&amp;": 5}

DAYS = 45


@dataclass
class Truth:
    """What a store of made-up stories must be found to say, by operation."""

    now: datetime
    stories: list[Story] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    oldest: dict[tuple[str, str], datetime] = field(default_factory=dict)
    windows: dict[tuple[str, str], float] = field(default_factory=dict)
    groups: int = 0
    daily: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def all(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update(counts)
        return total

    def is_open(self, name: str, kind: str, record: Record) -> None:
        sent = record.first_sent_at or record.created_at
        for each in (name, ""):
            if (each, kind) not in self.oldest or sent < self.oldest[each, kind]:
                self.oldest[each, kind] = sent
                self.windows[each, kind] = record.window_seconds or 0.0


def made_up(count: int, *, seed: int = 7, now: datetime | None = None) -> Truth:
    """So many records with their timelines.

    Each knows its own end: nearly all succeed at once, and of each thing that can happen there are some.
    """
    luck = random.Random(seed)
    now = now or datetime.now(UTC)
    truth = Truth(now)
    names = luck.choices(list(WEIGHTS), list(WEIGHTS.values()), k=count)
    moments = sorted(now - timedelta(seconds=60 + luck.random() * (DAYS * 86_400 - 120)) for _ in range(count))
    for number, (name, moment) in enumerate(zip(names, moments, strict=True)):
        _story(truth, luck, number, name, moment)
    return truth


def _story(  # noqa: PLR0912 - one branch for each thing that can happen
    truth: Truth, luck: random.Random, number: int, name: str, moment: datetime
) -> None:
    counts, chance, events = truth.counts[name], luck.random(), list[Event]()
    row = make(number, moment, name)
    day = f"{moment:%d %b}"

    def tell(kind: str, *signals: str, begin: bool = False) -> None:
        events.append(Event(moment, kind, "in words"))
        counts.update(signals)
        truth.daily[day].update(signals)
        counts["begins"] += begin

    def change(**changes: object) -> None:
        nonlocal row
        row = make(number, moment, name, **changes)

    counts.update(("actions", "begins"))
    counts["attempts"] += 1
    succeeded = checked = True
    if chance < 0.03:
        for _ in range(luck.randrange(1, 3)):
            tell("replay", "prevented_by_record", begin=True)
    elif chance < 0.04:
        kind = luck.choice(("awaited", "in_progress", "duplicate"))
        tell(kind, "prevented_by_claim", begin=True)
    elif chance < 0.05:
        change(attempts=2)
        counts.update(("retried", "recovered", "attempts"))
        tell("retry")
        tell("server_replay", "prevented_by_server")
    elif chance < 0.06:
        change(attempts=2)
        counts.update(("retried", "recovered", "attempts"))
        tell(luck.choice(("recovery", "credential_changed")), "taken_over", begin=True)
    elif chance < 0.065:
        tell("found", "prevented_by_look_up")
        tell("look_up")
    elif chance < 0.07:
        tell("conflict", "conflicts", begin=True)
    elif chance < 0.08:
        change(response_reference=None)
        checked = False
    elif chance < 0.09:
        change(method="PUT", response_reference="ord_1")
        checked = False
    elif chance < 0.11:
        change(status=Status.REJECTED)
        counts["rejected"] += 1
        succeeded = False
        if luck.random() < 0.5:
            tell("refused_again", begin=True)
    elif chance < 0.113:
        change(status=Status.UNKNOWN, attempts=3, window_seconds=luck.choice((86_400.0, 30 * 86_400.0)))
        counts.update(("open_unknowns", "retried"))
        counts["attempts"] += 2
        tell("budget_stop" if luck.random() < 0.3 else "unknown")
        counts["budget_stops"] += events[-1].kind == "budget_stop"
        truth.is_open(name, "unknown", row)
        succeeded = False
    elif chance < 0.115:
        change(status=Status.NEEDS_REVIEW, reason="window_closed")
        counts.update(("review_backlog", "expired_key_blocks"))
        tell("expired_key")
        if luck.random() < 0.5:
            tell("server_conflict", "conflicts")
            tell("blocked", "blocked", begin=True)
        truth.is_open(name, "review", row)
        succeeded = False
    elif chance < 0.116:
        change(status=luck.choice((Status.PENDING, Status.ABANDONED)))
        tell("not_sent")
        succeeded = False
    elif chance < 0.117:
        change(status=Status.IN_FLIGHT, holder="h.0.gone", lease_expires_at=moment)
        counts["in_flight"] += 1
        succeeded = False
    counts["succeeded"] += succeeded
    if succeeded and checked:
        counts.update(("writes", "objects"))
        _doubled(truth, luck, name, row, events)
    counts["unchecked_writes"] += succeeded and not checked
    truth.stories.append(Story(row, events))


def _doubled(truth: Truth, luck: random.Random, name: str, row: Record, events: list[Event]) -> None:
    """Now and then the API did something twice."""
    chance = luck.random()
    if chance < 0.0002:  # a second object for this action
        events.append(Event(row.created_at, SECOND_EFFECT, f"reference {row.response_reference}-again"))
        truth.counts[name]["writes"] += 1
        truth.groups += 1
    elif chance < 0.0004:  # another action for this object
        number = 10_000_000 + truth.groups
        twin = make(number, row.created_at, name, response_reference=row.response_reference)
        truth.stories.append(Story(twin))
        truth.counts[name].update(("actions", "begins", "succeeded", "attempts", "writes"))
        truth.groups += 1
