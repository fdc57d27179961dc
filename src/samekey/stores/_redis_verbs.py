"""The verbs of the Redis store that change something.

What a row becomes is decided by the functions that all stores share; the server compares and sets. Where another was
faster, the server says what there is now, and it is decided again.
"""

import json
import time
from datetime import datetime
from functools import partial
from typing import Any

from samekey._core.model import Event, Record, changed
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
from samekey.errors import StoreUnavailableError
from samekey.stores import _redis_calls as calls
from samekey.stores import _redis_codec as codec
from samekey.stores import _rows, _rulings
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._redis_calls import OK, Change, Guarding, plain
from samekey.stores._redis_codec import Member, State
from samekey.stores._redis_search import Searches
from samekey.stores._redis_session import Plan


class Verbs(Searches):
    """All verbs."""

    # --- claims ----------------------------------------------------------------------------------------------

    def claim(self, claim: Claim) -> Plan[Claimed | Existing | DuplicateFound | ScopeNamesDiffer]:
        """See `Store.claim`."""
        me = yield from self.open()
        task = (claim.record.identity, claim.record.generation, claim.record.fence)
        claiming = self.claiming
        claiming.begin(task)
        try:
            answer = yield from self._claim(claim)
            if isinstance(answer, Claimed):
                me.running.begin(answer.record)
        finally:
            claiming.end(task)
        return answer

    def _claim(self, claim: Claim) -> Plan[Claimed | Existing | DuplicateFound | ScopeNamesDiffer]:
        record = claim.record
        names = codec.names_of(record.scope)
        known = self.names.get(record.operation_name)
        if known is not None and known != names:
            return ScopeNamesDiffer(_names(known))
        state = State() if claim.replaces is None else (yield from self.read(record.identity))
        while True:
            if not _rows.may_claim(state.highest, claim):
                if state.highest is None:
                    raise LookupError(f"the store has no action {record.identity!r} to claim anew")
                if _rows.is_same_claim(state.highest, claim):
                    return Claimed(state.highest)
                return (yield from self.existing(state))
            guarding = Guarding(
                time.time(),
                "" if known else record.operation_name,
                "" if known else names,
                claim.duplicates_since,
                claim.refuse_duplicates,
            )
            events = () if claim.event is None else ((record, claim.event),)
            change = Change((record,), events, moments=calls.claimed_now(record))
            reply = yield calls.write(self.keys, self.id, record.identity, state, _version(record), change, guarding)
            if reply == OK:
                self.names[record.operation_name] = names
                return Claimed(record)
            match reply[0]:
                case b"ok":
                    self.names[record.operation_name] = names
                    return Claimed(record, codec.unpack(reply[1]))
                case b"duplicate":
                    return DuplicateFound(codec.unpack(reply[1]))
                case b"names":
                    return ScopeNamesDiffer(_names(reply[1]))
                case _:
                    state = self.state(self._in_time(reply), NOTHING_SENT)

    def _in_time(self, reply: Any) -> Any:
        if reply[0] == b"clock":
            behind = float(reply[1]) / 1e6
            raise StoreUnavailableError(
                f"this machine's clock and that of the Redis server of {self.location} differ by {abs(behind):.0f} s, so "
                f"that leases would not hold, {NOTHING_SENT}; set the clocks, and run it again."
            )
        return reply

    def renew(self, renewal: Renewal) -> Plan[Renewed | Existing]:
        """See `Store.renew`."""
        me = yield from self.open()
        expect = renewal.expect
        task = (renewal.identity, expect.generation, renewal.new_fence)
        claiming = self.claiming
        claiming.begin(task)
        try:
            state = yield from self.read(renewal.identity)
            while True:
                row = state.highest
                if row is None:
                    raise LookupError(f"the store has no action {renewal.identity!r} to renew or settle")
                if _rows.is_same_renewal(row, renewal):
                    new = row
                    break
                if not _rows.matches(row, expect, renewal.holder):
                    return (yield from self.existing(state))
                new = _rows.renewed(row, renewal)
                events = () if renewal.event is None else ((new, renewal.event),)
                change = Change((new,), events, moments=calls.renewed_now(new))
                reply = yield calls.write(
                    self.keys, self.id, renewal.identity, state, _version(new), change, Guarding(time.time())
                )
                if reply == OK:
                    break
                state = self.state(self._in_time(reply), NOTHING_SENT)
            me.running.begin(new)
        finally:
            claiming.end(task)
        if renewal.new_fence != expect.fence:
            me.running.end((renewal.identity, expect.generation, expect.fence))
        return Renewed(new)

    # --- what became of it -----------------------------------------------------------------------------------

    def settle(self, settlement: Settlement) -> Plan[Settled | Existing | None]:
        """See `Store.settle`."""
        me = yield from self.open()
        task = (settlement.identity, settlement.expect.generation, settlement.expect.fence)
        known = me.running.row(task)
        # As the task wrote it, and the only generation: so the version is known too, unless something came between.
        if known is not None and known.generation == 1 and _rows.is_own(known, settlement):
            state = State(_version(known), (known,))
        else:
            state = yield from self.read(settlement.identity)
        while True:
            verdict = _rows.settle(state.generations, settlement)
            if verdict.rows or verdict.events:
                other = yield from self.change(settlement.identity, state, Change(verdict.rows, verdict.events))
                if other is not None:
                    state = other
                    continue
            if verdict.answer is None:
                return (yield from self.existing(state)) if state.generations else None
            me.running.end(task)
            return verdict.answer

    def resolve(self, resolution: Resolution) -> Plan[Resolved | Existing | None]:
        """See `Store.resolve`."""
        me = yield from self.open()
        state = yield from self.read(resolution.identity)
        while True:
            row = state.generation(resolution.expect.generation)
            alive = False
            if row is not None and row.holder == me.name:
                alive = self.is_own(me, row)
            elif row is not None and row.holder is not None:
                left = state.clock.lease_left if state.clock is not None and row == state.highest else None
                alive = (left is not None and left >= 0) or (yield partial(me.is_running, row.holder))
            verdict = _rulings.resolve(state.generations, resolution, alive=alive)
            if verdict.rows or verdict.events:
                other = yield from self.change(resolution.identity, state, Change(verdict.rows, verdict.events))
                if other is not None:
                    state = other
                    continue
            if verdict.answer is not None:
                return verdict.answer
            return (yield from self.existing(state)) if state.generations else None

    def note(self, record: Record, event: Event) -> Plan[None]:
        """See `Store.note`."""
        other: State | None = yield from self.read(record.identity)
        while other is not None and (row := other.generation(record.generation)) is not None:
            later = event.at > row.last_seen_at
            rows = (changed(row, {"last_seen_at": event.at}),) if later else ()
            other = yield from self.change(record.identity, other, Change(rows, ((row, event),)))

    def purge(self, at: datetime, limit: int) -> Plan[int]:
        """See `Store.purge`."""
        yield from self.open()
        found = yield plain("ZRANGEBYSCORE", self.keys.due, "-inf", codec.ticks(at), "LIMIT", 0, max(limit, 0))
        count = 0
        for member in sorted((Member.of(text) for text in found), key=lambda member: member.number):
            count += yield from self._purge(member, at)
        return count

    def _purge(self, member: Member, at: datetime) -> Plan[int]:
        other: State | None = yield from self.read(member.identity)
        while other is not None:
            row = other.generation(member.generation)
            # A tombstone is listed as due where the server has let the record expire by itself.
            if row is None or not (_rulings.is_due(row, at) or row.purged):
                return 0
            new = _rulings.tombstone(row, at)
            change = Change((new,), ((new, Event(at, _rulings.PURGED)),), forget=(new.generation,))
            other = yield from self.change(member.identity, other, change)
        return 1


def _version(record: Record) -> str:
    """Names the write of a claim or a further attempt, so that the task which settles it knows it."""
    return f"{record.claim_nonce}.{record.generation}.{record.fence}.{record.attempts}"


def _names(text: str | bytes) -> tuple[str, ...]:
    return tuple(json.loads(text))
