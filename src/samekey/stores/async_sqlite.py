"""The default store for event loops: the same SQLite file as `SQLiteStore`'s, without a verb that blocks."""

import time
import weakref
from collections.abc import Collection
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
from samekey.errors import UsageError
from samekey.stores import _counting, _loops, _plans
from samekey.stores._async_engine import AsyncEngine
from samekey.stores._connection import Connect, connect
from samekey.stores._errors import from_os
from samekey.stores._files import Files
from samekey.stores._fork import forget_in_child
from samekey.stores._holders import Holder, holders
from samekey.stores._plans import Plan
from samekey.stores._transactions import Found
from samekey.unpicklable import Unpicklable

T = TypeVar("T")


class AsyncSQLiteStore(Unpicklable):
    """Keeps records in one SQLite file, for asyncio and trio. Safe for tasks, processes and forks on one machine.

    Tasks that write at the same time share a commit, and no commit that waits for the disk is made on the event loop.
    A `SQLiteStore` may use the same file at the same time, also in the same process.

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
        self._engine = AsyncEngine(self._files, _connect)
        self._holder: Holder | None = None
        self._known = False
        forget_in_child(self)
        # A script that forgets aclose() leaves no payload behind either.
        weakref.finalize(self, self._engine.close_at_last)

    def __repr__(self) -> str:
        """Shows the path."""
        return f"<AsyncSQLiteStore {self.location!r}>"

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
        """Names this process, once the store was opened by a verb, or by the parent of this process.

        Raises:
            UsageError: nothing was awaited of this store yet.
        """
        if self._holder is None and not self._known:
            raise UsageError(f"the store {self.location} is not open yet; await its secret() first.")
        return (self._holder or self._take_holder()).name

    def _take_holder(self) -> Holder:
        try:
            holder = holders.of(self._files)
        except OSError as error:
            raise from_os(error, self.location) from error
        self._holder, self._known = holder, True
        return holder

    def _open(self) -> Holder:
        self._engine.ensure_open()
        return self._take_holder()

    async def _me(self) -> Holder:
        if self._holder is not None:
            return self._holder
        return await self._engine.apart(self._open)

    async def secret(self, given: bytes | None) -> bytes:
        """Opens the store, makes it on first use, and returns its secret. See `Store.secret`."""

        def work() -> bytes:
            secret = self._engine.secret(given)
            self._take_holder()
            return secret

        return await self._engine.apart(work)

    # --- verbs -----------------------------------------------------------------------------------------------

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim, durably. See `Store.claim`."""
        me = self._holder or await self._me()
        return await self._perform(me, _plans.claiming(me.running, self._engine.scope_names, claim))

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made. See `Store.renew`."""
        me = self._holder or await self._me()
        return await self._perform(me, _plans.renewing(me.running, renewal))

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        me = self._holder or await self._me()
        return await self._perform(me, _plans.settling(me.running, settlement))

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably. See `Store.resolve`."""
        me = await self._me()
        return await self._perform(me, _plans.resolving(partial(_plans.is_running, me), resolution), apart=True)

    async def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        plan = _plans.purging(at, limit)
        count = await self._engine.perform(plan, apart=True)
        self._engine.keeper.note(_plans.ROW_PAGES * count, erased=True)
        return count

    async def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        found = await self._engine.look(partial(_plans.get_row, identity))
        return None if found is None else await self._existing(found)

    async def find(
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
        work = _plans.finding(
            key_prefix=key_prefix,
            statuses=statuses,
            operation_name=operation_name,
            actor_id=actor_id,
            origin=origin,
            newest_first=newest_first,
            limit=limit,
        )
        return await self._engine.apart(partial(self._engine.read, work))

    async def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return await self._engine.look(partial(_plans.get_events, idempotency_key))

    async def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        await self._me()
        asked = (since, operation_name, stretch_seconds)
        return await self._engine.apart(partial(_counting.tally, self._files, self._connect, *asked))

    async def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        me = await self._me()
        await self._perform(me, _plans.noting(record, event))

    async def _perform(self, me: Holder, plan: Plan[T], *, apart: bool = False) -> T | Existing:
        answer: T | Found = await self._engine.perform(plan, at_work=len(me.running), apart=apart)
        self._engine.keeper.note(plan.pages, erased=plan.erased)
        if isinstance(answer, Found):
            return await self._existing(answer)
        plan.done()
        return answer

    # --- waiting ---------------------------------------------------------------------------------------------

    async def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record = existing.record
        me = await self._me()
        if record.holder == me.name:
            await me.running.sleep(_plans.task_of(record), seconds)
            return
        until = time.monotonic() + seconds
        pause = _plans.FIRST_LOOK
        while await self._unchanged(record) and (left := until - time.monotonic()) > 0:
            await _loops.pause(min(pause, left))
            pause = min(pause * 2, _plans.SLOWEST_LOOK)

    async def _unchanged(self, record: Record) -> bool:
        """Whether the row is still the same and its holder may still work on it."""
        return await self._is_alive(record) and await self._engine.look(partial(_plans.is_unchanged, record))

    async def _is_alive(self, record: Record) -> bool:
        """Whether the holder, another process, may still be at work; looks at a file, so the worker does it."""
        me = await self._me()
        return record.holder is not None and await self._engine.apart(partial(me.is_alive, record.holder))

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        if self._holder is not None:
            self._holder.running.end((identity, generation, fence))

    async def _existing(self, found: Found) -> Existing:
        existing = _plans.existing_here(found, await self._me())
        if existing is not None:
            return existing
        return Existing(found.record, alive=await self._is_alive(found.record), high_water=found.high_water)

    # --- the end ---------------------------------------------------------------------------------------------

    async def tidy(self) -> None:
        """Erases from the files what was erased from the rows, and what killed processes left."""
        me = await self._me()
        await self._engine.apart(self._engine.empty_log)
        await self._engine.apart(me.sweep)

    async def aclose(self) -> None:
        """Tidies and lets go of files, connections and the thread; a later verb opens them again."""
        await self._engine.aclose()
