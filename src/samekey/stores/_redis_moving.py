"""How records move to a Redis store and from it."""

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime

from samekey._core.model import Event, Record
from samekey.errors import StoreError
from samekey.stores import _redis_calls as calls
from samekey.stores import _redis_codec as codec
from samekey.stores._contract import Adopted, Entry
from samekey.stores._doctor import Check, clock_check
from samekey.stores._redis_calls import Change, plain
from samekey.stores._redis_session import Plan
from samekey.stores._redis_verbs import Verbs


class AllVerbs(Verbs):
    """All verbs, and what only the command line asks for."""

    def operations(self) -> Plan[Mapping[str, tuple[str, ...]]]:
        """The scope names of each operation."""
        yield from self.open()
        flat = yield plain("HGETALL", self.keys.operations)
        return {name.decode(): tuple(json.loads(names)) for name, names in zip(flat[::2], flat[1::2], strict=True)}

    def page(self, last: str | None) -> Plan[tuple[list[Entry], str | None]]:
        """Some records after one, and the place of their last; None where there are no more."""
        yield from self.open()
        members = yield from self.some(last, only_open=False, newest_first=False)
        if not members:
            return [], None
        records = yield from self.rows(members)
        entries = []
        for member, record in zip(members, records, strict=True):
            entries.append(Entry(record, tuple((yield from self.timeline(member)))))
        return entries, members[-1].number

    def adopt(self, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Plan[Adopted]:
        """See `Portable.adopt`."""
        yield from self.open()
        for name, names in operations.items():
            yield plain("HSETNX", self.keys.operations, name, codec.names_of(dict.fromkeys(names, "")))
        written = 0
        conflicts: list[Record] = []
        for entry in entries:
            done = yield from self._adopt(entry)
            written += done is True
            if done is None:
                conflicts.append(entry.record)
        return Adopted(written, tuple(conflicts))

    def _adopt(self, entry: Entry) -> Plan[bool | None]:
        """Whether it was written; None if there is another in its place."""
        record = entry.record
        while True:
            state = yield from self.read(record.identity)
            found = state.generation(record.generation)
            same_key = yield from self.members_of(record.idempotency_key)
            if found is not None:
                events = yield from self.timeline(same_key[0]) if same_key else _nothing()
                return False if found == record and tuple(events) == entry.events else None
            if same_key:
                return None
            told = tuple((record, event) for event in entry.events)
            change = Change((record,), told, moments=calls.by_sender(record))
            reply = yield calls.write(self.keys, self.id, record.identity, state, secrets.token_hex(8), change)
            if reply == calls.OK:
                return True

    def exists(self) -> Plan[bool]:
        """Whether the server has the store, or what is left of it."""
        return bool((yield plain("EXISTS", self.keys.meta)) or (yield plain("EXISTS", self.keys.order)))

    def examine(self, now: datetime) -> Plan[list[Check]]:
        """Looks whether the store is well; repairs nothing."""
        try:
            yield from self.open()
            clock = yield plain("TIME")
            newest = yield plain("GET", self.keys.newest)
        except StoreError as error:
            return [Check("reading", well=False, told=str(error))]
        found = self.facts
        assert found is not None
        server = float(clock[0]) + float(clock[1]) / 1e6
        apart = abs(now.timestamp() - server)
        well = apart <= calls.MOST_SKEW_SECONDS
        durable = (
            "survive a power loss and a failover"
            if found.claim_durable
            else "may be lost: APIs without keys are refused"
        )
        return [
            Check("server", well=True, told=f"version {found.version}"),
            Check("persistence", well=found.volatile is None, told=found.volatile or _persistence(found.sync)),
            Check("claims", well=True, told=f"acknowledged ones {durable}"),
            Check(
                "server's clock",
                well=well,
                told=f"{apart:.1f} s from this machine's" + ("" if well else "; set the clocks"),
            ),
            clock_check(float(newest) / 1e6 if newest else None, now),
        ]


def _persistence(sync: str | None) -> str:
    return f"an append-only file, synced: {sync or 'the server does not say when'}"


def _nothing() -> Plan[list[Event]]:
    yield from ()
    return []
