"""The transactions of the SQLite store that people start: decisions, purges, other encryption."""

from collections.abc import Callable
from datetime import datetime

from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import Resolution, Resolved
from samekey.stores import _rulings, _sql
from samekey.stores._codec import decode, encode_over
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
        connection.execute(_sql.REWRITE, encode_over(new))
    for new, event in verdict.events:
        write_event(connection, new, event)
    if verdict.answer is not None:
        return verdict.answer
    return Found.of(connection, generations[-1], resolution.identity) if generations else None


def purge_rows(at: datetime, limit: int, connection: Connection) -> int:
    """Turns records that are settled and expired into tombstones, and forgets their timelines."""
    due = [decode(row) for row in connection.execute(_sql.DUE, (at.timestamp(), limit)).fetchall()]
    for row in due:
        connection.execute(_sql.REWRITE, encode_over(_rulings.tombstone(row, at)))
        connection.execute(_sql.FORGET_EVENTS, (row.idempotency_key,))
        write_event(connection, row, Event(at, _rulings.PURGED))
    return len(due)


@fixed
class Rewritten:
    """How far a rewriting has come.

    Attributes:
        last: the id of the last row that was looked at; None at the end.
        changed: how many were written anew.
        busy: how many are in flight, and were left as they are.
    """

    last: int | None
    changed: int
    busy: int


def rewrite_rows(change: Callable[[Record], Record], after: int, limit: int, connection: Connection) -> Rewritten:
    """Writes the next records anew that have a request or an answer. What is in flight belongs to its process."""
    rows = connection.execute(_sql.CONTENTS, (after, limit)).fetchall()
    written = busy = 0
    for _, *columns in rows:
        record = decode(columns)
        if (new := change(record)) is record:
            continue
        if record.status is Status.IN_FLIGHT:
            busy += 1
            continue
        connection.execute(_sql.REWRITE, encode_over(new))
        written += 1
    return Rewritten(rows[-1][0] if rows else None, written, busy)
