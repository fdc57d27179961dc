"""Hosts, processes and the store they share: what can crash, lose power, and have a wrong clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from samekey._core.model import Event, Moment, Record
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
from samekey._drivers.runtime import Unfinished
from samekey.errors import StoreUnavailableError
from samekey.stores import _rows, _rulings
from tests.simulation.scenarios import EPOCH

if TYPE_CHECKING:
    from tests.simulation.world import World

SECRET = b"simulation-secret-of-32-bytes..."


@dataclass
class Host:
    """A machine: a boot id, a clock that may be wrong."""

    name: str
    boot: int = 1
    booted_at: float = 0.0
    skew: float = 0.0

    @property
    def boot_id(self) -> str:
        """Names this boot."""
        return f"{self.name}-{self.boot}"


@dataclass(eq=False)
class Process:
    """A process: it dies at once and takes its tasks with it. Every third one runs an event loop."""

    number: int
    host: Host
    dead: bool = False
    running: set[tuple[str, int, int]] = field(default_factory=set)
    unfinished: Unfinished = field(default_factory=Unfinished)

    @property
    def holder(self) -> str:
        """Its name in the store."""
        return f"{self.host.boot_id}.{self.number}"

    @property
    def asynchronous(self) -> bool:
        """Whether the driver of event loops runs in it."""
        return self.number % 10 == 1


class Killed(BaseException):
    """The process that runs this is dead: nothing it does has any effect."""


class SharedStore:
    """The rows, and what of them would survive a power loss. The row logic is the real stores' own."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Record]] = {}
        self.events: list[tuple[str, Event]] = []
        self.attempts: dict[tuple[str, int, int], datetime] = {}
        self.stamps: dict[str, tuple[float, float]] = {}
        self._synced: dict[str, list[Record]] = {}

    def write(self, record: Record) -> None:
        """Puts a row in its place."""
        rows = self.rows.setdefault(record.identity, [])
        for place, row in enumerate(rows):
            if row.generation == record.generation:
                rows[place] = record
                return
        rows.append(record)

    def sync(self) -> None:
        """A durable commit: this and all that was written before it."""
        self._synced = {identity: list(rows) for identity, rows in self.rows.items()}

    def lose_power(self) -> None:
        """Forgets what no durable commit covered."""
        self.rows = {identity: list(rows) for identity, rows in self._synced.items()}

    def survives(self, record: Record) -> bool:
        """Whether a power loss now would leave the row as it is told."""
        rows = self._synced.get(record.identity, [])
        return any(
            (row.generation == record.generation and row.fence >= record.fence and (row == record or row.purged))
            or row.generation > record.generation
            or row.fence > record.fence
            for row in rows
        )

    def duplicate(self, claim: Claim) -> Record | None:
        """Another action with the same payload, if one is asked for."""
        if claim.duplicates_since is None:
            return None
        rows = (row for rows in self.rows.values() for row in rows)
        return next((row for row in rows if _rows.is_duplicate(row, claim)), None)

    def permit(self, record: Record) -> None:
        """Remembers that this attempt was recorded: it permits one send (promise 4)."""
        if record.lease_expires_at is not None:
            self.attempts[record.idempotency_key, record.fence, record.attempts] = record.lease_expires_at


