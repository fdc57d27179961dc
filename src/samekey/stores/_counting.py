"""The SQLite store in numbers: what is small comes out, what is big stays in.

Rows are written in the order of their claims, so a point in time has its place among them: what is long before it is
not read. Clocks are set back now and then, hence the margin, and hence each row is asked for its own time too.
"""
# ruff: noqa: S608 - built from constants of this module alone

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from samekey._core.states import Status
from samekey._core.tally import CREATING, NAMES_A_REFERENCE, Effect, Left, Rows, Tally, objects, told_reference
from samekey.stores._codec import moment
from samekey.stores._connection import BUSY_TIMEOUT_MS, Connect, Connection, read_write
from samekey.stores._errors import from_sqlite
from samekey.stores._files import Files
from samekey.stores._sql import OPEN

_SET_BACK_SECONDS: Final = 7 * 86400.0
"""By how much a clock may have been set back without a record being missed."""

_ALWAYS: Final = float("-inf")

# The length of a stretch, NULL for none.
_STRETCH: Final = "coalesce(CAST({at} AS INTEGER) / ?, 0)"
# The first id, since when, the operation or NULL.
_SINCE: Final = "actions.id >= ? AND created_at >= ? AND operation_name = coalesce(?, operation_name)"
_DONE: Final = "status = 'succeeded'"
_NAMED: Final = f"method = '{CREATING}' AND response_reference <> ''"
_KINDS: Final = ", ".join(f"'{kind}'" for kind in NAMES_A_REFERENCE)
_MARK: Final = told_reference("")

ROWS: Final = f"""
SELECT operation_name, {_STRETCH.format(at="created_at")}, count(*), sum({_DONE}), sum(status = 'rejected'),
sum(attempts), sum(attempts > 1), sum(attempts > 1 AND {_DONE}), sum({_DONE} AND ({_NAMED}) IS NOT TRUE)
FROM actions WHERE {_SINCE} GROUP BY 1, 2
"""

EVENTS: Final = f"""
SELECT operation_name, {_STRETCH.format(at="at")}, kind, count(*)
FROM events CROSS JOIN actions USING (idempotency_key)
WHERE events.id >= ? AND at >= ? AND operation_name = coalesce(?, operation_name) GROUP BY 1, 2, 3
"""

# Beside a lone min(), SQLite takes other columns from the row that has it.
LEFT: Final = f"""
SELECT operation_name, status, count(*), min(coalesce(first_sent_at, created_at)), window_seconds
FROM actions WHERE {OPEN} AND operation_name = coalesce(?, operation_name) GROUP BY 1, 2
"""

_ONCE: Final = "MATERIALIZED" if sqlite3.sqlite_version_info >= (3, 35) else ""
"""Older ones do not know the word, and collect the pairs anew wherever they are named."""

# A pair that is alone with its action and with its object is only counted; the others come out, a repeated one too.
EFFECTS: Final = f"""
WITH pairs AS {_ONCE} (
    SELECT operation_name, origin, response_reference AS reference, identity, idempotency_key
    FROM actions WHERE {_SINCE} AND {_DONE} AND {_NAMED}
    UNION ALL
    SELECT operation_name, origin, substr(detail, {len(_MARK) + 1}), identity, idempotency_key
    FROM events CROSS JOIN actions USING (idempotency_key)
    WHERE kind IN ({_KINDS}) AND substr(detail, 1, {len(_MARK)}) = '{_MARK}' AND length(detail) > {len(_MARK)}
    AND method = '{CREATING}' AND {_SINCE}
)
SELECT count(*), operation_name, '', '', '', '' FROM pairs GROUP BY operation_name
UNION ALL
SELECT 0, * FROM pairs
WHERE identity IN (SELECT identity FROM pairs GROUP BY 1 HAVING count(*) > 1)
OR (operation_name, origin, reference) IN (
    SELECT operation_name, origin, reference FROM pairs GROUP BY 1, 2, 3 HAVING count(*) > 1
)
"""

_TABLES: Final = {"actions": "created_at", "events": "at"}
_NEXT: Final = {
    table: f"SELECT id, {time} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1" for table, time in _TABLES.items()
}
_LAST: Final = {table: f"SELECT max(id) FROM {table}" for table in _TABLES}


def tally(
    files: Files, connect: Connect, since: datetime | None, operation_name: str | None, stretch_seconds: int | None
) -> Tally:
    """Counts on a connection of its own, so that writers of this process need not wait for it.

    Raises:
        StoreUnavailableError: the store cannot be read now.
        StoreFormatError: it is damaged.
    """
    try:
        connection = connect(read_write(files.database))
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}").fetchall()
            connection.execute("BEGIN")  # one look: the numbers belong together
            return _count(connection, since, operation_name, stretch_seconds)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise from_sqlite(error, files.shown) from error


def _count(
    connection: Connection, since: datetime | None, operation_name: str | None, stretch_seconds: int | None
) -> Tally:
    at = _ALWAYS if since is None else since.timestamp()
    first = {table: 0 if since is None else _first(connection, table, at - _SET_BACK_SECONDS) for table in _TABLES}
    asked = (first["actions"], at, operation_name)
    rows = connection.execute(ROWS, (stretch_seconds, *asked)).fetchall()
    told = connection.execute(EVENTS, (stretch_seconds, first["events"], at, operation_name)).fetchall()
    left = connection.execute(LEFT, (operation_name,)).fetchall()
    writes, clashes = alone_or_not(connection.execute(EFFECTS, asked * 2).fetchall())
    return Tally(
        {(name, stretch): Rows(*counts) for name, stretch, *counts in rows},
        {(name, stretch, kind): count for name, stretch, kind, count in told},
        {(name, Status(status)): Left(count, moment(sent), window) for name, status, count, sent, window in left},
        writes,
        clashes,
    )


def alone_or_not(rows: Iterable[Any]) -> tuple[dict[str, int], tuple[Effect, ...]]:
    """How many pairs of an action and an object there are by operation, and those that are not alone.

    Args:
        rows: of `EFFECTS`.
    """
    rows = list(rows)
    writes = {name: count for count, name, *_ in rows if count}
    told = [Effect(*row) for count, *row in rows if not count]
    distinct = set(told)
    for effect in told:
        writes[effect.operation_name] -= 1
    for effect in distinct:
        writes[effect.operation_name] += 1
    return writes, tuple(sorted(effect for group in objects(distinct) if len(group) > 1 for effect in group))


def _first(connection: Connection, table: str, at: float) -> int:
    """The first id that may be of this time or later."""
    low, high = 0, (connection.execute(_LAST[table]).fetchone()[0] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        found: Any = connection.execute(_NEXT[table], (middle,)).fetchone()
        if found is None or found[1] >= at:
            high = middle
        else:
            low = found[0] + 1
    return low
