"""Records and timelines of every kind, made up by chance, and put into a store as fast as it can take them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from samekey._core.model import Event, Record
from samekey._core.states import UNSETTLED, Status
from samekey._core.tally import CLOSED, SECOND_EFFECT, told_reference
from samekey.stores import MemoryStore, SQLiteStore, _sql
from samekey.stores._codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

T0 = datetime(2026, 11, 1, tzinfo=UTC)
SCOPE = {"customer": "SCOPE-VALUE", "cart": "SCOPE-VALUE-TOO"}
OPERATIONS = ("create_order", "pay_invoice", "ship_parcel")
KINDS = (
    "retry", "replay", "refused_again", "conflict", "recovery", "server_conflict", "credential_changed", "blocked", "look_up", "found",
    "review", "new_generation", "not_sent", "unknown", "budget_stop", "server_replay", "awaited", "in_progress",
    "duplicate", "expired_key", "contract_changed",
)  # fmt: skip


@dataclass
class Story:
    """One generation with its timeline."""

    record: Record
    events: list[Event] = field(default_factory=list)


def key(number: int) -> str:
    return f"{number * 2654435761 % 2**32:08x}-0000-4000-8000-{number:012x}"


def make(number: int, moment: datetime, operation: str = OPERATIONS[0], **changes: object) -> Record:
    """A made order, as the store has it once it is settled."""
    status = changes.get("status", Status.SUCCEEDED)
    done = status is Status.SUCCEEDED
    facts: dict[str, Any] = {
        "idempotency_key": key(number),
        "identity": f"{number:064x}",
        "actor_id": "default",
        "operation_name": operation,
        "scope": SCOPE,
        "generation": 1,
        "request_fingerprint": "1:fingerprint",
        "status": Status.SUCCEEDED,
        "created_at": moment,
        "last_seen_at": moment,
        "method": "POST",
        "url": "https://api.shop.example/orders",
        "origin": "https://api.shop.example:443",
        "provider": "stripe-v1",
        "attempts": 1,
        "fence": 1,
        "open_attempts": 0,
        "response_reference": f"ord_{number}" if done else None,
        "window_seconds": 86_400.0,
        "first_sent_at": moment,
        "completed_at": None if status in UNSETTLED else moment,
        "claim_nonce": "nonce",
    }
    return Record(**(facts | changes))


def by_chance(luck: random.Random, count: int) -> list[Story]:
    """Records of every state with events of every kind; few references and identities, so that they meet."""
    stories = []
    for number in range(count):
        moment = T0 + timedelta(hours=number, seconds=luck.random())
        row = make(
            number,
            moment,
            luck.choice(OPERATIONS),
            status=luck.choice(list(Status)),
            attempts=luck.choice((1, 1, 2, 3)),
        )
        if luck.random() < 0.3 and number:
            row = replace(row, identity=f"{luck.randrange(number):064x}", generation=number + 1)
        if luck.random() < 0.5:
            row = replace(row, response_reference=luck.choice(("", "ord_1", "ord_2", "ord_3", None)))
        row = replace(row, method=luck.choice(("POST", "POST", "POST", "PUT", "")))
        row = replace(row, window_seconds=luck.choice((None, 3600.0, 86_400.0)))
        events = [
            Event(moment + timedelta(hours=luck.randrange(48)), luck.choice(KINDS), "detail")
            for _ in range(luck.randrange(4))
        ]
        if luck.random() < 0.2:
            told = luck.choice((told_reference("ord_1"), told_reference("ord_9"), told_reference(""), "no reference"))
            events.append(Event(moment, luck.choice((CLOSED, SECOND_EFFECT)), told))
        stories.append(Story(row, events))
    return stories


def into_sqlite(store: SQLiteStore, stories: Iterable[Story]) -> None:
    """In one transaction: many times faster than the verbs, and the rows are theirs."""

    def work(connection: Any) -> None:
        rows, told = connection.executemany, list(stories)  # sqlite3's own
        rows(_sql.INSERT, [encode(story.record) for story in told])
        rows(
            _sql.ADD_EVENT,
            [
                (story.record.idempotency_key, event.at.timestamp(), event.kind, event.detail)
                for story in told
                for event in story.events
            ],
        )

    store.secret(None)
    store._engine.write(work, full=False)


def into_memory(store: MemoryStore, stories: Iterable[Story]) -> None:
    for story in stories:
        store._write(story.record)
        for event in story.events:
            store._add(story.record, event)