class ProcessStore:
    """The store as one process sees it: each verb may crash before and after, fail, or commit and report an error."""

    location = "simulation"
    lease = None

    def __init__(self, world: World, process: Process) -> None:
        self.claim_durable = world.scenario.claim_durable
        self._world = world
        self._process = process
        self._shared = world.store
        self.sent_by_then = 0

    @property
    def holder(self) -> str:
        """This process."""
        return self._process.holder

    def claim(self, claim: Claim) -> Claimed | Existing | DuplicateFound | ScopeNamesDiffer:
        """See `samekey.stores.Store`."""
        self._before("claim")
        record = claim.record
        highest = self._highest(record.identity)
        if highest is not None and (not _rows.may_claim(highest, claim)):
            return self._existing(highest)
        if highest is None and claim.replaces is not None:
            raise AssertionError("a claim replaces what does not exist")
        duplicate = self._shared.duplicate(claim)
        if duplicate is not None and claim.refuse_duplicates:
            return DuplicateFound(duplicate)
        self._note_generation(claim, highest)
        self._shared.write(record)
        if self.claim_durable:
            self._shared.sync()
        self._shared.permit(record)
        self._stamp(record, first=True)
        self._report("claim")
        self._process.running.add((record.identity, record.generation, record.fence))
        self._world.pause("after claim")
        return Claimed(record)

    def renew(self, renewal: Renewal) -> Renewed | Existing:
        """See `samekey.stores.Store`."""
        self._before("renew")
        row = self._highest(renewal.identity)
        assert row is not None
        if not _rows.matches(row, renewal.expect, renewal.holder):
            return self._existing(row)
        new = _rows.renewed(row, renewal)
        self._shared.write(new)
        self._shared.sync()
        self._shared.permit(new)
        self._stamp(new, first=False)
        self._event(new, renewal.event)
        self._report("renew")
        self._process.running.discard((new.identity, new.generation, row.fence))
        self._process.running.add((new.identity, new.generation, new.fence))
        self._world.pause("after renew")
        return Renewed(new)

    def settle(self, settlement: Settlement) -> Settled | Existing | None:
        """See `samekey.stores.Store`."""
        self._before("settle")
        rows = self._shared.rows.get(settlement.identity, [])
        verdict = _rows.settle(rows, settlement)
        for row in verdict.rows:
            self._shared.write(row)
        for row, event in verdict.events:
            self._event(row, event)
        if settlement.durable:
            self._shared.sync()
        if verdict.answer is not None and verdict.answer.contradiction:
            self._world.reached["contradiction" if verdict.rows else "contradiction again"] += 1
        self._report("settle")
        expect = settlement.expect
        self._process.running.discard((settlement.identity, expect.generation, expect.fence))
        self._world.pause("after settle")
        if verdict.answer is not None:
            return verdict.answer
        highest = self._highest(settlement.identity)
        return None if highest is None else self._existing(highest)

    def resolve(self, resolution: Resolution) -> Resolved | None:
        """See `samekey.stores.Store`; None where it is refused."""
        self._world.pause("before resolve")
        rows = self._shared.rows.get(resolution.identity, [])
        row = next(row for row in rows if row.generation == resolution.expect.generation)
        verdict = _rulings.resolve(rows, resolution, alive=self._existing(row).alive)
        for new in verdict.rows:
            self._shared.write(new)
        self._shared.sync()
        return verdict.answer

    def purge(self, at: datetime) -> int:
        """See `samekey.stores.Store`."""
        due = [row for rows in self._shared.rows.values() for row in rows if _rulings.is_due(row, at)]
        for row in due:
            self._shared.write(_rulings.tombstone(row, at))
        self._shared.sync()
        return len(due)

    def get(self, identity: str) -> Existing | None:
        """See `samekey.stores.Store`."""
        self._before("get")
        highest = self._highest(identity)
        return None if highest is None else self._existing(highest)

    def note(self, record: Record, event: Event) -> None:
        """See `samekey.stores.Store`."""
        self._event(record, event)

    def wait(self, existing: Existing, seconds: float) -> None:
        """Polls."""
        world = self._world
        poll = 5 if world.scenario.most_switches is not None else world.choices.pick(3) * 10 + 1
        world.wait_until(world.now + min(seconds, poll))

    def release(self, identity: str, generation: int, fence: int) -> None:
        """See `samekey.stores.Store`."""
        self._process.running.discard((identity, generation, fence))

    def _before(self, verb: str) -> None:
        self._world.pause(f"before {verb}")
        if self._world.fault(f"{verb}_failed"):
            raise StoreUnavailableError("the disk is full")
        # What the caller is told rests on the rows as they are now; what others send later is not meant.
        self.sent_by_then = len(self._world.requests)

    def _report(self, verb: str) -> None:
        """The commit is done, and may report an error all the same."""
        if self._world.fault(f"{verb}_error"):
            raise StoreUnavailableError("the disk reported an error", uncertain=True)

    def _note_generation(self, claim: Claim, highest: Record | None) -> None:
        """A generation is raised only after a refusal that was complete before this begin (R15)."""
        if highest is None or claim.record.generation == highest.generation:
            return
        world = self._world
        world.reached["new generation"] += 1
        done, begun = highest.completed_at, world.task.begun
        if world.scenario.right_clocks and done is not None and begun is not None and done > begun:
            world.broken.append(f"R15: {highest.idempotency_key[:8]} was refused meanwhile, and was tried anew")

    def _highest(self, identity: str) -> Record | None:
        rows = self._shared.rows.get(identity)
        return rows[-1] if rows else None

    def _existing(self, record: Record) -> Existing:
        latest = max(row.created_at for rows in self._shared.rows.values() for row in rows)
        own = record.holder == self.holder
        task = (record.identity, record.generation, record.fence)
        alive = task in self._process.running if own else self._world.is_alive(record.holder, self._process.host)
        high_water = max(latest, record.last_seen_at)
        return Existing(record, alive=alive, own=own and alive, high_water=high_water, by_store=self._by_store(record))

    def _stamp(self, record: Record, *, first: bool) -> None:
        """The moments of an attempt by the store's own clock, which is right."""
        now, key = self._world.now, record.idempotency_key
        lease = (record.lease_expires_at or record.last_seen_at) - record.last_seen_at
        began = now if first else self._shared.stamps[key][0]
        self._shared.stamps[key] = began, now + lease.total_seconds()

    def _by_store(self, record: Record) -> StoreClock | None:
        stamps = self._shared.stamps.get(record.idempotency_key)
        if stamps is None or not self._world.scenario.stores_clock:
            return None
        return StoreClock(self._world.now - stamps[0], stamps[1] - self._world.now)

    def _event(self, record: Record, event: Event | None) -> None:
        if event is not None:
            self._shared.events.append((record.idempotency_key, event))


class SimClock:
    """The clocks of one process."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._host = process.host

    def now(self) -> Moment:
        """The clocks of the host; the luck is a draw."""
        host, world = self._host, self._world
        wall = EPOCH + timedelta(seconds=world.now + host.skew)
        return Moment(wall, host.boot_id, world.now - host.booted_at, 0.5)

    def wall(self) -> datetime:
        """The host's wall clock."""
        return self.now().wall

    def sleep(self, seconds: float) -> None:
        """Lets the others go on."""
        if seconds:
            self._world.wait_until(self._world.now + seconds)


class DriverClock(SimClock):
    """The driver's: Ctrl-C may come while it is read, which is between two steps."""

    def now(self) -> Moment:
        """The clocks of the host."""
        self._world.interrupt_between_steps()
        return super().now()


def restarted(process: Process, number: int) -> Process:
    """The next process on the same host."""
    return replace(process, number=number, dead=False, running=set(), unfinished=Unfinished())
