"""What a process knows about its tasks in a shared store: who holds what, by lock, by lease and by the store's clock.

On one machine the lock of a holder tells that it is dead at once, if both look into the same directory; of all others
only the lease tells, and whether that is over, the store's clock does.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from samekey._core.model import Record
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
    StoreClock,
)
from samekey.stores import _postgres_desk as desk
from samekey.stores import _postgres_verbs as verbs
from samekey.stores._holders import Holder
from samekey.stores._hosts import Leased
from samekey.stores._postgres_codec import Found
from samekey.stores._postgres_sql import Texts
from samekey.stores._postgres_verbs import Names, Verb
from samekey.stores._running import Task

LOCAL_LOOK: Final = 0.25
"""Seconds between two looks whether a holder on this machine was killed; nobody could announce that."""


class Session:
    """The verbs with their bookkeeping. Generators, as in `_postgres_verbs`; nothing in it waits.

    Args:
        texts: the statements.
        holder: this process.
    """

    def __init__(self, texts: Texts, holder: Holder | Leased) -> None:
        self.texts: Texts = texts
        self.holder: Holder | Leased = holder
        self._names: Names = {}
        self._lock = threading.Lock()
        self._asked: Counter[Task] = Counter()

    def claim(self, claim: Claim) -> Verb[Claimed | Existing | DuplicateFound | ScopeNamesDiffer]:
        """See `Store.claim`."""
        record = claim.record
        with self._asking((record.identity, record.generation, record.fence)):
            answer = yield from verbs.claim_row(self.texts, self._names, claim)
            if isinstance(answer, Claimed):
                self.holder.running.begin(answer.record)
        return self._existing(answer) if isinstance(answer, Found) else answer

    def renew(self, renewal: Renewal) -> Verb[Renewed | Existing]:
        """See `Store.renew`."""
        running, expect = self.holder.running, renewal.expect
        before = (renewal.identity, expect.generation, expect.fence)
        with self._asking((renewal.identity, expect.generation, renewal.new_fence)):
            answer = yield from verbs.renew_row(self.texts, running.row(before), renewal)
            if isinstance(answer, Renewed):
                running.begin(answer.record)
        if isinstance(answer, Found):
            return self._existing(answer)
        if renewal.new_fence != expect.fence:
            running.end(before)
        return answer

    def settle(self, settlement: Settlement) -> Verb[Settled | Existing | None]:
        """See `Store.settle`."""
        task = (settlement.identity, settlement.expect.generation, settlement.expect.fence)
        answer = yield from verbs.settle_rows(self.texts, self.holder.running.row(task), settlement)
        if isinstance(answer, Found):
            return self._existing(answer)
        self.holder.running.end(task)
        return answer

    def resolve(self, resolution: Resolution) -> Verb[Resolved | Existing | None]:
        """See `Store.resolve`."""
        answer = yield from desk.resolve_rows(self.texts, self._may_be_sending, resolution)
        return self._existing(answer) if isinstance(answer, Found) else answer

    def get(self, identity: str) -> Verb[Existing | None]:
        """See `Store.get`."""
        found = yield from desk.get_row(self.texts, identity)
        return None if found is None else self._existing(found)

    def may_go_on(self, record: Record) -> bool:
        """Whether the holder of a record may still be at work, as far as this machine can tell."""
        return record.holder is not None and self.holder.is_alive(record.holder)

    @contextmanager
    def _asking(self, task: Task) -> Iterator[None]:
        """Until its answer is here, nobody takes a task for dead whose row is there already."""
        with self._lock:
            self._asked[task] += 1
        try:
            yield
        finally:
            with self._lock:
                self._asked[task] -= 1
                if not self._asked[task]:
                    del self._asked[task]

    def _is_own(self, record: Record) -> bool:
        task = (record.identity, record.generation, record.fence)
        return task in self.holder.running or task in self._asked

    def _existing(self, found: Found) -> Existing:
        record = found.record
        if record.settled:
            return Existing(record)
        seen = max(found.newest, record.last_seen_at)
        clock = StoreClock(found.first_sent_ago, found.lease_left)
        if record.holder is None:
            return Existing(record, high_water=seen, by_store=clock)
        if record.holder == self.holder.name:
            own = self._is_own(record)
            return Existing(record, alive=own, own=own, high_water=seen, by_store=clock)
        return Existing(record, alive=self.holder.is_alive(record.holder), high_water=seen, by_store=clock)

    def _may_be_sending(self, found: Found) -> bool:
        """Whether an attempt may be under way, by a clock that all hosts share (R12)."""
        record = found.record
        if record.holder == self.holder.name:
            return self._is_own(record)
        if record.holder is None:
            return False
        return self.holder.is_running(record.holder) or (found.lease_left is not None and found.lease_left >= 0)
