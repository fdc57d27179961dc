"""Callers: scripts that begin actions, are told something, and begin again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from samekey._core.fingerprint import Content, Fingerprint, fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.keys import Identity, identify
from samekey._core.model import Failure, Outgoing, Record, Reply, Result
from samekey._core.plan import Plan
from samekey._core.policy import Backoff, FullJitter
from samekey._core.run import ABSENT, FOUND, INCONCLUSIVE, Done, LookedUp
from samekey._core.states import Status
from samekey._core.steps import Send, Step, resume, start
from samekey._core.verbs import Existing
from samekey._drivers.ports import AsyncPorts, Books, Ports
from samekey._drivers.sync import drive
from samekey.errors import UsageError
from samekey.settings import check_durable
from tests.simulation.apis import Request
from tests.simulation.loops import AsyncClock, AsyncStore, awaitable, drive_async
from tests.simulation.machines import SECRET, DriverClock, Killed, Process, ProcessStore, SimClock
from tests.simulation.telling import check_interrupted, check_recorded, check_recovered, tell
from tests.simulation.world import Slot, Told, World

ATTEMPT_SECONDS = 35.0
LEASE_SECONDS = 65.0
READ_SECONDS = 30.0
BACKOFF = Backoff(attempts=4, deadline=90.0, wait=FullJitter(1.0, 20.0))


@dataclass(frozen=True)
class Exchange:
    """What an attempt brought, in the driver's shape."""

    reply: Reply | None
    failure: Failure | None
    native: Any = None
    error: BaseException | None = None


@lru_cache
def identity_of(action: str, place: int = 0) -> Identity:
    """The identity of an action, whose scope not every program spells in the same order."""
    scope = {"id": action, "kind": "order"}
    return identify("default", "create", scope if place % 2 else dict(reversed(scope.items())))


@lru_cache
def outgoing(action: str, version: int, account: int = 0) -> Outgoing:
    """The request of an action, sent with the credential of an account; another version is other data."""
    return Outgoing(
        method="POST",
        url="https://api.example/things",
        shown_url="https://api.example/things",
        origin="https://api.example:443",
        body=b'{"id": "%b", "version": %d}' % (action.encode(), version),
        content_type="application/json",
        attempt_seconds=ATTEMPT_SECONDS,
        credentials=(("authorization", f"key {account}"),),
    )


_digests: dict[bytes | None, tuple[Content, Fingerprint]] = {}


def _digested(request: Outgoing) -> tuple[Content, Fingerprint]:
    """The few bodies that there are, digested once for all histories."""
    if request.body not in _digests:
        content = read_content(request)
        _digests[request.body] = content, fingerprint(SECRET, request, content)
    return _digests[request.body]


def plan_of(world: World, process: Process, action: str, request: Outgoing, *, recovering: bool = False) -> Plan:
    """What is fixed when an action is begun."""
    content, digest = _digested(request)
    profile = world.scenario.profile
    world.reached["plan"] += 1
    return Plan(
        identity=identity_of(action, process.number),
        outgoing=request,
        kind=content.kind,
        digest=digest,
        profile=profile,
        contract=world.scenario.contract,
        backoff=BACKOFF,
        window_seconds=profile.window_seconds,
        max_delay_seconds=profile.max_delay_seconds,
        lease_seconds=LEASE_SECONDS,
        holder=process.holder,
        secret=SECRET,
        nonce=UUID(int=world.reached["plan"]).hex,
        started=SimClock(world, process).now(),
        unsent=frozenset(process.unfinished.unsent),
        recovering=recovering,
    )


def _ports(world: World, process: Process, action: str, request: Outgoing) -> Ports | AsyncPorts:
    """What the driver of this process asks: the verbs of the store, the clock, the network."""
    clock: Any = DriverClock(world, process)

    def send(step: Send, ports: Books) -> Exchange:
        return _send(world, process, action, request, step, ports)

    def look_up(_record: Record, _ports: Books) -> LookedUp:
        return _look_up(world, action)

    store: Any = ProcessStore(world, process)
    kept: Any = {"budget": None, "unfinished": process.unfinished}
    if process.asynchronous:
        kept |= {"send": awaitable(send), "look_up": awaitable(look_up)}
        return AsyncPorts(store=AsyncStore(store), clock=AsyncClock(clock), **kept)  # type: ignore[arg-type] # verbs enough
    return Ports(store=store, clock=clock, make=lambda *_: None, send=send, look_up=look_up, **kept)


def _drive(process: Process, step: Step, ports: Ports | AsyncPorts) -> Done:
    return drive_async(step, ports) if isinstance(ports, AsyncPorts) else drive(step, ports)


