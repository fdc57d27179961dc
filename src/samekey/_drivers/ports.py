"""What a driver needs from outside, and the small things that every driver does with it."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from samekey._core.model import Event, Failure, Record, Reply
from samekey._core.run import Done, LookedUp
from samekey._core.states import Status
from samekey._core.steps import Reservation, Send, Sleep
from samekey._core.verbs import Claimed, Existing, Renewed, StoreFailed
from samekey._core.verdicts import nothing_done
from samekey._drivers.runtime import AsyncClock, Budget, Clock, Clocks, Unfinished
from samekey.errors import StoreError, StoreUnavailableError
from samekey.stores import AsyncStore, Store
from samekey.telemetry import log

T = TypeVar("T")


class Sent(Protocol):
    """What an attempt brought: facts for the core, objects for the caller."""

    @property
    def reply(self) -> Reply | None: ...
    @property
    def failure(self) -> Failure | None: ...
    @property
    def native(self) -> Any: ...
    @property
    def error(self) -> BaseException | None: ...


@dataclass(slots=True, kw_only=True)
class Books:
    """What is kept of one run besides its step: what needs no waiting.

    Attributes:
        clock: reads time.
        budget: the origin's retry budget; None for none.
        unfinished: what is still to be written.
        task: what `send` and `look_up` go by.
        made: what `make` has made for the next attempt, first the key that it has.
        sent: what the last attempt brought.
        interruption: what interrupted that attempt (Ctrl-C, exit, a cancellation), if anything did.
        attempting: whether the attempt was begun; set by `send` when all is ready for it.
        cause: what the store raised last.
        held: running tasks, to be released at the end whatever happens.
    """

    clock: Clocks
    budget: Budget | None
    unfinished: Unfinished
    task: Any = None
    made: tuple[Any, ...] | None = field(default=None, repr=False)
    sent: Sent | None = None
    interruption: BaseException | None = None
    attempting: bool = False
    cause: StoreError | None = None
    held: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def answer(self) -> Reply | Failure:
        """What the last attempt brought, as facts."""
        assert self.sent is not None
        answer = self.sent.reply or self.sent.failure
        assert answer is not None
        return answer

    def failed(self, error: StoreError) -> StoreFailed:
        """What the store raised, as an answer to a step."""
        self.cause = error
        return StoreFailed(error, isinstance(error, StoreUnavailableError) and error.uncertain)

    def claimed(self, step: Reservation, answer: T) -> T:
        """Keeps the books of a claim, and hands the answer on."""
        match answer:
            case Claimed(record):
                self.held.append((record.identity, record.generation, record.fence))
                if step.claim.event is not None:
                    log.new_generation(record)
                if self.budget is not None:
                    self.budget.deposit()
            case StoreFailed(uncertain=True):
                # Nothing will be sent under this claim; should the row exist, it must not look as if something was.
                self.unfinished.unsent.add(step.claim.record.claim_nonce)
                summary, now = "the claim reported an error", self.clock.now()
                self.unfinished.add(nothing_done(step.run.plan, step.claim.record, summary, now))
            case _:
                pass
        return answer

    def renewed(self, answer: Renewed | Existing | StoreFailed) -> Renewed | Existing | StoreFailed:
        """Keeps the books of a renewal, and hands the answer on."""
        if isinstance(answer, Renewed):
            self.held.append((answer.record.identity, answer.record.generation, answer.record.fence))
        return answer

    def begin_attempt(self) -> None:
        """Nothing is known of an attempt that is only about to be made."""
        self.sent, self.attempting = None, False

    def attempted(self, sent: Sent) -> None:
        """What an attempt brought, and what interrupted it; an error that the attempt itself caused is none."""
        self.sent = sent
        self.interruption = None if sent.failure is not None and not sent.failure.interrupted else sent.error

    def granted(self, step: Sleep) -> bool:
        """Whether the retry budget allows to send again; the wait for it is told."""
        if self.budget is not None and not self.budget.withdraw(self.clock.now().boot_time):
            log.out_of_budget(step.attempt.record, step.attempt.judgement.summary)
            return False
        attempt, policy = step.attempt, step.run.plan.backoff
        log.waiting(attempt.record, step.seconds, step.run.sent + 1, policy.attempts, attempt.judgement.summary)
        return True

    def let_go(self, release: Callable[[str, int, int], None]) -> None:
        """Nothing runs any more."""
        for held in self.held:
            release(*held)

    def finish(self, done: Done) -> None:
        """What is left to do once the outcome is known."""
        record = done.record
        if record is not None and done.unrecorded is not None:
            self.unfinished.add(done.unrecorded)
            log.unrecorded(record, "the outcome could not be stored; it will be tried again")


@dataclass(slots=True, kw_only=True)
class Ports(Books):
    """What the synchronous loop needs from outside, for one action.

    Attributes:
        store: where the record lives.
        clock: reads and passes time.
        make: makes the request of a claim's first attempt, so that `send` need not.
        send: makes one attempt; raises nothing that the attempt itself caused.
        look_up: asks the contract's `reconcile`.
    """

    store: Store
    clock: Clock
    make: Callable[[Record, "Ports"], object]
    send: Callable[[Send, "Ports"], Sent]
    look_up: Callable[[Record, "Ports"], LookedUp]


@dataclass(slots=True, kw_only=True)
class AsyncPorts(Books):
    """What the asynchronous loop needs from outside; see `Ports`."""

    store: AsyncStore
    clock: AsyncClock
    send: Callable[[Send, "AsyncPorts"], Awaitable[Sent]]
    look_up: Callable[[Record, "AsyncPorts"], Awaitable[LookedUp]]


def had_succeeded(label: str) -> str:
    """What an exception is told that hides a success."""
    return f"{label}: had succeeded before this error; run it again: the stored result comes back and nothing is sent."


def tell_along(interruption: BaseException, done: Done) -> None:
    """Notes on an interruption what it hides: the outcome that nobody gets returned or raised."""
    if done.error is not None:
        interruption.add_note(str(done.error))
    elif done.record is not None and (done.reply is not None or done.record.status is Status.SUCCEEDED):
        interruption.add_note(had_succeeded(done.record.label))


def notes(done: Done, wall: Callable[[], datetime]) -> Sequence[tuple[Record, Event]]:
    """The events that are still to be noted at the end."""
    record, drift = done.about or done.record, done.run.drift
    if record is None or not (drift or done.note):
        return ()
    changed = [Event(wall(), "contract_changed", "; ".join(drift))] if drift else []
    return [(record, event) for event in (*changed, done.note) if event is not None]


@contextmanager
def noting(record: Record, event: Event) -> Iterator[None]:
    """An event that the store does not take is told; it is no error."""
    try:
        yield
    except StoreError:
        log.unrecorded(record, f"the event {event.kind!r} could not be stored")
