"""One begin of an action and its attempts, as the steps hand them on."""

from datetime import datetime
from typing import Final

from samekey._core.classify import Judgement, Kind
from samekey._core.model import Event, Moment, Record, Reply, Result
from samekey._core.plan import Plan
from samekey._core.policy import rerun_after
from samekey._core.values import fixed
from samekey._core.verbs import Settlement
from samekey._core.verdicts import Verdict
from samekey.errors import SamekeyError

FOUND: Final = "found"
ABSENT: Final = "absent"
INCONCLUSIVE: Final = "inconclusive"
NEVER_MADE: Final = Judgement(Kind.NOT_SENT, "interrupted before it was sent")
"""What an attempt means that was permitted and provably not made."""


@fixed
class LookedUp:
    """What a look-up brought.

    Attributes:
        outcome: "found", "absent" or "inconclusive".
        evidence: what was asked and what came back, redacted.
        result: the object, if it was found.
        consistent: whether an absence was read from the API's own data, so that what is not there did not happen.
        final: whether asking again would bring the same.
    """

    outcome: str
    evidence: str
    result: Result | None = None
    consistent: bool = False
    final: bool = False


@fixed
class Run:
    """One begin of an action, from the call to its end.

    Attributes:
        plan: what was fixed when it began.
        sent: sends made in this run.
        waited: the generation whose holder was waited for.
        recovered: whether a dead holder's attempt was taken over.
        duplicate: another action with the same payload, where the contract only warns.
        interrupted: whether the caller stopped it; nothing new is begun then.
        drift: what the contract says otherwise than when the record was made.
    """

    plan: Plan
    sent: int = 0
    waited: int | None = None
    recovered: bool = False
    duplicate: Record | None = None
    interrupted: bool = False
    drift: tuple[str, ...] = ()

    def elapsed(self, now: Moment) -> float:
        """Seconds since the action was begun, by the clock that never jumps."""
        return max(0.0, now.boot_time - self.plan.started.boot_time)

    def left(self, now: Moment) -> float:
        """Seconds left of the deadline."""
        return self.plan.backoff.deadline - self.elapsed(now)


@fixed
class Done:
    """The end.

    Attributes:
        run: the run that ended.
        record: the record as last known; None if there is none.
        error: what to raise; None to return a result.
        reply: the answer of this run's own attempt that the result or the error is about; None for a stored one.
        note: an event to add to the record.
        about: the record that the note is about, where it is another one.
        told: an event that was written with its end.
        unrecorded: a settlement that could not be written and is to be tried again.
    """

    run: Run
    record: Record | None
    error: SamekeyError | None = None
    reply: Reply | None = None
    note: Event | None = None
    about: Record | None = None
    told: Event | None = None
    unrecorded: Settlement | None = None


@fixed
class Attempt:
    """An attempt that neither succeeded nor was refused."""

    run: Run
    record: Record
    judgement: Judgement
    reply: Reply | None
    interrupted: bool = False

    @property
    def maybe_done(self) -> bool:
        """Whether this attempt may have had its effect."""
        return self.judgement.kind not in {Kind.NOT_SENT, Kind.IN_FRONT}

    @property
    def open_before_next(self) -> bool:
        """Whether a further attempt would be a resend after one that may have had its effect (R1)."""
        return self.maybe_done or self.record.open_attempts > 1

    def verdict(self, now: Moment, *, retry_after: float | None, retry_until: datetime | None) -> Verdict:
        """What the caller is told if this was the last attempt of the run."""
        status = self.reply.status if self.reply else None
        return Verdict(
            self.judgement.kind,
            self.judgement.summary,
            status,
            retry_after=rerun_after(retry_after, self.judgement.hint),
            retry_until=retry_until,
            running=self.judgement.running,
            attempts=self.run.sent,
            spent=self.run.elapsed(now),
        )
