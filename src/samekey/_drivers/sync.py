"""Performs the core's steps, one after the other, on the calling thread."""

from collections.abc import Callable
from typing import TypeVar, assert_never

from samekey._core.model import Event, Failure
from samekey._core.run import Done, LookedUp
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, Step
from samekey._core.verbs import Existing, Renewed, StoreFailed
from samekey._drivers.ports import Ports, interruption_of, tell_along
from samekey.errors import StoreError
from samekey.stores import Store
from samekey.telemetry import log, tracing

MOST_INTERRUPTIONS = 3
"""Ctrl-C pressed more often than this while the truth is being written down ends the wait for it."""

T = TypeVar("T")
A = TypeVar("A")


def drive(step: Step, ports: Ports) -> Done:
    """Performs steps until the end, whatever interrupts it.

    Raises:
        BaseException: what interrupted it (Ctrl-C, SystemExit, …), after the truth was written down.
    """
    interruption: BaseException | None = None
    times = 0
    try:
        _settle_unfinished(ports)
        while not isinstance(step, Done):
            try:
                if interruption is not None and not isinstance(step, Settle):
                    step = step.interrupted(ports.clock.now())
                    continue
                step = _perform(step, ports)
                interruption = interruption or ports.interruption
            except BaseException as error:  # noqa: BLE001 - the truth is written down, then it goes on
                interruption = interruption or error
                times += 1
                if times > MOST_INTERRUPTIONS:
                    break
                step = _interrupted(step, ports)
    finally:
        for held in ports.held:
            ports.store.release(*held)
    if isinstance(step, Done):
        ports.finish(step)
    if interruption is not None:
        if isinstance(step, Done):
            tell_along(interruption, step)
        raise interruption
    assert isinstance(step, Done)
    if step.note is not None or step.run.drift:
        _note(step, ports)
    return step


def _perform(step: Step, ports: Ports) -> Step:
    store, now = ports.store, ports.clock.now
    match step:
        case Send():
            ports.sent, ports.attempting = None, False
            ports.sent = sent = ports.send(step)
            ports.interruption = interruption_of(sent)
            return step.next(ports.answer, now())
        case Reservation():
            answer = _ask(ports, store.claim, step.claim)
            ports.claimed(step, answer)
            return step.next(answer, now())
        case Settle():
            return step.next(_ask(ports, store.settle, step.settlement), now())
        case Renew():
            renewed = _ask(ports, store.renew, step.renewal)
            if isinstance(renewed, Renewed):
                ports.hold(renewed.record)
            return step.next(renewed, now())
        case Sleep():
            return step.next(_pause(step, ports), now())
        case Await():
            log.awaiting(step.existing.record, step.seconds)
            return step.next(_ask(ports, _wait(store, step.seconds), step.existing), now())
        case LookUp():
            return step.next(_look_up(step, ports), now())
        case Done():
            return step
        case _:
            assert_never(step)


def _interrupted(step: Step, ports: Ports) -> Step:
    """The step after an interruption. What an attempt brought, or may have brought, is not forgotten."""
    now = ports.clock.now()
    if isinstance(step, Send) and ports.sent is not None:
        return step.next(ports.answer, now)
    if isinstance(step, Send) and ports.attempting:
        return step.next(Failure(sent=True, summary="interrupted while it was being sent", interrupted=True), now)
    return step if isinstance(step, Done) else step.interrupted(now)


def _ask(ports: Ports, verb: Callable[[A], T], argument: A) -> T | StoreFailed:
    try:
        with tracing.verb(getattr(verb, "__name__", "")):
            return verb(argument)
    except StoreError as error:
        return ports.failed(error)


def _pause(step: Sleep, ports: Ports) -> bool:
    if ports.budget is not None and not ports.budget.withdraw(ports.clock.now().boot_time):
        log.out_of_budget(step.attempt.record, step.attempt.judgement.summary)
        return False
    attempt, policy = step.attempt, step.run.plan.backoff
    log.waiting(attempt.record, step.seconds, step.run.sent + 1, policy.attempts, attempt.judgement.summary)
    ports.clock.sleep(step.seconds)
    return True


def _look_up(step: LookUp, ports: Ports) -> LookedUp:
    if step.seconds:
        ports.clock.sleep(step.seconds)
    return ports.look_up(step.record)


def _wait(store: Store, seconds: float) -> Callable[[Existing], Existing | None]:
    def wait(existing: Existing) -> Existing | None:
        store.wait(existing, seconds)
        return store.get(existing.record.identity)

    return wait


def _settle_unfinished(ports: Ports) -> None:
    for settlement in ports.unfinished.take() if ports.unfinished.settlements else ():
        if isinstance(_ask(ports, ports.store.settle, settlement), StoreFailed):
            ports.unfinished.add(settlement)
    ports.cause = None


def _note(done: Done, ports: Ports) -> None:
    if done.run.drift:
        _write_note(done, Event(ports.clock.wall(), "contract_changed", "; ".join(done.run.drift)), ports)
    if done.note is not None:
        _write_note(done, done.note, ports)


def _write_note(done: Done, note: Event, ports: Ports) -> None:
    record = done.about or done.record
    if record is not None:
        try:
            ports.store.note(record, note)
        except StoreError:
            log.unrecorded(record, f"the event {note.kind!r} could not be stored")
