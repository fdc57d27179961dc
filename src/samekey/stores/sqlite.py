"""The default store: one SQLite file on a local disk, shared by the processes of one machine."""

import time
import weakref
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from os import PathLike
from typing import Final

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
from samekey.errors import StoreError
from samekey.stores import _rows, _sql
from samekey.stores._codec import decode, encode, moment
from samekey.stores._connection import Connect, Connection, connect
from samekey.stores._desk import Rewritten, purge_rows, resolve_rows, rewrite_rows
from samekey.stores._doctor import Check, examine
from samekey.stores._engine import Engine
from samekey.stores._errors import NOT_RECORDED, from_os
from samekey.stores._files import Files
from samekey.stores._fork import forget_in_child
from samekey.stores._holders import Holder, holders
from samekey.stores._transactions import Found, claim_row, find_rows, settle_rows, write_event

FIRST_LOOK: Final = 0.005
SLOWEST_LOOK: Final = 0.25
"""Seconds between two looks at what another process does; doubled from the first to the slowest."""

_PAGE: Final = 4096
_ROW_PAGES: Final = 4
"""Pages of log that a commit takes beside its body."""


class SQLiteStore:
    """Keeps records in one SQLite file. Safe for threads, processes and forks on one machine.

    Args:
        path: the file; it and its directory are made, private, if they are missing.
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
    """

    def __init__(
        self, path: str | PathLike[str], *, lease: timedelta | None = None, _connect: Connect = connect
    ) -> None:
        self._files = Files.of(path)
        self._lease = lease
        self._engine = Engine(self._files, _connect)
        self._holder: Holder | None = None
        forget_in_child(self)
        # A script that forgets close() leaves no payload behind either.
        weakref.finalize(self, self._engine.close_at_last)

    def __repr__(self) -> str:
        """Shows the path."""
        return f"<SQLiteStore {self.location!r}>"

    def after_fork(self) -> None:
        """The child is another process and takes a holder of its own."""
        self._holder = None

    # --- facts -----------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """The file's full path."""
        return self._files.shown

    @property
    def claim_durable(self) -> bool:
        """True: a claim is on disk before it is acknowledged."""
        return True

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._lease

    @property
    def holder(self) -> str:
        """Names this process; opens the store if need be."""
        return (self._holder or self._me()).name

    def _me(self) -> Holder:
        holder = self._holder
        if holder is None:
            self._engine.ensure_open()
            try:
                holder = self._holder = holders.of(self._files)
            except OSError as error:
                raise from_os(error, self.location) from error
        return holder

    def secret(self, given: bytes | None) -> bytes:
        """Opens the store, makes it on first use, and returns its secret. See `Store.secret`."""
        return self._engine.secret(given)

    # --- verbs -----------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim, durably. See `Store.claim`."""
        running = (self._holder or self._me()).running
        record = claim.record
        task = (record.identity, record.generation, record.fence)
        try:
            answer = self._engine.write(partial(claim_row, running, self._engine.scope_names, claim), full=True)
        except BaseException:
            running.end(task)
            raise
        frozen = record.frozen_request
        self._engine.keeper.note(_ROW_PAGES + (len(frozen) // _PAGE if frozen else 0), erased=False)
        return self._existing(answer) if isinstance(answer, Found) else answer

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made. See `Store.renew`."""
        running = self._me().running
        expect = renewal.expect
        task = (renewal.identity, expect.generation, renewal.new_fence)
        before = running.row(task)

        def work(connection: Connection) -> Renewed | Found:
            row = connection.execute(_sql.HIGHEST, (renewal.identity,)).fetchone()
            record = decode(row) if row is not None else None
            if record is not None and _rows.is_same_renewal(record, renewal):
                running.begin(record)
                return Renewed(record)
            if record is None or not _rows.matches(record, expect, renewal.holder):
                return Found.of(connection, record, renewal.identity)
            new = _rows.renewed(record, renewal)
            connection.execute(_sql.REWRITE, encode(new))
            if renewal.event is not None:
                write_event(connection, new, renewal.event)
            running.begin(new)
            return Renewed(new)

        try:
            answer = self._engine.write(work, full=True)
        except BaseException:
            if before is None:
                running.end(task)
            raise
        if isinstance(answer, Found):
            return self._existing(answer)
        if renewal.new_fence != expect.fence:
            running.end((renewal.identity, expect.generation, expect.fence))
        return answer

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        running = (self._holder or self._me()).running
        task = (settlement.identity, settlement.expect.generation, settlement.expect.fence)
        known = running.row(task)
        answer = self._engine.write(partial(settle_rows, known, settlement), full=settlement.durable, so=NOT_RECORDED)
        body = settlement.result.body if settlement.result is not None else None
        self._engine.keeper.note(_ROW_PAGES + (len(body) // _PAGE if body else 0), erased=True)
        if isinstance(answer, Found):
            return self._existing(answer)
        running.end(task)
        return answer

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably. See `Store.resolve`."""
        self._me()  # which opens the store, and a transaction cannot
        answer = self._engine.write(partial(resolve_rows, self._is_running, resolution), full=True, so=NOT_RECORDED)
        self._engine.keeper.note(_ROW_PAGES, erased=True)
        return self._existing(answer) if isinstance(answer, Found) else answer

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        count = self._engine.write(partial(purge_rows, at, limit), full=True, so=NOT_RECORDED)
        self._engine.keeper.note(_ROW_PAGES * count, erased=True)
        return count

    def rewrite(self, change: Callable[[Record], Record], *, after: int, limit: int) -> Rewritten:
        """Writes up to `limit` records behind row `after` anew that have a request or an answer, for `samekey reencrypt`."""
        done = self._engine.write(partial(rewrite_rows, change, after, limit), full=True, so=NOT_RECORDED)
        self._engine.keeper.note(_ROW_PAGES * done.changed, erased=True)
        return done

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""

        def work(connection: Connection) -> Found | None:
            row = connection.execute(_sql.HIGHEST, (identity,)).fetchone()
            return None if row is None else Found.of(connection, decode(row), identity)

        found = self._engine.read(work)
        return None if found is None else self._existing(found)

    def find(
        self,
        *,
        key_prefix: str | None = None,
        statuses: Collection[Status] | None = None,
        operation_name: str | None = None,
        actor_id: str | None = None,
        origin: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        """Records that match all that is given, oldest first unless told otherwise."""
        way = "key" if key_prefix else "unsettled" if statuses is not None and UNSETTLED.issuperset(statuses) else "all"
        start, end = (key_prefix, key_prefix + "\U0010ffff") if key_prefix else (None, None)
        wanted = None if statuses is None else f",{','.join(status.value for status in statuses)},"
        parameters = (start, end, wanted, operation_name, actor_id, origin, -1 if limit is None else limit)
        return self._engine.read(partial(find_rows, _sql.FIND[way, newest_first], parameters))

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        rows = self._engine.read(lambda connection: connection.execute(_sql.EVENTS, (idempotency_key,)).fetchall())
        return [Event(moment(at), kind, detail) for at, kind, detail in rows]

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""

        def work(connection: Connection) -> None:
            write_event(connection, record, event)
            connection.execute(_sql.SEEN, (record.idempotency_key, event.at.timestamp()))

        self._engine.write(work, full=False, so=NOT_RECORDED)

    # --- waiting ---------------------------------------------------------------------------------------------

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record = existing.record
        me = self._me()
        if record.holder == me.name:
            me.running.wait((record.identity, record.generation, record.fence), seconds)
            return
        until = time.monotonic() + seconds
        pause = FIRST_LOOK
        while self._unchanged(record) and (left := until - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * 2, SLOWEST_LOOK)

    def _unchanged(self, record: Record) -> bool:
        """Whether the row is still the same and its holder may still work on it."""
        if record.holder is None or not self._me().is_alive(record.holder):
            return False
        row = self._engine.read(lambda connection: connection.execute(_sql.VERSION_OF, (record.identity,)).fetchone())
        return row is not None and tuple(row) == (record.generation, record.fence, record.status.value)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        if self._holder is not None:
            self._holder.running.end((identity, generation, fence))

    def _existing(self, found: Found) -> Existing:
        record = found.record
        if record.holder is None or record.settled:
            return Existing(record, high_water=found.high_water)
        me = self._me()
        if record.holder == me.name:
            own = (record.identity, record.generation, record.fence) in me.running
            return Existing(record, alive=own, own=own, high_water=found.high_water)
        return Existing(record, alive=me.is_alive(record.holder), high_water=found.high_water)

    def _is_running(self, record: Record) -> bool:
        """Whether the task that holds the record is known to be at work; of other boots and hosts only the lease tells."""
        me = self._me()
        if record.holder == me.name:
            return (record.identity, record.generation, record.fence) in me.running
        return record.holder is not None and me.is_running(record.holder)

    # --- the end ---------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Erases from the files what was erased from the rows, and what killed processes left."""
        self._engine.empty_log()
        self._me().sweep()

    def examine(self, now: datetime) -> list[Check]:
        """Looks whether the store is well, for `samekey doctor`; repairs nothing."""
        try:
            holder = self._me()
        except StoreError:
            holder = None  # and the reading tells why
        return list(examine(self._files, self._engine, holder, now))

    def close(self) -> None:
        """Tidies and lets go of files and connections; a later verb opens them again."""
        self._engine.close()
