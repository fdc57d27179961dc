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
from samekey._core.model import Failure, Outgoing, Record, Reply
from samekey._core.plan import Plan
from samekey._core.policy import Backoff, FullJitter
from samekey._core.run import Done
from samekey._core.states import Status
from samekey._core.steps import Send, Step, resume, start
from samekey._core.verbs import Existing
from samekey._drivers.ports import Ports
from samekey._drivers.sync import drive
from tests.simulation.apis import Request
from tests.simulation.machines import SECRET, Killed, Process, ProcessStore, SimClock
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
def identity_of(action: str) -> Identity:
    """The identity of an action."""
    return identify("default", "create", {"id": action})


@lru_cache
def outgoing(action: str, version: int) -> Outgoing:
    """The request of an action; another version is other data."""
    return Outgoing(
        method="POST",
        url="https://api.example/things",
        shown_url="https://api.example/things",
        origin="https://api.example:443",
        body=b'{"id": "%b", "version": %d}' % (action.encode(), version),
        content_type="application/json",
        attempt_seconds=ATTEMPT_SECONDS,
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
        identity=identity_of(action),
        outgoing=request,
        content=content,
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


def _ports(world: World, process: Process, action: str, request: Outgoing) -> Ports:
    clock = SimClock(world, process)

    def send(step: Send) -> Exchange:
        return _send(world, process, action, request, step, ports)

    def look_up(_record: Record) -> Any:
        raise AssertionError("no contract here looks up")

    store: Any = ProcessStore(world, process)  # has the verbs that the driver asks
    ports = Ports(store, clock, None, process.unfinished, send, look_up)
    return ports


def _send(world: World, process: Process, action: str, request: Outgoing, step: Send, ports: Ports) -> Exchange:
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
    )
    _check_recorded(world, process, step)
    slot = Slot()
    world.transmit(sent, slot, world.task)
    try:
        world.wait_until(world.now + min(READ_SECONDS, max(step.seconds, 0.1)))
        world.pause("after send")
    except KeyboardInterrupt as error:
        return Exchange(None, Failure(sent=True, summary="interrupted", interrupted=True), None, error)
    if slot.reply is None:
        return Exchange(None, Failure(sent=True, summary="no answer within 30 s"))
    return Exchange(slot.reply, None)


def _check_recorded(world: World, process: Process, step: Send) -> None:
    """Promise 4: the store recorded this very attempt, and its lease has not run out."""
    record = step.record
    lease = world.store.attempts.get((record.idempotency_key, record.fence, record.attempts))
    if lease is None:
        world.broken.append(f"promise 4: attempt {record.attempts} of {record.idempotency_key[:8]} was not recorded")
    elif SimClock(world, process).now().wall >= lease:
        world.broken.append(
            f"promise 4: attempt {record.attempts} of {record.idempotency_key[:8]} was sent after its lease"
        )


def begin(world: World, place: int, action: str, version: int, again: Callable[[str], None]) -> None:
    """Starts a task that begins an action, and tells `again` what came of it."""
    process = world.process(place)

    def work() -> None:
        request = outgoing(action, version)
        plan = plan_of(world, process, action, request)
        run(world, process, action, request, start(plan), again)

    world.spawn(process, work, world.now)


def run(
    world: World, process: Process, action: str, request: Outgoing, step: Step, again: Callable[[str], None]
) -> None:
    """Drives one begin to its end, and writes down what the caller was told."""
    ports = _ports(world, process, action, request)
    try:
        done = drive(step, ports)
    except Killed:
        again("killed")
        return
    except KeyboardInterrupt:
        again("interrupted")
        return
    store: Any = ports.store
    again(_tell(world, action, done, store.sent_by_then))


def _tell(world: World, action: str, done: Done, sent_by_then: int) -> str:
    record, error = done.record, done.error
    verdict = "success" if error is None else type(error).__name__
    reference = record.response_reference if record is not None else None
    if error is None and done.reply is not None:
        reference = done.reply.body.decode().partition('"id": "')[2].partition('"')[0]
    world.reached[f"told {verdict}"] += 1
    must = verdict in {"ActionRejectedError", "NotSentError"} or (verdict == "success" and _unrepeatable(world))
    if must and record is not None and done.unrecorded is None and not world.store.survives(record):
        world.broken.append(f"promise 3: {action} was told {verdict}, which a power loss would forget")
    if done.run.recovered:
        world.reached["recovered"] += 1
    if done.unrecorded is not None:
        world.reached["unrecorded"] += 1
    reason = getattr(error, "reason", "")
    if reason:
        world.reached[f"review {reason}"] += 1
    world.told.append(
        Told(
            action,
            world.now,
            verdict,
            reference,
            record.idempotency_key if record else None,
            frozenset(request.number for request in world.requests[:sent_by_then] if request.action == action),
            done.reply is None,
            done.unrecorded is not None,
        )
    )
    return verdict


def _unrepeatable(world: World) -> bool:
    """Whether a lost success could not be fetched again (R7b)."""
    window = world.scenario.profile.window_seconds
    return window is None or window <= 3600.0


def recover(world: World, place: int) -> None:
    """What `client.recover()` does, for every record that is left behind."""
    process = world.process(place)

    def work() -> None:
        store = ProcessStore(world, process)
        left = [rows[-1] for rows in world.store.rows.values() if rows]
        for record in left:
            if record.status not in {Status.IN_FLIGHT, Status.UNKNOWN} or record.frozen_request is None:
                continue
            existing = store.get(record.identity)
            if existing is not None and not existing.alive and existing.record.frozen_request is not None:
                _recover_one(world, process, existing)

    def quietly() -> None:
        try:
            work()
        except Exception as error:
            if type(error).__name__ != "StoreUnavailableError":
                raise

    world.spawn(process, quietly, world.now)


def _recover_one(world: World, process: Process, existing: Existing) -> None:
    action = existing.record.scope["id"]
    frozen = unfreeze(existing.record.frozen_request or b"")
    version = int((frozen.body or b"").rpartition(b": ")[2].rstrip(b"}") or 0)
    request = outgoing(action, version)
    plan = plan_of(world, process, action, request, recovering=True)
    step = resume(plan, existing, SimClock(world, process).now())
    world.reached["recover"] += 1
    try:
        drive(step, _ports(world, process, action, request))
    except KeyboardInterrupt:
        return
