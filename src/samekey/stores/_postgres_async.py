"""The PostgreSQL store for event loops."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
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
from samekey.stores import _postgres_desk as desk
from samekey.stores import _postgres_schema as schemas
from samekey.stores._errors import NOT_RECORDED, NOTHING_SENT
from samekey.stores._fork import forget_in_child
from samekey.stores._postgres_common import Common, Patience
from samekey.stores._postgres_link import AsyncLink
from samekey.stores._postgres_listen import AsyncListener
from samekey.stores._postgres_session import LOCAL_LOOK, Session
from samekey.stores._postgres_sql import channel
from samekey.stores._postgres_tally import tally as counting_verb
from samekey.stores._postgres_verbs import Verb

T = TypeVar("T")


class AsyncPostgresStore(Common):
    """Keeps records in PostgreSQL, for many machines and for the tasks of one event loop at a time.

    Args:
        conninfo: see `PostgresStore`; so are the others.
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
        schema: the schema of the database that holds the tables.
        create: whether a missing store is made on first use.
        pool: most connections of this process, beside the one that listens.
        prepare: whether statements are prepared on the server; None does so unless a pooler lies between.
        listen: whether to listen for what other processes end, or an address for that.

    Raises:
        UsageError: an argument cannot be, or psycopg is not installed.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        lease: timedelta | None = None,
        schema: str = "samekey",
        create: bool = True,
        pool: int = 10,
        prepare: bool | None = None,
        listen: bool | str = True,
    ) -> None:
        super().__init__(conninfo, lease=lease, schema=schema, create=create, pool=pool, prepare=prepare, listen=listen)
        self._link = AsyncLink(self._address, pool)
        self._listener = AsyncListener(self._direct, channel(schema))
        forget_in_child(self)

    def after_fork(self) -> None:
        """The child opens anew, under another name."""
        self._forget()
        self._link.after_fork()
        self._listener.after_fork()

    # --- facts -----------------------------------------------------------------------------------------------

    @property
    def claim_durable(self) -> bool:
        """Whether the server has a claim on disk before it acknowledges it. Known once `secret` has returned."""
        return self._must_be_open("claim_durable")[1].claim_durable

    @property
    def holder(self) -> str:
        """Names this process. Known once `secret` has returned."""
        return self._must_be_open("holder")[0].holder.name

    def _must_be_open(self, what: str) -> tuple[Session, schemas.Opened]:
        if self._session is None or self._opened is None:
            raise UsageError(f"{what} of an AsyncPostgresStore is known once its secret was awaited; await it first.")
        return self._session, self._opened

    async def _ready(self) -> Session:
        if self._session is None:
            opened = await self._link.first(self._opening)
            await self._known_apart(opened)
        assert self._session is not None
        return self._session

    async def _known_apart(self, opened: schemas.Opened) -> None:
        await asyncio.to_thread(self._known, opened)  # it makes a directory and a file

    async def secret(self, given: bytes | None) -> bytes:
        """Opens the store, makes it on first use, and returns its secret. See `Store.secret`."""
        self._given, self._asked = given, True
        opened = await self._link.first(self._opening)
        await self._known_apart(opened)
        return opened.secret

    async def migrate(self) -> schemas.Migrated:
        """Makes the store, or brings an older one to this version's schema. See `PostgresStore.migrate`."""
        return await self._link.first(partial(schemas.migrate_store, self._texts, self.location))

    # --- verbs -----------------------------------------------------------------------------------------------

    async def _run(
        self,
        verb: Callable[[Session], Verb[T]],
        so: str = NOTHING_SENT,
        undo: Callable[[T], None] | None = None,
    ) -> T:
        return await self._link.run(partial(verb, await self._ready()), so, undo)

    def _abandon(self, answer: object) -> None:
        """No task is left behind whose caller was cancelled before it learnt of it."""
        if isinstance(answer, Claimed | Renewed):
            record = answer.record
            self.release(record.identity, record.generation, record.fence)

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim, durably. See `Store.claim`."""
        return await self._run(lambda session: session.claim(claim), undo=self._abandon)

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made. See `Store.renew`."""
        return await self._run(lambda session: session.renew(renewal), undo=self._abandon)

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        return await self._run(lambda session: session.settle(settlement), NOT_RECORDED)

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably. See `Store.resolve`."""
        return await self._run(lambda session: session.resolve(resolution), NOT_RECORDED)

    async def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        return await self._run(lambda _: desk.purge_rows(self._texts, at, limit), NOT_RECORDED)

    async def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        return await self._run(lambda session: session.get(identity))

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
        given = (key_prefix, statuses, operation_name, actor_id, origin)
        finding = self._finding(*given, newest_first=newest_first, limit=limit)
        return await self._run(lambda _: finding())

    async def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return await self._run(lambda _: desk.read_events(self._texts, idempotency_key))

    async def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        await self._run(lambda _: desk.add_note(self._texts, record, event), NOT_RECORDED)

    async def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        counting = partial(counting_verb, self._texts.schema, since, operation_name, stretch_seconds)
        return await self._run(lambda _session: counting())

    # --- waiting ---------------------------------------------------------------------------------------------

    async def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record, session = existing.record, await self._ready()
        if record.holder == session.holder.name:
            await session.holder.running.sleep((record.identity, record.generation, record.fence), seconds)
            return
        patience = Patience.until_lease(existing, seconds)
        event = self._listener.join(record.identity, listen=self._listens)
        try:
            while await self._unchanged(session, record):
                until = min(time.monotonic() + patience.next(hearing=self._listener.hearing), patience.until)
                while not event.is_set() and session.may_go_on(record) and (left := until - time.monotonic()) > 0:
                    await _set_within(event, min(left, LOCAL_LOOK))
                event.clear()
                if patience.left() <= 0:
                    return
        finally:
            self._listener.leave(record.identity, event)

    async def _unchanged(self, session: Session, record: Record) -> bool:
        if not session.may_go_on(record):
            return False
        return await self._run(lambda _: desk.look_at(self._texts, record, announce=self._listens))

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        if self._session is not None:
            self._session.holder.running.end((identity, generation, fence))

    # --- the end ---------------------------------------------------------------------------------------------

    async def tidy(self) -> None:
        """Removes what killed processes of this machine have left; the server erases by itself."""
        session = await self._ready()
        await asyncio.to_thread(session.holder.sweep)

    async def aclose(self) -> None:
        """Lets go of all connections; a later verb opens them again."""
        await self._listener.close()
        await self._link.close()


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
