"""Performs the core's steps, one after the other, on the event loop of the calling task."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, assert_never

from samekey._core.run import Done
from samekey._core.steps import Await, LookUp, Renew, Reservation, Send, Settle, Sleep, Step
from samekey._core.verbs import Existing, StoreFailed
from samekey._drivers.course import Course
from samekey._drivers.ports import AsyncPorts, notes, noting
from samekey._drivers.shielding import shield
from samekey.errors import StoreError
from samekey.telemetry import log, tracing

T = TypeVar("T")


async def drive(step: Step, ports: AsyncPorts) -> Done:
    """Performs steps until the end, whatever interrupts it.

    Raises:
        BaseException: what interrupted it (a cancellation, Ctrl-C, …), after the truth was written down.
    """
    course = Course(step, ports)
    del step  # what it holds ends with it
    try:
        if ports.unfinished.settlements:
            await _settle_unfinished(ports)
        while True:
            try:
                if not course.goes_on():
                    break
                course.performed(await _perform(course.step, ports))
            except GeneratorExit:
                raise  # nobody can wait here any more
            except BaseException as error:  # noqa: BLE001 - the truth is written down, then it goes on
                course.interrupted(error)
    finally:
        ports.let_go(ports.store.release)
    done = course.end()
    for record, event in notes(done, ports.clock.wall):
        with noting(record, event):
            await ports.store.note(record, event)
    return done


async def _perform(step: Step, ports: AsyncPorts) -> Step:
    store, now = ports.store, ports.clock.now
    match step:
        case Send():
            ports.begin_attempt()
            ports.attempted(await ports.send(step, ports))
            return step.next(ports.answer, now())
        case Reservation():
            return step.next(ports.claimed(step, await _ask(ports, store.claim, step.claim)), now())
        case Settle():
            with shield():
                settled = await _ask(ports, store.settle, step.settlement)
            return step.next(settled, now())
        case Renew():
            return step.next(ports.renewed(await _ask(ports, store.renew, step.renewal)), now())
        case Sleep():
            granted = ports.granted(step)
            await ports.clock.sleep(step.seconds if granted else 0)
            return step.next(granted, now())
        case Await():
            log.awaiting(step.existing.record, step.seconds)
            return step.next(await _ask(ports, _waited, ports, step), now())
        case LookUp():
            await ports.clock.sleep(step.seconds)
            return step.next(await ports.look_up(step.record, ports), now())
        case Done():
            return step
        case _:
            assert_never(step)


async def _ask(ports: AsyncPorts, verb: Callable[..., Awaitable[T]], *arguments: Any) -> T | StoreFailed:
    try:
        if not tracing.used():
            return await verb(*arguments)
        with tracing.verb(getattr(verb, "__name__", "")):
            return await verb(*arguments)
    except StoreError as error:
        return ports.failed(error)


async def _waited(ports: AsyncPorts, step: Await) -> Existing | None:
    await ports.store.wait(step.existing, step.seconds)
    return await ports.store.get(step.existing.record.identity)


async def _settle_unfinished(ports: AsyncPorts) -> None:
    with ports.unfinished.taken() as taken:
        for settlement in taken:
            if isinstance(await _ask(ports, ports.store.settle, settlement), StoreFailed):
                ports.unfinished.add(settlement)
    ports.cause = None
