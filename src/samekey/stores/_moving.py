"""The transactions of the SQLite store with which records move from one store to another."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from samekey._core.model import Event, Record
from samekey.stores import _sql
from samekey.stores._codec import decode, encode, moment, names_text
from samekey.stores._connection import Connection
from samekey.stores._contract import Adopted, Entry
from samekey.stores._transactions import write_event

PAGE: Final = 200
"""Records that are read at once."""


def known_operations(connection: Connection) -> dict[str, tuple[str, ...]]:
    """The scope names of each operation."""
    return {name: tuple(json.loads(names)) for name, names in connection.execute(_sql.OPERATIONS).fetchall()}


def export_rows(last: int, connection: Connection) -> list[tuple[int, Entry]]:
    """Some records after one, each with its place in the order of all."""
    rows = connection.execute(_sql.AFTER, (last, PAGE)).fetchall()
    records = [(int(row[0]), decode(row[1:])) for row in rows]
    return [(place, Entry(record, _events(connection, record))) for place, record in records]


def _events(connection: Connection, record: Record) -> tuple[Event, ...]:
    rows = connection.execute(_sql.EVENTS, (record.idempotency_key,)).fetchall()
    return tuple(Event(moment(at), kind, detail) for at, kind, detail in rows)


def adopt_rows(operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry], connection: Connection) -> Adopted:
    """Writes what is not there yet."""
    known = known_operations(connection)
    for name, names in operations.items():
        if name not in known:
            connection.execute(_sql.ADD_OPERATION, (name, names_text(names)))
    written = 0
    conflicts: list[Record] = []
    for entry in entries:
        record = entry.record
        found = connection.execute(_sql.SAME, (record.identity, record.generation, record.idempotency_key)).fetchall()
        if not found:
            connection.execute(_sql.INSERT, encode(record))
            for event in entry.events:
                write_event(connection, record, event)
            written += 1
        elif [decode(row) for row in found] != [record] or _events(connection, record) != entry.events:
            conflicts.append(record)
    return Adopted(written, tuple(conflicts))
