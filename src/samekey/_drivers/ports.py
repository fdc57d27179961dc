"""What a driver needs from outside, and the small things that every driver does with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from samekey._core.model import Failure, Record, Reply
from samekey._core.run import Done, LookedUp
from samekey._core.states import Status
from samekey._core.steps import Reservation, Send
from samekey._core.verbs import Claimed, StoreFailed
from samekey._core.verdicts import nothing_done
from samekey._drivers.runtime import Budget, Clock, Unfinished
from samekey.errors import StoreError, StoreUnavailableError
from samekey.stores import Store
from samekey.telemetry import log


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


@dataclass(slots=True)
class Ports:
    """What the loop needs from outside, for one action.

    Attributes:
        store: where the record lives.
        clock: reads and passes time.
        budget: the origin's retry budget; None for none.
        unfinished: what is still to be written.
        send: makes one attempt; raises nothing that the attempt itself caused.
        look_up: asks the contract's `reconcile`.
        sent: what the last attempt brought.
        interruption: what interrupted that attempt (Ctrl-C, exit), if anything did.
        attempting: whether the attempt was begun; set by `send` when all is ready for it.
        cause: what the store raised last.
    """

    store: Store
    clock: Clock
    budget: Budget | None
    unfinished: Unfinished
    send: Callable[[Send], Sent]
    look_up: Callable[[Record], LookedUp]
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

    def claimed(self, step: Reservation, answer: Any) -> None:
        """Keeps the books of a claim."""
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

    def hold(self, record: Record) -> None:
        """Remembers a running task, to be released at the end whatever happens."""
        self.held.append((record.identity, record.generation, record.fence))

    def finish(self, done: Done) -> None:
        """What is left to do once the outcome is known."""
        record = done.record
        if record is not None and done.unrecorded is not None:
            self.unfinished.add(done.unrecorded)
            log.unrecorded(record, "the outcome could not be stored; it will be tried again")


def interruption_of(sent: Sent) -> BaseException | None:
    """What interrupted an attempt; an error that the attempt itself caused is none."""
    return None if sent.failure is not None and not sent.failure.interrupted else sent.error


def had_succeeded(label: str) -> str:
    """What an exception is told that hides a success."""
    return f"{label}: had succeeded before this error; run it again: the stored result comes back and nothing is sent."


def tell_along(interruption: BaseException, done: Done) -> None:
    """Notes on an interruption what it hides: the outcome that nobody gets returned or raised."""
    if done.error is not None:
        interruption.add_note(str(done.error))
    elif done.record is not None and (done.reply is not None or done.record.status is Status.SUCCEEDED):
        interruption.add_note(had_succeeded(done.record.label))
