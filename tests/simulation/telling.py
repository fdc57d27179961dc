"""What is checked at the moment when something is sent, and when a caller is told what came of it."""

from __future__ import annotations

from samekey._core.run import Done
from samekey._core.states import Status
from samekey._core.steps import Send
from samekey._drivers.ports import Books
from tests.simulation.apis import Request
from tests.simulation.machines import Process, SimClock
from tests.simulation.world import Told, World

NOTHING_SENT = {
    "ActionRejectedError",
    "DuplicateActionError",
    "KeyReusedError",
    "NotSentError",
    "StoreUnavailableError",
}
"""Who is told this has sent nothing that could still happen."""
AFTER_CLOSE = "effect_after_close"


def check_recorded(world: World, process: Process, step: Send) -> None:
    """Promise 4: the store recorded this very attempt, and its lease has not run out."""
    record = step.record
    lease = world.store.attempts.pop((record.idempotency_key, record.fence, record.attempts), None)
    if lease is None:
        world.broken.append(f"promise 4: attempt {record.attempts} of {record.idempotency_key[:8]} was not recorded")
    elif SimClock(world, process).now().wall >= lease:
        world.broken.append(
            f"promise 4: attempt {record.attempts} of {record.idempotency_key[:8]} was sent after its lease"
        )


def check_recovered(world: World, process: Process, request: Request) -> None:
    """Promise 3: what everybody was told had not been sent is sent when somebody begins it, and not by `recover()`."""
    action = request.action
    if request.recovering and not world.loose[action] and world.uncertain.get(action, set()) <= {process}:
        world.broken.append(f"promise 3: recover() sent {action}, of which everybody was told that nothing was sent")


def check_interrupted(world: World, process: Process, action: str, ports: Books) -> None:
    """An answer that was complete before Ctrl-C is settled before it goes on (R5b)."""
    if process.dead or process.unfinished.settlements or world.task.interrupts > 1:
        return
    if _confirmed(ports):
        rows = world.store.rows.get(_identity(ports), [])
        if not any(row.status is Status.SUCCEEDED or row.reason == AFTER_CLOSE for row in rows):
            world.broken.append(f"R5b: {action} was confirmed before Ctrl-C, and is not settled")


def tell(world: World, process: Process, action: str, done: Done, ports: Books, sent_by_then: int) -> str:
    """Writes down what a caller was told, and checks what must hold at this moment."""
    record, error = done.record, done.error
    verdict = "success" if error is None else type(error).__name__
    reference = record.response_reference if record is not None else None
    if error is None and done.reply is not None:
        reference = done.reply.body.decode().partition('"id": "')[2].partition('"')[0]
    reason = str(getattr(error, "reason", "") or "")
    _count(world, done, verdict, reason)
    _check_told(world, action, done, verdict)
    _check_purged(world, action, done, verdict)
    if _confirmed(ports) and verdict != "success" and reason != AFTER_CLOSE:
        world.broken.append(f"R11: {action} was confirmed by the API, and its caller was told {verdict}")
    if verdict in NOTHING_SENT:
        world.loose[action] -= 1
        if getattr(error, "uncertain", False):
            world.uncertain.setdefault(action, set()).add(process)
    sent = frozenset(request.number for request in world.requests[:sent_by_then] if request.action == action)
    key = record.idempotency_key if record else None
    world.told.append(
        Told(action, world.now, verdict, reference, key, sent, done.reply is None, done.unrecorded is not None)
    )
    return verdict


def _confirmed(ports: Books) -> bool:
    """Whether the API's last answer to this caller was a success."""
    return ports.sent is not None and ports.sent.reply is not None and ports.sent.reply.status == 201


def _identity(ports: Books) -> str:
    return ports.held[-1][0] if ports.held else ""


def _check_told(world: World, action: str, done: Done, verdict: str) -> None:
    record = done.record
    must = verdict in {"ActionRejectedError", "NotSentError"} or (verdict == "success" and _unrepeatable(world))
    if must and record is not None and done.unrecorded is None and not world.store.survives(record):
        world.broken.append(f"promise 3: {action} was told {verdict}, which a power loss would forget")
    if verdict == "DuplicateActionError" and (record is None or done.run.plan.contract.duplicates != "reject"):
        others = [identity for identity in world.store.rows if identity != done.run.plan.identity.digest]
        if not others:
            world.broken.append(f"promise 3: {action} was called a duplicate, and there is no other action")


def _check_purged(world: World, action: str, done: Done, verdict: str) -> None:
    """Of what was purged only the end is known, and that is told for ever (R8)."""
    rows = world.store.rows.get(done.run.plan.identity.digest, [])
    if not rows or not rows[-1].purged:
        return
    world.reached[f"told of a tombstone {verdict}"] += 1
    ends = {"StoreUnavailableError", "success" if rows[-1].status is Status.SUCCEEDED else "refused"}
    ends |= {"ActionRejectedError", "ActionAbandonedError"} if "refused" in ends else set()
    if verdict not in ends:
        world.broken.append(f"promise 2: {action} had ended and was purged, and its caller was told {verdict}")


def _count(world: World, done: Done, verdict: str, reason: str) -> None:
    world.reached[f"told {verdict}"] += 1
    if done.run.recovered:
        world.reached["recovered"] += 1
    if done.unrecorded is not None:
        world.reached["unrecorded"] += 1
    if reason:
        world.reached[f"review {reason}"] += 1


def _unrepeatable(world: World) -> bool:
    """Whether a lost success could not be fetched again (R7b)."""
    profile = world.scenario.profile
    return not profile.keyed or profile.window_seconds is None or profile.window_seconds <= 3600.0
