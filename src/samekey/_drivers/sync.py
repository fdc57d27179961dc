"""Performs the core's steps, one after the other, on the calling thread."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, assert_never

from samekey._core.model import Record
from samekey._core.run import Done
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, Step
from samekey._core.verbs import Existing, StoreFailed
from samekey._drivers.course import Course
from samekey._drivers.ports import Ports, notes, noting
from samekey.errors import StoreError
from samekey.telemetry import log, tracing

T = TypeVar("T")


def drive(step: Step, ports: Ports) -> Done:
    """Performs steps until the end, whatever interrupts it.

    Raises:
        BaseException: what interrupted it (Ctrl-C, SystemExit, …), after the truth was written down.
    """
    course = Course(step, ports)
    del step  # what it holds ends with it
    try:
        if ports.unfinished.settlements:
            _settle_unfinished(ports)
        while True:
            try:
                if not course.goes_on():
                    break
                course.performed(_perform(course.step, ports))
            except BaseException as error:  # noqa: BLE001 - the truth is written down, then it goes on
                course.interrupted(error)
    finally:
        ports.let_go(ports.store.release)
    done = course.end()
    for record, event in notes(done, ports.clock.wall):
        with noting(record, event):
            ports.store.note(record, event)
    return done


def _perform(step: Step, ports: Ports) -> Step:
    store, now = ports.store, ports.clock.now
    match step:
        case Send():
            ports.begin_attempt()
            ports.attempted(ports.send(step, ports))
            return step.next(ports.answer, now())
        case Reservation():
            claim = step.claim.using_time(partial(_make_ready, step.claim.record, ports))
            return step.next(ports.claimed(step, _ask(ports, store.claim, claim)), now())
        case Settle():
            return step.next(_ask(ports, store.settle, step.settlement), now())
        case Renew():
            return step.next(ports.renewed(_ask(ports, store.renew, step.renewal)), now())
        case Sleep():
            granted = ports.granted(step)
            ports.clock.sleep(step.seconds if granted else 0)
            return step.next(granted, now())
        case Await():
            log.awaiting(step.existing.record, step.seconds)
            return step.next(_ask(ports, _waited, ports, step), now())
        case LookUp():
            ports.clock.sleep(step.seconds)
            return step.next(ports.look_up(step.record, ports), now())
        case Done():
            return step
        case _:
            assert_never(step)


def _make_ready(record: Record, ports: Ports) -> None:
    try:  # noqa: SIM105 - this is the cheaper way
        ports.make(record, ports)
    except StoreError:
        pass  # it is not the claim's, in whose midst this is; the attempt will meet it again


def _ask(ports: Ports, verb: Callable[..., T], *arguments: Any) -> T | StoreFailed:
    try:
        if not tracing.used():
            return verb(*arguments)
        with tracing.verb(getattr(verb, "__name__", "")):
            return verb(*arguments)
    except StoreError as error:
        return ports.failed(error)


def _waited(ports: Ports, step: Await) -> Existing | None:
    ports.store.wait(step.existing, step.seconds)
    return ports.store.get(step.existing.record.identity)


def _settle_unfinished(ports: Ports) -> None:
    with ports.unfinished.taken() as taken:
        for settlement in taken:
            if isinstance(_ask(ports, ports.store.settle, settlement), StoreFailed):
                ports.unfinished.add(settlement)
    ports.cause = None
