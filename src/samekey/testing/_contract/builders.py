"""Short ways to the values that stores are asked with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from samekey._core.model import Event, Record, Result
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Expect, Renewal, Resolution, Settlement

if TYPE_CHECKING:
    from samekey.stores import Store

T0 = datetime(2026, 11, 24, 5, 10, 0, 123456, tzinfo=UTC)
BODY = b'{"card":"4242-4242-4242-4242","total":"19.99"}'
ANSWER = Result(201, (("content-type", "application/json"),), b'{"id":"ord_9"}', "ord_9")
LATER = 61
"""Seconds after which the lease of `record` is over."""


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def record(store: Store, name: str = "c-9", **changes: Any) -> Record:
    """A row as a first claim writes it, with something in every field that a claim can fill."""
    generation = changes.get("generation", 1)
    row = Record(
        idempotency_key=f"key-{name}-{generation}",
        identity=f"identity-{name}",
        actor_id="default",
        operation_name="create_order",
        scope={"customer": "42", "cart": name},
        generation=1,
        request_fingerprint=f"1:{name}",
        status=Status.IN_FLIGHT,
        created_at=T0,
        last_seen_at=T0,
        method="POST",
        url="https://api.shop.example/orders?q=…",
        origin="https://api.shop.example:443",
        provider="stripe-v1",
        attempts=1,
        fence=1,
        open_attempts=1,
        correlation_id="run-é",
        field_digests={"/total": "00aa", "/ä": "11bb"},
        frozen_request=BODY,
        window_seconds=86_400.0,
        first_sent_at=T0,
        holder=store.holder,
        lease_expires_at=at(60),
        boot_id="boot",
        boot_time=12.5,
        credential_digest="cc",
        trace_context="00-trace",
        volatile=("/sent_at",),
        claim_nonce=f"nonce-{name}-{generation}",
        guarded=True,
    )
    return replace(row, **changes)


def seen(row: Record) -> Expect:
    return Expect(row.generation, row.fence, row.status)


def settlement(row: Record, move: Move = Move.SUCCESS, **changes: Any) -> Settlement:
    """What the task that wrote `row` settles it with."""
    asked = Settlement(
        identity=row.identity,
        expect=seen(row),
        holder=row.holder,
        nonce=row.claim_nonce,
        move=move,
        at=at(1),
        durable=False,
        result=ANSWER if move is Move.SUCCESS else None,
        expires_at=at(86_400) if move in {Move.SUCCESS, Move.REFUSAL} else None,
    )
    return replace(asked, **changes)


def renewal(row: Record, store: Store, **changes: Any) -> Renewal:
    """A take-over of `row` by this process."""
    asked = Renewal(
        identity=row.identity,
        expect=seen(row),
        holder=row.holder,
        new_holder=store.holder,
        new_fence=row.fence + 1,
        lease_expires_at=at(120),
        open_attempts=2,
        at=at(30),
        nonce="nonce-of-renewal",
        event=Event(at(30), "recovery", "attempt 2"),
    )
    return replace(asked, **changes)


def resolution(row: Record, move: Move = Move.SUCCESS, **changes: Any) -> Resolution:
    """What Ada decides about `row`."""
    asked = Resolution(
        identity=row.identity,
        expect=seen(row),
        move=move,
        at=at(LATER),
        nonce="nonce-of-ada",
        event=Event(at(LATER), "resolved", "ada"),
        refused=Event(at(LATER), "resolve_refused", "ada"),
        reference="ord_9" if move is Move.SUCCESS else None,
    )
    return replace(asked, **changes)


def claimed(store: Store, name: str = "c-9", **changes: Any) -> Record:
    """Claims and returns the row."""
    answer = store.claim(Claim(record(store, name, **changes)))
    assert isinstance(answer, Claimed)
    return answer.record


def done(store: Store, name: str = "c-9", move: Move = Move.SUCCESS, **changes: Any) -> Record:
    """Claims, settles, and returns the row as stored."""
    row = claimed(store, name)
    store.settle(settlement(row, move, **changes))
    return stored(store, name)


def stored(store: Store, name: str = "c-9") -> Record:
    existing = store.get(f"identity-{name}")
    assert existing is not None
    return existing.record
