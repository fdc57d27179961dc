"""The bodies of the SQLite store's transactions."""

import json
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Self

from samekey._core.model import Event, Record
from samekey._core.values import fixed
from samekey._core.verbs import (
    Claim,
    Claimed,
    DuplicateFound,
    Renewal,
    Renewed,
    ScopeNamesDiffer,
    Settled,
    Settlement,
)
from samekey.stores import _rows, _sql
from samekey.stores._codec import decode, encode, encode_over, headers_text, mapping_text, moment, names_text
from samekey.stores._connection import Connection
from samekey.stores._running import Running


@fixed
class Found:
    """A row that was another than its caller thought; whether its holder lives is looked up after the transaction."""

    record: Record
    high_water: datetime | None

    @classmethod
    def of(cls, connection: Connection, record: Record | None, identity: str) -> Self:
        """The row with the latest time that the store has seen, which only unsettled rows need."""
        if record is None:
            raise LookupError(f"the store has no action {identity!r} to renew or settle")
        if record.settled:
            return cls(record, None)
        newest = connection.execute(_sql.NEWEST_TIME).fetchone()[0]
        return cls(record, max(moment(newest), record.last_seen_at))


def claim_row(
    running: Running, known_names: dict[str, tuple[str, ...]], claim: Claim, connection: Connection
) -> Claimed | DuplicateFound | ScopeNamesDiffer | Found:
    """Writes a claim if it may be written.

    Args:
        running: learns of the task before the commit, so that no other thread sees the row without it.
        known_names: the scope names of operations as they were read before.
        claim: what to write.
        connection: in a transaction.
    """
    record = claim.record
    names = known_names.get(record.operation_name) or _known_names(connection, known_names, record)
    if names is not None and not _rows.same_names(names, record.scope):
        return ScopeNamesDiffer(names)
    duplicate: Record | None = None
    if _is_first(claim):
        if connection.execute(_sql.CLAIM, encode(record)).rowcount != 1:
            return _claimed_before(running, claim, connection)
    else:
        row = connection.execute(_sql.HIGHEST, (record.identity,)).fetchone()
        if not _rows.may_claim(decode(row) if row is not None else None, claim):
            return _claimed_before(running, claim, connection)
        duplicate = _duplicate(connection, claim)
        if duplicate is not None and claim.refuse_duplicates:
            return DuplicateFound(duplicate)
        revived = claim.replaces is not None and claim.replaces.generation == record.generation
        if revived:
            connection.execute(_sql.REWRITE, encode_over(record))
        else:
            connection.execute(_sql.INSERT, encode(record))
    if names is None:
        connection.execute(_sql.ADD_OPERATION, (record.operation_name, names_text(tuple(record.scope))))
    if claim.event is not None:
        write_event(connection, record, claim.event)
    running.begin(record)
    return Claimed(record, duplicate)


def claim_at_once(
    running: Running, known_names: dict[str, tuple[str, ...]], claim: Claim, connection: Connection
) -> Claimed | None:
    """The usual claim in one statement, see `Plan.at_once`; the arguments are those of `claim_row`."""
    record = claim.record
    names = known_names.get(record.operation_name)
    if not is_plain(claim) or names is None or not _rows.same_names(names, record.scope):
        return None
    task = (record.identity, record.generation, record.fence)
    if task in running:
        return None
    running.begin(record)
    if connection.execute(_sql.CLAIM, encode(record)).rowcount == 1:
        return Claimed(record)
    running.end(task)
    return None


def take_back_claim(claim: Claim, connection: Connection) -> None:
    """Undoes the usual claim, if it was written."""
    record = claim.record
    connection.execute(_sql.TAKE_BACK, (record.identity, record.generation, record.claim_nonce))


def is_plain(claim: Claim) -> bool:
    """Whether all that it writes is a row of its own, and the name of its operation."""
    return _is_first(claim) and claim.event is None


def _is_first(claim: Claim) -> bool:
    """Whether it is written if there is no row of its identity, and that is all."""
    return claim.replaces is None and claim.duplicates_since is None and claim.record.generation == 1


def _claimed_before(running: Running, claim: Claim, connection: Connection) -> Claimed | Found:
    row = connection.execute(_sql.HIGHEST, (claim.record.identity,)).fetchone()
    if row is None:
        raise LookupError(f"the store has no action {claim.record.identity!r} to claim anew")
    record = decode(row)
    if _rows.is_same_claim(record, claim):
        running.begin(record)
        return Claimed(record)
    return Found.of(connection, record, record.identity)


