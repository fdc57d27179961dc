"""The default store: one SQLite file on a local disk, shared by the processes of one machine."""

import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from os import PathLike
from typing import TypeVar

from samekey._core.model import Event, Record
from samekey._core.states import Status
from samekey._core.tally import Tally
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
from samekey.stores import _counting, _plans
from samekey.stores._connection import Connect, connect
from samekey.stores._contract import Adopted, Entry
from samekey.stores._desk import Rewritten, rewrite_rows
from samekey.stores._doctor import Check, examine
from samekey.stores._engine import Engine
from samekey.stores._errors import NOT_RECORDED, from_os
from samekey.stores._files import Files
from samekey.stores._fork import forget_in_child
from samekey.stores._holders import Holder, holders
from samekey.stores._moving import adopt_rows, export_rows, known_operations
from samekey.stores._plans import Plan
from samekey.stores._transactions import Found
from samekey.unpicklable import Unpicklable

T = TypeVar("T")


class SQLiteStore(Unpicklable):
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
        self._connect = _connect
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
        return self._perform(_plans.claiming((self._holder or self._me()).running, self._engine.scope_names, claim))

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made. See `Store.renew`."""
        return self._perform(_plans.renewing(self._me().running, renewal))

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        return self._perform(_plans.settling((self._holder or self._me()).running, settlement))

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably. See `Store.resolve`."""
        return self._perform(_plans.resolving(partial(_plans.is_running, self._me()), resolution))

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        plan = _plans.purging(at, limit)
        count = self._engine.write(plan.work, full=plan.full, so=plan.so)
        assert isinstance(count, int)
        self._engine.keeper.note(_plans.ROW_PAGES * count, erased=True)
        return count

    def rewrite(self, change: Callable[[Record], Record], *, after: int, limit: int) -> Rewritten:
        """Writes up to `limit` records behind row `after` anew that have a request or an answer, for `samekey reencrypt`."""
        done = self._engine.write(partial(rewrite_rows, change, after, limit), full=True, so=NOT_RECORDED)
        self._engine.keeper.note(_plans.ROW_PAGES * done.changed, erased=True)
        return done

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        found = self._engine.read(partial(_plans.get_row, identity))
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
        return self._engine.read(
            _plans.finding(
                key_prefix=key_prefix,
                statuses=statuses,
                operation_name=operation_name,
                actor_id=actor_id,
                origin=origin,
                newest_first=newest_first,
                limit=limit,
            )
        )

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return self._engine.read(partial(_plans.get_events, idempotency_key))

    def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        self._engine.ensure_open()
        return _counting.tally(self._files, self._connect, since, operation_name, stretch_seconds)

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        self._perform(_plans.noting(record, event))

    def _perform(self, plan: Plan[T]) -> T | Existing:
        try:
            answer = self._engine.write(
                plan.work,
                full=plan.full,
                so=plan.so,
                at_once=plan.at_once,
                take_back=plan.take_back,
                meanwhile=plan.meanwhile,
            )
        except BaseException:
            plan.undo()
            raise
        self._engine.keeper.note(plan.pages, erased=plan.erased)
        if isinstance(answer, Found):
            return self._existing(answer)
        plan.done()
        return answer

    # --- waiting ---------------------------------------------------------------------------------------------

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record = existing.record
        me = self._me()
        if record.holder == me.name:
            me.running.wait(_plans.task_of(record), seconds)
            return
        until = time.monotonic() + seconds
        pause = _plans.FIRST_LOOK
        while self._unchanged(record) and (left := until - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * 2, _plans.SLOWEST_LOOK)

    def _unchanged(self, record: Record) -> bool:
        """Whether the row is still the same and its holder may still work on it."""
        if record.holder is None or not self._me().is_alive(record.holder):
            return False
        return self._engine.read(partial(_plans.is_unchanged, record))

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        if self._holder is not None:
            self._holder.running.end((identity, generation, fence))

    def _existing(self, found: Found) -> Existing:
        me = self._me()
        existing = _plans.existing_here(found, me)
        if existing is not None:
            return existing
        record = found.record
        alive = record.holder is not None and me.is_alive(record.holder)
        return Existing(record, alive=alive, high_water=found.high_water)

    # --- moving ----------------------------------------------------------------------------------------------

    def operations(self) -> Mapping[str, tuple[str, ...]]:
        """The scope names of each operation."""
        return self._engine.read(known_operations)

    def export(self) -> Iterator[Entry]:
        """Every generation of every action, oldest first. See `Portable.export`."""
        last = 0
        while page := self._engine.read(partial(export_rows, last)):
            yield from (entry for _, entry in page)
            last = page[-1][0]

    def adopt(self, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Adopted:
        """Writes what is not there yet. See `Portable.adopt`."""
        adopted = self._engine.write(partial(adopt_rows, operations, entries), full=True, so=NOT_RECORDED)
        self._engine.keeper.note(_plans.ROW_PAGES * len(entries), erased=False)
        return adopted

    def adopt_secret(self, secret: bytes) -> None:
        """Opens the store; one that has no secret yet keeps this one. See `Portable.adopt_secret`."""
        self._engine.secret(secret, keep=True)

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
