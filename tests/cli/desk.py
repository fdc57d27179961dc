"""Stores with actions in any state, as old as a test wants them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from samekey._core.model import Record
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed
from samekey.cli.app import app
from samekey.stores import SQLiteStore
from tests.stores.builders import record, settlement

if TYPE_CHECKING:
    from typer.testing import Result

DAY = 86_400.0
runner = CliRunner()

MOVES = {
    Status.UNKNOWN: Move.NO_ANSWER,
    Status.NEEDS_REVIEW: Move.STOP,
    Status.REJECTED: Move.REFUSAL,
    Status.SUCCEEDED: Move.SUCCESS,
    Status.PENDING: Move.NOT_SENT,
}


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def put(
    store: SQLiteStore,
    name: str,
    status: Status = Status.NEEDS_REVIEW,
    *,
    age: float = 3600.0,
    reason: str | None = "server_error",
    expires: float | None = None,
    **changes: Any,
) -> Record:
    """An action that was first sent `age` seconds ago, under a lease of a minute."""
    sent = ago(age)
    facts: dict[str, Any] = {
        "created_at": sent,
        "last_seen_at": sent,
        "first_sent_at": sent,
        "lease_expires_at": sent + timedelta(seconds=60),
        "boot_id": None,
        "idempotency_key": f"{abs(hash(name)) % 16**8:08x}-{name}",
    }
    answer = store.claim(Claim(record(store, name, **(facts | changes))))
    assert isinstance(answer, Claimed)
    row = answer.record
    if status is Status.IN_FLIGHT:
        store.release(row.identity, row.generation, row.fence)
        return row
    expiry = None if expires is None else ago(-expires)
    told = reason if status in {Status.NEEDS_REVIEW, Status.UNKNOWN} else None
    store.settle(
        settlement(
            row,
            MOVES[status],
            at=sent + timedelta(seconds=30),
            reason=told,
            expires_at=expiry,
            error_summary="no answer within 30 s",
            open_attempts=row.open_attempts,
        )
    )
    (settled,) = store.find(key_prefix=row.idempotency_key)
    return settled


def run(command: str, *arguments: str, code: int = 0) -> Result:
    result = runner.invoke(app, [command, *arguments])
    assert result.exit_code == code, result.output
    return result


def decide(store: SQLiteStore, row: Record, *arguments: str, code: int = 0, by: str = "ada", **options: str) -> Result:
    """`samekey resolve`, by somebody who was shown this row."""
    given = {"note": "looked at the shop", "seen": row.version} | options
    flags = [text for name, value in given.items() for text in (f"--{name}", value)]
    where = ("--store", store.location, "--by", by)
    return run("resolve", row.idempotency_key, *arguments, *flags, *where, code=code)


def now(store: SQLiteStore, row: Record) -> Record:
    (found,) = store.find(key_prefix=row.idempotency_key)
    return found


def decisions(store: SQLiteStore, row: Record) -> list[tuple[str, dict[str, Any]]]:
    return [
        (event.kind, json.loads(event.detail))
        for event in store.events(row.idempotency_key)
        if event.kind.startswith("resolve")
    ]


@pytest.fixture
def desk(tmp_path: Any) -> Any:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    yield store
    store.close()
