"""The verbs of the SQLite stores, but for the waiting: what to run in a transaction, and what its outcome means.

`SQLiteStore` performs a plan on the calling thread, `AsyncSQLiteStore` on an event loop.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from samekey._core.model import Event, Record
from samekey._core.states import UNSETTLED, Status
from samekey._core.verbs import (
    Claim,
    Claimed,
    DuplicateFound,
    Existing,
    Renewal,
    Renewed,
    Resolution,
    Resolved,
    ScopeNamesDiffer,
    Settled,
    Settlement,
)
from samekey.stores import _sql
from samekey.stores._codec import decode, moment
from samekey.stores._connection import Connection
from samekey.stores._desk import purge_rows, resolve_rows
from samekey.stores._errors import NOT_RECORDED, NOTHING_SENT
from samekey.stores._holders import Holder
from samekey.stores._running import Running, Task
from samekey.stores._transactions import (
    Found,
    claim_at_once,
    claim_row,
    find_rows,
    is_plain,
    renew_row,
    settle_at_once,
    settle_rows,
    take_back_claim,
    write_event,
)

FIRST_LOOK: Final = 0.005
SLOWEST_LOOK: Final = 0.25
"""Seconds between two looks at what another process does; doubled from the first to the slowest."""

ROW_PAGES: Final = 4
"""Pages of log that a commit takes beside its body."""
_PAGE: Final = 4096

T = TypeVar("T")


def nothing() -> None:
    """What there is to do where nothing is."""


class Plan(Generic[T]):
    """A verb that writes.

    Attributes:
        work: what to run in a transaction; what it returns is the verb's answer, but for `Found`.
        at_once: the usual case of `work` in one statement, which SQLite begins and commits itself: what it answers. None, also
            as an answer: it is another case, and nothing was written.
        take_back: undoes what was committed, if it was. Given where others may see that before it is on the disk.
        meanwhile: what may be done when `at_once` has committed and the disk is at work; None for nothing.
        full: whether the commit must survive a power loss.
        so: what a failure means for the caller, for the message.
        pages: how many pages of log it takes.
        erased: whether something is erased by it that is still in the log.
        undo: to be called if it failed or was interrupted, any number of times.
        done: to be called if it did not find another row.
    """

    __slots__ = ("at_once", "done", "erased", "full", "meanwhile", "pages", "so", "take_back", "undo", "work")

    def __init__(
        self,
        work: Callable[[Connection], T | Found],
        *,
        full: bool,
        at_once: Callable[[Connection], T | None] | None = None,
        take_back: Callable[[Connection], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
        so: str = NOT_RECORDED,
        pages: int = ROW_PAGES,
        erased: bool = True,
        undo: Callable[[], None] = nothing,
        done: Callable[[], None] = nothing,
    ) -> None:
        self.work = work
        self.at_once = at_once
        self.take_back = take_back
        self.meanwhile = meanwhile
        self.full = full
        self.so = so
        self.pages = pages
        self.erased = erased
        self.undo = undo
        self.done = done


def claiming(
    running: Running, known_names: dict[str, tuple[str, ...]], claim: Claim
) -> Plan[Claimed | DuplicateFound | ScopeNamesDiffer]:
    """See `Store.claim`."""
    record = claim.record
    return Plan(
        partial(claim_row, running, known_names, claim),
        full=True,
        at_once=partial(claim_at_once, running, known_names, claim),
        take_back=partial(take_back_claim, claim) if is_plain(claim) else None,
        meanwhile=claim.meanwhile,
        so=NOTHING_SENT,
        pages=_pages(record.frozen_request),
        erased=False,
        undo=partial(running.withdraw, task_of(record), record.claim_nonce),
    )


def renewing(running: Running, renewal: Renewal) -> Plan[Renewed]:
    """See `Store.renew`."""
    expect = renewal.expect
    task = (renewal.identity, expect.generation, renewal.new_fence)
    takes_over = renewal.new_fence != expect.fence
    return Plan(
        partial(renew_row, running, renewal),
        full=True,
        so=NOTHING_SENT,
        pages=ROW_PAGES,
        erased=False,
        undo=partial(running.withdraw, task, renewal.nonce) if takes_over or running.row(task) is None else nothing,
        done=partial(running.end, (renewal.identity, expect.generation, expect.fence)) if takes_over else nothing,
    )


def settling(running: Running, settlement: Settlement) -> Plan[Settled | None]:
    """See `Store.settle`."""
    task = (settlement.identity, settlement.expect.generation, settlement.expect.fence)
    known = running.row(task)
    return Plan(
        partial(settle_rows, known, settlement),
        full=settlement.durable,
        at_once=partial(settle_at_once, known, settlement),
        pages=_pages(settlement.result.body if settlement.result is not None else None),
        done=partial(running.end, task),
    )


def resolving(is_running: Callable[[Record], bool], resolution: Resolution) -> Plan[Resolved | None]:
    """See `Store.resolve`."""
    return Plan(partial(resolve_rows, is_running, resolution), full=True)


def purging(at: datetime, limit: int) -> Plan[int]:
    """See `Store.purge`; how many pages it takes, is known afterwards."""
    return Plan(partial(purge_rows, at, limit), full=True)


def noting(record: Record, event: Event) -> Plan[None]:
    """See `Store.note`."""

    def work(connection: Connection) -> None:
        write_event(connection, record, event)
        connection.execute(_sql.SEEN, (event.at.timestamp(), record.idempotency_key))

    return Plan(work, full=False, pages=0, erased=False)


def _pages(body: bytes | None) -> int:
    return ROW_PAGES + (len(body) // _PAGE if body else 0)


# --- reading -------------------------------------------------------------------------------------------------


def get_row(identity: str, connection: Connection) -> Found | None:
    """The highest generation of an identity."""
    row = connection.execute(_sql.HIGHEST, (identity,)).fetchone()
    return None if row is None else Found.of(connection, decode(row), identity)


def get_events(idempotency_key: str, connection: Connection) -> list[Event]:
    """The timeline of one generation, oldest first."""
    rows = connection.execute(_sql.EVENTS, (idempotency_key,)).fetchall()
    return [Event(moment(at), kind, detail) for at, kind, detail in rows]


def is_unchanged(record: Record, connection: Connection) -> bool:
    """Whether the row is still the same."""
    row = connection.execute(_sql.VERSION_OF, (record.identity,)).fetchone()
    return row is not None and tuple(row) == (record.generation, record.fence, record.status.value)


def finding(
    *,
    key_prefix: str | None,
    statuses: Collection[Status] | None,
    operation_name: str | None,
    actor_id: str | None,
    origin: str | None,
    newest_first: bool,
    limit: int | None,
) -> Callable[[Connection], list[Record]]:
    """See `Store.find`."""
    way = "key" if key_prefix else "unsettled" if statuses is not None and UNSETTLED.issuperset(statuses) else "all"
    start, end = (key_prefix, key_prefix + "\U0010ffff") if key_prefix else (None, None)
    wanted = None if statuses is None else f",{','.join(status.value for status in statuses)},"
    parameters: tuple[Any, ...] = (
        start,
        end,
        wanted,
        operation_name,
        actor_id,
        origin,
        -1 if limit is None else limit,
    )
    return partial(find_rows, _sql.FIND[way, newest_first], parameters)


# --- whose a row is ------------------------------------------------------------------------------------------


def task_of(record: Record) -> Task:
    """The task that holds a record."""
    return record.identity, record.generation, record.fence


def existing_here(found: Found, me: Holder) -> Existing | None:
    """What is known of a row without a look at another process; None if one holds it."""
    record = found.record
    if record.holder is None or record.settled:
        return Existing(record, high_water=found.high_water)
    if record.holder != me.name:
        return None
    own = task_of(record) in me.running
    return Existing(record, alive=own, own=own, high_water=found.high_water)


def is_running(me: Holder, record: Record) -> bool:
    """Whether the task that holds the record is known to be at work; of other boots and hosts only the lease tells."""
    if record.holder == me.name:
        return task_of(record) in me.running
    return record.holder is not None and me.is_running(record.holder)
