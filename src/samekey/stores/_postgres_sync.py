"""The PostgreSQL store for threads."""

import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from samekey.errors import StoreError
from samekey.stores import _postgres_desk as desk
from samekey.stores import _postgres_moving as moving
from samekey.stores import _postgres_schema as schemas
from samekey.stores._contract import Adopted, Entry
from samekey.stores._doctor import Check
from samekey.stores._errors import NOT_RECORDED, NOTHING_SENT
from samekey.stores._fork import forget_in_child
from samekey.stores._postgres_common import Common, Patience
from samekey.stores._postgres_link import Link
from samekey.stores._postgres_listen import Listener
from samekey.stores._postgres_session import LOCAL_LOOK, Session
from samekey.stores._postgres_sql import channel
from samekey.stores._postgres_tally import tally as counting_verb
from samekey.stores._postgres_verbs import Verb

T = TypeVar("T")


class PostgresStore(Common):
    """Keeps records in PostgreSQL, for many machines. Safe for threads, processes and forks.

    Nothing in it needs a session: it works through a pooler in transaction mode.

    Args:
        conninfo: `postgresql://user@host/database`, or libpq's `name=value`; TLS options and several hosts as libpq has
            them, and what is not given is taken from its environment variables.
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
        schema: the schema of the database that holds the tables.
        create: whether a missing store is made on first use.
        pool: most connections of this process, beside the one that listens.
        prepare: whether statements are prepared on the server, which halves its work; None does so unless a pooler lies between.
        listen: whether to listen for what other processes end; an address for that, if `conninfo` is a pooler's. Without it
            the rows are looked at more often.

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
        self._link = Link(self._address, pool)
        self._listener = Listener(self._direct, channel(schema))
        self._opening_lock = threading.Lock()
        forget_in_child(self)
        weakref.finalize(self, _close_at_last, self._link, self._listener)

    def after_fork(self) -> None:
        """The child opens anew, under another name."""
        self._opening_lock = threading.Lock()
        self._forget()
        self._link.after_fork()
        self._listener.after_fork()

    # --- facts -----------------------------------------------------------------------------------------------

    @property
    def claim_durable(self) -> bool:
        """Whether the server has a claim on disk before it acknowledges it: not under `synchronous_commit = off`."""
        self._ready()
        assert self._opened is not None
        return self._opened.claim_durable

    @property
    def holder(self) -> str:
        """Names this process; opens the store if need be."""
        return self._ready().holder.name

    def _ready(self) -> Session:
        session = self._session
        if session is None:
            with self._opening_lock:
                session = self._session or self._known(self._link.first(self._opening))
        return session

    def secret(self, given: bytes | None) -> bytes:
        """Opens the store, makes it on first use, and returns its secret. See `Store.secret`."""
        with self._opening_lock:
            self._given, self._asked = given, True
            opened = self._link.first(self._opening)
            self._known(opened)
            return opened.secret

    def migrate(self) -> schemas.Migrated:
        """Makes the store, or brings an older one to this version's schema.

        Raises:
            StoreFormatError: it is not ours, or newer than this version.
            StoreUnavailableError: the server cannot be used, or does not permit it.
        """
        return self._link.first(partial(schemas.migrate_store, self._texts, self.location))

    # --- verbs -----------------------------------------------------------------------------------------------

    def _run(self, verb: Callable[[], Verb[T]], so: str = NOTHING_SENT) -> T:
        self._ready()
        return self._link.run(verb, so)

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim, durably. See `Store.claim`."""
        return self._run(partial(self._ready().claim, claim))

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt, durably, before it is made. See `Store.renew`."""
        return self._run(partial(self._ready().renew, renewal))

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        return self._run(partial(self._ready().settle, settlement), NOT_RECORDED)

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided, durably. See `Store.resolve`."""
        return self._run(partial(self._ready().resolve, resolution), NOT_RECORDED)

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        return self._run(partial(desk.purge_rows, self._texts, at, limit), NOT_RECORDED)

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        return self._run(partial(self._ready().get, identity))

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
        given = (key_prefix, statuses, operation_name, actor_id, origin)
        return self._run(self._finding(*given, newest_first=newest_first, limit=limit))

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        return self._run(partial(desk.read_events, self._texts, idempotency_key))

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        self._run(partial(desk.add_note, self._texts, record, event), NOT_RECORDED)

    def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        counting = partial(counting_verb, self._texts.schema, since, operation_name, stretch_seconds)
        return self._run(counting)

    # --- waiting ---------------------------------------------------------------------------------------------

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the holder of `existing` may have ended or changed the row. See `Store.wait`."""
        record, session = existing.record, self._ready()
        if record.holder == session.holder.name:
            session.holder.running.wait((record.identity, record.generation, record.fence), seconds)
            return
        patience = Patience.until_lease(existing, seconds)
        turn = self._listener.turn(record.identity, listen=self._listens)
        try:
            while session.may_go_on(record) and self._run(
                partial(desk.look_at, self._texts, record, announce=self._listens)
            ):
                until = min(time.monotonic() + patience.next(hearing=self._listener.hearing), patience.until)
                heard = turn
                while heard == turn and session.may_go_on(record) and (left := until - time.monotonic()) > 0:
                    heard = self._listener.wait(record.identity, turn, min(left, LOCAL_LOOK))
                turn = heard
                if patience.left() <= 0:
                    return
        finally:
            self._listener.leave(record.identity)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        if self._session is not None:
            self._session.holder.running.end((identity, generation, fence))

    # --- moving ----------------------------------------------------------------------------------------------

    def operations(self) -> Mapping[str, tuple[str, ...]]:
        """The scope names of each operation."""
        return self._run(partial(moving.known_operations, self._texts))

    def export(self) -> Iterator[Entry]:
        """Every generation of every action, oldest first. See `Portable.export`."""
        entries, last = self._run(partial(moving.export_rows, self._texts, 0))
        while entries:
            yield from entries
            entries, last = self._run(partial(moving.export_rows, self._texts, last))

    def adopt(self, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Adopted:
        """Writes what is not there yet. See `Portable.adopt`."""
        return self._run(partial(moving.adopt_rows, self._texts, operations, entries), NOT_RECORDED)

    def adopt_secret(self, secret: bytes) -> None:
        """Opens the store; one that has no secret yet keeps this one. See `Portable.adopt_secret`."""
        with self._opening_lock:
            self._given, self._asked = secret, True
            self._known(self._link.first(partial(self._opening, keep=True)))

    # --- the end ---------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Removes what killed processes of this machine have left; the server erases by itself."""
        self._ready().holder.sweep()

    def exists(self) -> bool:
        """Whether the database has the store; does not make it."""
        return self._link.first(partial(schemas.is_there, self._texts, self.location))

    def examine(self, now: datetime) -> list[Check]:
        """Looks whether the store is well, for `samekey doctor`; repairs nothing."""
        try:
            self._ready()
            assert self._opened is not None
            return self._run(partial(desk.examine_store, self._texts, now, claim_durable=self._opened.claim_durable))
        except StoreError as error:
            return [Check("reading", well=False, told=str(error))]

    def close(self) -> None:
        """Lets go of all connections; a later verb opens them again."""
        self._listener.close()
        self._link.close()


def _close_at_last(link: Link, listener: Listener) -> None:
    listener.close()
    link.close()