def _known_names(
    connection: Connection, known_names: dict[str, tuple[str, ...]], record: Record
) -> tuple[str, ...] | None:
    row = connection.execute(_sql.SCOPE_NAMES, (record.operation_name,)).fetchone()
    if row is None:
        return None
    # Never changed, once they are committed.
    names = known_names[record.operation_name] = tuple(json.loads(row[0]))
    return names


def _duplicate(connection: Connection, claim: Claim) -> Record | None:
    if claim.duplicates_since is None:
        return None
    record = claim.record
    row = connection.execute(
        _sql.DUPLICATE,
        (
            record.operation_name,
            record.request_fingerprint,
            record.identity,
            claim.duplicates_since.timestamp(),
        ),
    ).fetchone()
    return None if row is None else decode(row)


def renew_row(running: Running, renewal: Renewal, connection: Connection) -> Renewed | Found:
    """Writes a further attempt if it may be made.

    Args:
        running: learns of the task before the commit, as in `claim_row`.
        renewal: what to write.
        connection: in a transaction.
    """
    row = connection.execute(_sql.HIGHEST, (renewal.identity,)).fetchone()
    record = decode(row) if row is not None else None
    if record is not None and _rows.is_same_renewal(record, renewal):
        running.begin(record)
        return Renewed(record)
    if record is None or not _rows.matches(record, renewal.expect, renewal.holder):
        return Found.of(connection, record, renewal.identity)
    new = _rows.renewed(record, renewal)
    connection.execute(_sql.REWRITE, encode_over(new))
    if renewal.event is not None:
        write_event(connection, new, renewal.event)
    running.begin(new)
    return Renewed(new)


_settled_values: Final = attrgetter(*_sql.SETTLED_FIELDS)
_TIMES: Final = tuple(
    _sql.SETTLED_FIELDS.index(name) for name in ("last_seen_at", "completed_at", "expires_at", "first_sent_at")
)
_STATUS: Final = _sql.SETTLED_FIELDS.index("status")
_DIGESTS: Final = _sql.SETTLED_FIELDS.index("field_digests")
_HEADERS: Final = _sql.SETTLED_FIELDS.index("response_headers")


def settle_rows(known: Record | None, settlement: Settlement, connection: Connection) -> Settled | Found | None:
    """Writes a settlement if it may be written.

    Args:
        known: the row as the task that settles it wrote it; if it still is so, one statement will do.
        settlement: what became of the action.
        connection: in a transaction.
    """
    settled = _settle_own(known, settlement, connection)
    if settled is not None:
        if settlement.event is not None:
            write_event(connection, settled.record, settlement.event)
        return settled
    generations = [decode(row) for row in connection.execute(_sql.GENERATIONS, (settlement.identity,)).fetchall()]
    verdict = _rows.settle(generations, settlement)
    for row in verdict.rows:
        connection.execute(_sql.REWRITE, encode_over(row))
    for row, event in verdict.events:
        write_event(connection, row, event)
    if verdict.answer is not None:
        return verdict.answer
    return Found.of(connection, generations[-1], settlement.identity) if generations else None


def settle_at_once(known: Record | None, settlement: Settlement, connection: Connection) -> Settled | None:
    """The usual settlement in one statement, see `Plan.at_once`; the arguments are those of `settle_rows`."""
    return None if settlement.event is not None else _settle_own(known, settlement, connection)


def _settle_own(known: Record | None, settlement: Settlement, connection: Connection) -> Settled | None:
    """Settles what still is as the task wrote it; else it writes nothing."""
    if known is None or not _rows.is_own(known, settlement):
        return None
    new = _rows.settled(known, settlement)
    return Settled(new) if _settle_known(connection, known, new) else None


def _settle_known(connection: Connection, known: Record, new: Record) -> bool:
    values: list[Any] = list(_settled_values(new))
    for index in _TIMES:
        time = values[index]
        if time is not None:
            values[index] = time.timestamp()
    values[_STATUS] = new.status._value_
    values[_DIGESTS] = mapping_text(new.field_digests)
    values[_HEADERS] = headers_text(new.response_headers)
    values += (
        known.identity,
        known.generation,
        known.fence,
        known.status._value_,
        known.holder,
        known.claim_nonce,
    )
    return connection.execute(_sql.SETTLE, values).rowcount == 1


def write_event(connection: Connection, record: Record, event: Event) -> None:
    """Adds a line to a generation's timeline."""
    connection.execute(
        _sql.ADD_EVENT, (record.idempotency_key, event.at.timestamp(), event.kind, _rows.clean(event.detail))
    )


def find_rows(text: str, parameters: Sequence[Any], connection: Connection) -> list[Record]:
    """Runs one of the statements of `find`."""
    return [decode(row) for row in connection.execute(text, parameters).fetchall()]