def _send(world: World, process: Process, action: str, request: Outgoing, step: Send, ports: Books) -> Exchange:
    world.pause("before send")
    ports.attempting = True
    if SimClock(world, process).now().wall >= step.not_after:
        world.reached["too_late"] += 1
        return Exchange(None, Failure(sent=False, summary="the time for this attempt ran out before it began"))
    if world.fault("not_sent"):
        return Exchange(None, Failure(sent=False, summary="connection refused"))
    profile = world.scenario.profile
    body = step.frozen.body if step.frozen is not None and step.frozen.body is not None else request.body
    sent = Request(
        len(world.requests) + 1,
        action,
        step.record.idempotency_key if profile.keyed else None,
        body or b"",
        world.now,
        int(request.credentials[0][1].rpartition(" ")[2]),
        step.run.plan.recovering,
    )
    check_recorded(world, process, step)
    check_recovered(world, process, sent)
    slot = Slot()
    world.transmit(sent, slot, world.task)
    world.wait_until(world.now + min(READ_SECONDS, max(step.seconds, 0.1)))
    return _received(world, slot)


def _received(world: World, slot: Slot) -> Exchange:
    """What came within the time-outs; Ctrl-C may come with it, caught here or on the way to the driver."""
    error: BaseException | None = None
    try:
        world.pause("after send")
    except KeyboardInterrupt as interrupt:
        if world.choices.chance(30):
            raise
        error = interrupt
    if slot.reply is not None:
        return Exchange(slot.reply, None, None, error)
    if error is not None:
        return Exchange(None, Failure(sent=True, summary="interrupted", interrupted=True), None, error)
    return Exchange(None, Failure(sent=True, summary="no answer within 30 s"))


def _look_up(world: World, action: str) -> LookedUp:
    """What the API shows of an action now; a request that is still on its way is not seen."""
    world.pause("before look-up")
    if world.fault("get_failed"):
        return LookedUp(INCONCLUSIVE, "it raised")
    found = next((effect for effect in world.api.effects if effect.cause.action == action), None)
    world.reached["look-up absent" if found is None else "look-up found"] += 1
    if found is None:
        return LookedUp(ABSENT, "not in the list")
    return LookedUp(FOUND, "in the list", Result(None, (), None, f"ord_{found.number}"))


def begin(world: World, place: int, action: str, version: int, again: Callable[[str], None], account: int = 0) -> None:
    """Starts a task that begins an action, and tells `again` what came of it."""
    process = world.process(place)

    def work() -> None:
        if not _may_begin(world, process, action, again):
            return
        request = outgoing("any" if world.scenario.same_payload else action, version, account)
        plan = plan_of(world, process, action, request)
        world.task.begun = plan.started.wall
        world.loose[action] += 1
        run(world, process, action, request, start(plan), again)

    world.spawn(process, work, world.now)


def _may_begin(world: World, process: Process, action: str, again: Callable[[str], None]) -> bool:
    """What the client asks of its settings before it begins anything (R17)."""
    if world.scenario.profile.keyed:
        return True
    store: Any = ProcessStore(world, process)
    try:
        check_durable(store, action)
    except UsageError:
        world.reached["told UsageError"] += 1
        world.told.append(Told(action, world.now, "UsageError", None, None, frozenset(), False, False))
        again("UsageError")
        return False
    return True


def run(
    world: World, process: Process, action: str, request: Outgoing, step: Step, again: Callable[[str], None]
) -> None:
    """Drives one begin to its end, and writes down what the caller was told."""
    ports = _ports(world, process, action, request)
    try:
        done = _drive(process, step, ports)
    except Killed:
        again("killed")
        return
    except KeyboardInterrupt:
        check_interrupted(world, process, action, ports)
        again("interrupted")
        return
    store: Any = ports.store
    again(tell(world, process, action, done, ports, store.sent_by_then))


def recover(world: World, place: int, account: int = 0) -> None:
    """What `client.recover()` does, for every record that is left behind, and more: it is handed pending ones too."""
    process = world.process(place)

    def work() -> None:
        store = ProcessStore(world, process)
        left = [rows[-1] for rows in world.store.rows.values() if rows]
        for record in left:
            if record.settled or record.status is Status.NEEDS_REVIEW:
                continue
            existing = store.get(record.identity)
            if existing is not None and not existing.alive:
                _recover_one(world, process, existing, account)

    def quietly() -> None:
        try:
            work()
        except Exception as error:
            if type(error).__name__ != "StoreUnavailableError":
                raise

    world.spawn(process, quietly, world.now)


def _recover_one(world: World, process: Process, existing: Existing, account: int) -> None:
    action = existing.record.scope["id"]
    frozen = existing.record.frozen_request
    body = (unfreeze(frozen).body if frozen is not None else None) or b""
    version = int(body.rpartition(b": ")[2].rstrip(b"}") or 0)
    request = outgoing("any" if world.scenario.same_payload else action, version, account)
    plan = plan_of(world, process, action, request, recovering=True)
    step = resume(plan, existing, SimClock(world, process).now())
    world.reached["recover pending" if frozen is None else "recover"] += 1
    try:
        _drive(process, step, _ports(world, process, action, request))
    except KeyboardInterrupt:
        return
