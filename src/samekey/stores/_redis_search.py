"""How the Redis store is looked at: the verbs that change nothing."""

from collections.abc import Collection
from typing import Final

from samekey._core.model import Event, Record
from samekey._core.states import UNSETTLED, Status
from samekey._core.verbs import Existing
from samekey.stores import _redis_calls as calls
from samekey.stores import _redis_codec as codec
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._redis_calls import plain
from samekey.stores._redis_codec import Member
from samekey.stores._redis_server import gone
from samekey.stores._redis_session import Plan, Session

FIRST_LOOK: Final = 0.005
SLOWEST_LOOK: Final = 0.25
"""Seconds between two looks at what another process does; doubled from the first to the slowest."""

PAGE: Final = 200
"""Records that are read at once."""


class Searches(Session):
    """The verbs that look."""

    def get(self, identity: str) -> Plan[Existing | None]:
        """See `Store.get`."""
        state = yield from self.read(identity)
        return (yield from self.existing(state)) if state.generations else None

    def version(self, record: Record) -> Plan[tuple[int, int, Status] | None]:
        """The highest generation of a record's identity, its fence and status."""
        state = yield from self.read(record.identity)
        row = state.highest
        return None if row is None else (row.generation, row.fence, row.status)

    def unchanged(self, record: Record) -> Plan[bool]:
        """Whether the row is still the same and its holder may still work on it."""
        me = yield from self.open()
        if record.holder is None:
            return False
        if record.holder == me.name:
            return self.is_own(me, record)
        if not (yield lambda: me.is_alive(str(record.holder))):
            return False
        return (yield from self.version(record)) == (record.generation, record.fence, record.status)

    def find(
        self,
        key_prefix: str | None,
        statuses: Collection[Status] | None,
        operation_name: str | None,
        actor_id: str | None,
        origin: str | None,
        limit: int | None,
        *,
        newest_first: bool,
    ) -> Plan[list[Record]]:
        """See `Store.find`."""
        yield from self.open()

        def wanted(row: Record) -> bool:
            return (
                row.idempotency_key.startswith(key_prefix or "")
                and (statuses is None or row.status in statuses)
                and operation_name in (None, row.operation_name)
                and actor_id in (None, row.actor_id)
                and origin in (None, row.origin)
            )

        found: list[Record] = []
        most = None if limit is None else max(limit, 0)
        only_open = statuses is not None and UNSETTLED.issuperset(statuses)
        matching = (yield from self._by_key(key_prefix, newest_first=newest_first)) if key_prefix else None
        last: str | None = None
        while most is None or len(found) < most:
            if matching is None:
                members = yield from self.some(last, only_open=only_open, newest_first=newest_first)
            else:
                members, matching = matching[:PAGE], matching[PAGE:]
            if not members:
                break
            found += filter(wanted, (yield from self.rows(members)))
            last = members[-1].number
        return found[:most]

    def _by_key(self, start: str, *, newest_first: bool) -> Plan[list[Member]]:
        found = yield plain("ZRANGEBYLEX", self.keys.by_key, f"[{start}", b"[" + start.encode() + b"\xff")
        return sorted((Member.of(text) for text in found), key=lambda member: member.number, reverse=newest_first)

    def some(self, last: str | None, *, only_open: bool, newest_first: bool) -> Plan[list[Member]]:
        """Some generations after the one with that number, or the first ones."""
        index = self.keys.open if only_open else self.keys.order
        if newest_first:
            words = ("ZREVRANGEBYSCORE", index, "+inf" if last is None else f"({last}", "-inf")
        else:
            words = ("ZRANGEBYSCORE", index, "-inf" if last is None else f"({last}", "+inf")
        found = yield plain(*words, "LIMIT", 0, PAGE)
        return [Member.of(text) for text in found]

    def rows(self, members: list[Member]) -> Plan[list[Record]]:
        """The records of these generations."""
        named = [(member.identity, member.generation) for member in members]
        reply = yield calls.rows(self.keys, self.id, named)
        if reply[0] == b"gone":
            raise gone(self.location, NOTHING_SENT)
        flat = reply[1]
        return [codec.row_of(stone, body, self.location) for stone, body in zip(flat[::2], flat[1::2], strict=True)]

    def events(self, idempotency_key: str) -> Plan[list[Event]]:
        """See `Store.events`."""
        yield from self.open()
        members = yield from self.members_of(idempotency_key)
        return (yield from self.timeline(members[0])) if members else []

    def members_of(self, idempotency_key: str) -> Plan[list[Member]]:
        """The generation with that key; none or one."""
        start = idempotency_key.encode()
        found = yield plain("ZRANGEBYLEX", self.keys.by_key, b"[" + start + b"\0", b"(" + start + b"\1")
        return [Member.of(text) for text in found]

    def timeline(self, member: Member) -> Plan[list[Event]]:
        """The events of one generation, oldest first."""
        lines = yield plain("LRANGE", self.keys.timelines(member.identity), 0, -1)
        split = (line.split(b":", 1) for line in lines)
        return [codec.event_of(text) for generation, text in split if int(generation) == member.generation]


def within_lease(existing: Existing, seconds: float) -> float:
    """How long to wait for a holder that may be alive: no longer than its lease, which is all that a process that sleeps has."""
    lease = existing.by_store.lease_left if existing.by_store is not None else None
    return seconds if lease is None else min(seconds, max(lease, 0.0) + FIRST_LOOK)
