"""A store on a Redis or Valkey server, shared by the processes of any number of machines."""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from samekey._core.model import Event, Record
from samekey._core.states import Status
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
from samekey.stores._contract import Adopted, Entry
from samekey.stores._doctor import Check
from samekey.stores._errors import NOT_RECORDED, NOTHING_SENT
from samekey.stores._fork import forget_in_child
from samekey.stores._redis_calls import Call
from samekey.stores._redis_link import AsyncLink, Link
from samekey.stores._redis_moving import AllVerbs
from samekey.stores._redis_search import FIRST_LOOK, SLOWEST_LOOK, within_lease
from samekey.stores._redis_session import Plan
from samekey.unpicklable import Unpicklable

T = TypeVar("T")

PREFIX: Final = "samekey"


class RedisStore(Unpicklable):
    """Keeps records on a Redis or Valkey server. Safe for threads, processes and forks on any number of machines.

    Args:
        server: a URL (`redis://`, `rediss://`, `valkey://`, `valkeys://`), whose options are those of redis-py, or a
            mapping of the arguments of `redis.Redis`.
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
        prefix: what the store's keys begin with; another prefix is another store.
        allow_volatile: use a server even if it can forget what it acknowledged (no append-only file, or it evicts keys):
            a duplicate is possible after it did.

    Raises:
        UsageError: redis-py is not installed, or the URL or an option is wrong.
    """

    def __init__(
        self,
        server: str | Mapping[str, Any],
        *,
        lease: timedelta | None = None,
        prefix: str = PREFIX,
        allow_volatile: bool = False,
    ) -> None:
        self._link = Link(server)
        self._lease = lease
        self._verbs = AllVerbs(named(self._link.target.location, prefix), prefix, allow_volatile=allow_volatile)
        forget_in_child(self)

    def __repr__(self) -> str:
        """Shows the server, without user and password."""
        return f"<RedisStore {self.location!r}>"

    def after_fork(self) -> None:
        """The child opens connections of its own, under a holder of its own."""
        self._link.forget()
        self._verbs.after_fork()

    # --- facts -----------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """The server's URL without user, password and options."""
        return self._verbs.location

    @property
    def claim_durable(self) -> bool:
        """Whether an acknowledged claim survives a power loss and a failover; opens the store if need be.

        True only if the server syncs its append-only file before each answer (`appendfsync always`), evicts nothing,
        and has no replica that a failover could put in its place.
        """
        if self._verbs.facts is None:
            self._run(self._verbs.open())
        return self._verbs.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._lease

    @property
    def holder(self) -> str:
        """Names this process; opens the store if need be."""
        return (self._verbs.holder or self._run(self._verbs.open())).name

    def secret(self, given: bytes | None) -> bytes:
        """Opens the store, makes it on first use, and returns its secret. See `Store.secret`.

        A store that is given no secret makes one and keeps it on the server; one that is given a secret keeps only a
        value to check it by.
        """
        return self._run(self._verbs.secret(given))

    # --- verbs -----------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim. See `Store.claim`."""
        return self._run(self._verbs.claim(claim))

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt before it is made. See `Store.renew`."""
        return self._run(self._verbs.renew(renewal))

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        return self._run(self._verbs.settle(settlement), NOT_RECORDED)

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided. See `Store.resolve`."""
        return self._run(self._verbs.resolve(resolution), NOT_RECORDED)

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`.

        What nobody purges, the server lets expire by itself a day after its retention.
        """
        return self._run(self._verbs.purge(at, limit), NOT_RECORDED)

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        return self._run(self._verbs.get(identity))

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
        return self._run(
            self._verbs.find(key_prefix, statuses, operation_name, actor_id, origin, limit, newest_first=newest_first)
        )

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return self._run(self._verbs.events(idempotency_key))

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        self._run(self._verbs.note(record, event), NOT_RECORDED)

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record = existing.record
        me = self._run(self._verbs.open())
        until = time.monotonic() + within_lease(existing, seconds)
        task = (record.identity, record.generation, record.fence)
        if record.holder == me.name and task in me.running:
            me.running.wait(task, seconds)
            return
        pause = FIRST_LOOK
        while self._run(self._verbs.unchanged(record)) and (left := until - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(pause * 2, SLOWEST_LOOK)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        self._verbs.release(identity, generation, fence)

    # --- moving ----------------------------------------------------------------------------------------------

    def operations(self) -> Mapping[str, tuple[str, ...]]:
        """The scope names of each operation."""
        return self._run(self._verbs.operations())

    def export(self) -> Iterator[Entry]:
        """Every generation of every action, oldest first. See `Portable.export`."""
        entries, last = self._run(self._verbs.page(None))
        while entries:
            yield from entries
            entries, last = self._run(self._verbs.page(last))

    def adopt(self, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Adopted:
        """Writes what is not there yet. See `Portable.adopt`."""
        return self._run(self._verbs.adopt(operations, entries), NOT_RECORDED)

    def adopt_secret(self, secret: bytes) -> None:
        """Opens the store; one that has no secret yet keeps this one. See `Portable.adopt_secret`."""
        self._run(self._verbs.secret(secret, keep=True))

    # --- the end ---------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Removes what killed processes of this machine left; what is erased on the server is gone there at once."""
        self._run(self._verbs.open()).sweep()

    def exists(self) -> bool:
        """Whether the server has the store; does not make it."""
        return self._run(self._verbs.exists())

    def examine(self, now: datetime) -> list[Check]:
        """Looks whether the store is well, for `samekey doctor`; repairs nothing."""
        return self._run(self._verbs.examine(now))

    def close(self) -> None:
        """Closes the connections; a later verb opens new ones and looks at the server again."""
        self._link.close()
        self._verbs.forget()

    def _run(self, plan: Plan[T], so: str = NOTHING_SENT) -> T:
        try:
            asked = next(plan)
            while True:
                try:
                    answer = self._link.ask(asked, so) if isinstance(asked, Call) else asked()
                except BaseException as error:  # noqa: BLE001 - the plan decides, and ends what it began
                    asked = plan.throw(error)
                else:
                    asked = plan.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


class AsyncRedisStore(Unpicklable):
    """`RedisStore` for event loops of asyncio. The store object serves the tasks of one loop at a time.

    Args:
        server: see `RedisStore`; of a mapping, the arguments of `redis.asyncio.Redis`.
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
        prefix: what the store's keys begin with; another prefix is another store.
        allow_volatile: see `RedisStore`.

    Raises:
        UsageError: redis-py is not installed, or the URL or an option is wrong.
    """

    def __init__(
        self,
        server: str | Mapping[str, Any],
        *,
        lease: timedelta | None = None,
        prefix: str = PREFIX,
        allow_volatile: bool = False,
    ) -> None:
        self._link = AsyncLink(server)
        self._lease = lease
        self._verbs = AllVerbs(named(self._link.target.location, prefix), prefix, allow_volatile=allow_volatile)
        forget_in_child(self)

    def __repr__(self) -> str:
        """Shows the server, without user and password."""
        return f"<AsyncRedisStore {self.location!r}>"

    def after_fork(self) -> None:
        """The child opens connections of its own, under a holder of its own."""
        self._link.forget()
        self._verbs.after_fork()

    @property
    def location(self) -> str:
        """The server's URL without user, password and options."""
        return self._verbs.location

    @property
    def claim_durable(self) -> bool:
        """See `RedisStore.claim_durable`; False until `secret` has returned."""
        return self._verbs.claim_durable

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._lease

    @property
    def holder(self) -> str:
        """Names this process; known once `secret` has returned."""
        if self._verbs.holder is None:
            raise RuntimeError("await secret() first: the store's holder is known once it is open.")
        return self._verbs.holder.name

    async def secret(self, given: bytes | None) -> bytes:
        """See `RedisStore.secret`."""
        return await self._run(self._verbs.secret(given))

    async def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `Store.claim`."""
        return await self._run(self._verbs.claim(claim))

    async def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `Store.renew`."""
        return await self._run(self._verbs.renew(renewal))

    async def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `Store.settle`."""
        return await self._run(self._verbs.settle(settlement), NOT_RECORDED)

    async def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """See `Store.resolve`."""
        return await self._run(self._verbs.resolve(resolution), NOT_RECORDED)

    async def purge(self, at: datetime, *, limit: int) -> int:
        """See `RedisStore.purge`."""
        return await self._run(self._verbs.purge(at, limit), NOT_RECORDED)

    async def get(self, identity: str) -> Existing | None:
        """See `Store.get`."""
        return await self._run(self._verbs.get(identity))

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
        """See `Store.find`."""
        return await self._run(
            self._verbs.find(key_prefix, statuses, operation_name, actor_id, origin, limit, newest_first=newest_first)
        )

    async def events(self, idempotency_key: str) -> list[Event]:
        """See `Store.events`."""
        return await self._run(self._verbs.events(idempotency_key))

    async def note(self, record: Record, event: Event) -> None:
        """See `Store.note`."""
        await self._run(self._verbs.note(record, event), NOT_RECORDED)

    async def wait(self, existing: Existing, seconds: float) -> None:
        """See `Store.wait`."""
        until = time.monotonic() + within_lease(existing, seconds)
        pause = FIRST_LOOK
        while await self._run(self._verbs.unchanged(existing.record)) and (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, SLOWEST_LOOK)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `Store.release`."""
        self._verbs.release(identity, generation, fence)

    async def tidy(self) -> None:
        """See `RedisStore.tidy`."""
        me = await self._run(self._verbs.open())
        await asyncio.to_thread(me.sweep)

    async def aclose(self) -> None:
        """See `RedisStore.close`."""
        await self._link.aclose()
        self._verbs.forget()

    async def _run(self, plan: Plan[T], so: str = NOTHING_SENT) -> T:
        try:
            asked = next(plan)
            while True:
                try:
                    answer = await (self._link.ask(asked, so) if isinstance(asked, Call) else asyncio.to_thread(asked))
                except BaseException as error:  # noqa: BLE001 - the plan decides, and ends what it began
                    asked = plan.throw(error)
                else:
                    asked = plan.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


def named(location: str, prefix: str) -> str:
    """A store's location: that of its server, and its prefix unless it is the usual one."""
    return location if prefix == PREFIX else f"{location}#{prefix}"


def from_url(url: str) -> RedisStore:
    """The store of a URL, as `store=` and `SAMEKEY_STORE` take it. Raises `UsageError` as `RedisStore`."""
    return RedisStore(url)


def async_from_url(url: str) -> AsyncRedisStore:
    """The same for event loops."""
    return AsyncRedisStore(url)
