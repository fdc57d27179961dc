"""The transactions of the SQLite store that people start: decisions and purges."""

from collections.abc import Callable
from datetime import datetime

from samekey._core.model import Event, Record
from samekey._core.verbs import Resolution, Resolved
from samekey.stores import _rulings, _sql
from samekey.stores._codec import decode, encode
from samekey.stores._connection import Connection
from samekey.stores._transactions import Found, write_event


def resolve_rows(
    is_running: Callable[[Record], bool], resolution: Resolution, connection: Connection
) -> Resolved | Found | None:
    """Writes a decision if it may be written, and in any case that it was made.

    Args:
        is_running: whether a record's holder is known to be at work.
        resolution: what a person decided.
        connection: in a transaction.
    """
    generations = [decode(row) for row in connection.execute(_sql.GENERATIONS, (resolution.identity,)).fetchall()]
    row = next((row for row in generations if row.generation == resolution.expect.generation), None)
    verdict = _rulings.resolve(generations, resolution, alive=row is not None and is_running(row))
    for new in verdict.rows:
        connection.execute(_sql.REWRITE, encode(new))
    for new, event in verdict.events:
        write_event(connection, new, event)
    if verdict.answer is not None:
        return verdict.answer
    return Found.of(connection, generations[-1], resolution.identity) if generations else None


def purge_rows(at: datetime, limit: int, connection: Connection) -> int:
    """Turns records that are settled and expired into tombstones, and forgets their timelines."""
    due = [decode(row) for row in connection.execute(_sql.DUE, (at.timestamp(), limit)).fetchall()]
    for row in due:
        connection.execute(_sql.REWRITE, encode(_rulings.tombstone(row, at)))
        connection.execute(_sql.FORGET_EVENTS, (row.idempotency_key,))
        write_event(connection, row, Event(at, _rulings.PURGED))
    return len(due)
