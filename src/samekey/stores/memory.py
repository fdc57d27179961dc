"""A store in memory: the same contract without a disk, for tests."""

import os
import secrets
import threading
from collections.abc import Collection
from datetime import datetime, timedelta

from samekey._core.model import Event, Record, changed
from samekey._core.states import Status
from samekey._core.tally import Counter, Tally
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
from samekey.errors import StoreFormatError
from samekey.stores import _rows, _rulings
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._fork import forget_in_child
from samekey.stores._running import Running
from samekey.unpicklable import Unpicklable


class MemoryStore(Unpicklable):
    """Keeps records in this process and forgets them with it: for tests, outside the promises.

    Args:
        lease: how long an attempt may hold an action; None lets the client derive it from its time-outs.
    """

    def __init__(self, *, lease: timedelta | None = None) -> None:
        self._lease = lease
        self._rows: dict[str, list[Record]] = {}
        self._events: dict[str, list[Event]] = {}
        self._operations: dict[str, tuple[str, ...]] = {}
        self._order: list[str] = []
        self._secret: bytes | None = None
        self.running: Running = Running()
        self.after_fork()
        forget_in_child(self)

    def __repr__(self) -> str:
        """Shows how much it holds."""
        return f"<MemoryStore {len(self._order)} records>"

    def after_fork(self) -> None:
        """The child goes on with a copy, under another name."""
        self._lock = threading.Lock()
        self._holder = f"memory.{os.getpid()}.{secrets.token_hex(8)}"

    # --- facts -----------------------------------------------------------------------------------------------

    @property
    def location(self) -> str:
        """`memory://`."""
        return "memory://"

    @property
    def claim_durable(self) -> bool:
        """False: nothing survives the process."""
        return False

    @property
    def lease(self) -> timedelta | None:
        """How long an attempt may hold an action."""
        return self._lease

    @property
    def holder(self) -> str:
        """Names this process."""
        return self._holder

    def secret(self, given: bytes | None) -> bytes:
        """Returns the store's secret, bound at the first call. See `Store.secret`."""
        with self._lock:
            if self._secret is None:
                self._secret = given if given is not None else secrets.token_bytes(32)
            if given not in (None, self._secret):
                raise StoreFormatError(
                    f"the store memory:// was made under another secret, under which its actions have other keys, "
                    f"{NOTHING_SENT}; use the secret of that time, or another store."
                )
            return self._secret

    # --- verbs -----------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """Writes a claim. See `Store.claim`."""
        record = claim.record
        with self._lock:
            names = self._operations.get(record.operation_name)
            if names is not None and not _rows.same_names(names, record.scope):
                return ScopeNamesDiffer(names)
            highest = self._highest(record.identity)
            if not _rows.may_claim(highest, claim):
                if highest is None:
                    raise LookupError(f"the store has no action {record.identity!r} to claim anew")
                if not _rows.is_same_claim(highest, claim):
                    return self._existing(highest)
                self.running.begin(highest)
                return Claimed(highest)
            duplicate = self._duplicate(claim)
            if duplicate is not None and claim.refuse_duplicates:
                return DuplicateFound(duplicate)
            self._operations.setdefault(record.operation_name, tuple(record.scope))
            self._write(record)
            self._add(record, claim.event)
            self.running.begin(record)
            return Claimed(record, duplicate)

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """Records a further attempt before it is made. See `Store.renew`."""
        expect = renewal.expect
        with self._lock:
            row = self._highest(renewal.identity)
            if row is None:
                raise LookupError(f"the store has no action {renewal.identity!r} to renew or settle")
            if _rows.is_same_renewal(row, renewal):
                self.running.begin(row)
                return Renewed(row)
            if not _rows.matches(row, expect, renewal.holder):
                return self._existing(row)
            new = _rows.renewed(row, renewal)
            self._write(new)
            self._add(new, renewal.event)
            self.running.begin(new)
            if renewal.new_fence != expect.fence:
                self.running.end((renewal.identity, expect.generation, expect.fence))
            return Renewed(new)

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """Writes what became of an action and ends the running task. See `Store.settle`."""
        expect = settlement.expect
        with self._lock:
            generations = self._rows.get(settlement.identity, [])
            verdict = _rows.settle(generations, settlement)
            for row in verdict.rows:
                self._write(row)
            for row, event in verdict.events:
                self._add(row, event)
            if verdict.answer is None:
                return self._existing(generations[-1]) if generations else None
        self.running.end((settlement.identity, expect.generation, expect.fence))
        return verdict.answer

    def resolve(self, resolution: Resolution) -> Resolved | Existing | None:
        """Writes what a person decided. See `Store.resolve`."""
        with self._lock:
            generations = self._rows.get(resolution.identity, [])
            row = next((row for row in generations if row.generation == resolution.expect.generation), None)
            verdict = _rulings.resolve(generations, resolution, alive=row is not None and self._is_alive(row))
            for new in verdict.rows:
                self._write(new)
            for new, event in verdict.events:
                self._add(new, event)
            if verdict.answer is None:
                return self._existing(generations[-1]) if generations else None
            return verdict.answer

    def purge(self, at: datetime, *, limit: int) -> int:
        """Turns settled records that have expired into tombstones. See `Store.purge`."""
        with self._lock:
            due = [row for row in self._in_order() if _rulings.is_due(row, at)][:limit]
            for row in due:
                self._write(_rulings.tombstone(row, at))
                self._events[row.idempotency_key] = [Event(at, _rulings.PURGED)]
            return len(due)

    def get(self, identity: str) -> Existing | None:
        """The highest generation of an identity and whether its holder is alive."""
        with self._lock:
            row = self._highest(identity)
            return None if row is None else self._existing(row)

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
        with self._lock:
            ordered = self._in_order()
        found = [
            row
            for row in (reversed(ordered) if newest_first else ordered)
            if (not key_prefix or row.idempotency_key.startswith(key_prefix))
            and (statuses is None or row.status in statuses)
            and operation_name in (None, row.operation_name)
            and actor_id in (None, row.actor_id)
            and origin in (None, row.origin)
        ]
        return found if limit is None else found[: max(limit, 0)]

    def _in_order(self) -> list[Record]:
        rows = {row.idempotency_key: row for rows in self._rows.values() for row in rows}
        return [rows[key] for key in self._order if key in rows]

    def events(self, idempotency_key: str) -> list[Event]:
        """The timeline of one generation, oldest first."""
        with self._lock:
            return list(self._events.get(idempotency_key, ()))

    def tally(self, *, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Tally:
        """The store in numbers. See `Tallies.tally`."""
        counter = Counter(since, stretch_seconds)
        for record in self.find(operation_name=operation_name):
            counter.add(record, self.events(record.idempotency_key))
        return counter.tally()

    def note(self, record: Record, event: Event) -> None:
        """Adds an event to a generation and moves its `last_seen_at`."""
        with self._lock:
            self._add(record, event)
            for row in self._rows.get(record.identity, ()):
                if row.idempotency_key == record.idempotency_key and event.at > row.last_seen_at:
                    self._write(changed(row, {"last_seen_at": event.at}))
                    break

    def wait(self, existing: Existing, seconds: float) -> None:
        """Returns when the task of `existing` has ended, at the latest after `seconds`."""
        record = existing.record
        self.running.wait((record.identity, record.generation, record.fence), seconds)

    def release(self, identity: str, generation: int, fence: int) -> None:
        """Says that the task which claimed or renewed this no longer runs."""
        self.running.end((identity, generation, fence))

    def tidy(self) -> None:
        """Does nothing: there are no files."""

    def close(self) -> None:
        """Does nothing: the records stay for as long as the object lives."""

    # --- rows, under the lock --------------------------------------------------------------------------------

    def _highest(self, identity: str) -> Record | None:
        rows = self._rows.get(identity)
        return rows[-1] if rows else None

    def _write(self, record: Record) -> None:
        """Replaces the row of the same generation, or adds one."""
        rows = self._rows.setdefault(record.identity, [])
        for index, row in enumerate(rows):
            if row.generation == record.generation:
                rows[index] = record
                return
        rows.append(record)
        self._order.append(record.idempotency_key)

    def _add(self, record: Record, event: Event | None) -> None:
        if event is not None:
            kept = Event(event.at, event.kind, _rows.clean(event.detail))
            self._events.setdefault(record.idempotency_key, []).append(kept)

    def _duplicate(self, claim: Claim) -> Record | None:
        if claim.duplicates_since is None:
            return None
        found = [row for rows in self._rows.values() for row in rows if _rows.is_duplicate(row, claim)]
        return max(found, key=lambda row: self._order.index(row.idempotency_key), default=None)

    def _existing(self, row: Record) -> Existing:
        if row.settled:
            return Existing(row)
        newest = self._order[-1]
        created = next(row.created_at for rows in self._rows.values() for row in rows if row.idempotency_key == newest)
        alive = self._is_alive(row)
        return Existing(row, alive=alive, own=alive, high_water=max(created, row.last_seen_at))

    def _is_alive(self, row: Record) -> bool:
        return row.holder is not None and (row.identity, row.generation, row.fence) in self.running
