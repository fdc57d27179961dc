"""What a look-up means.

One pure function from (record, answer, contract, clocks) to what follows. Its laws:

1. Found settles. So does an effect that the API has named, if its object cannot be read.
2. Anything else is asked again, as the retry policy allows: what was written a moment ago may not be readable yet.
3. That nothing was found settles only if the look-up is declared consistent, no request can be on its way any more
   (lease + D) and `absent_after` has passed, the API has forgotten the key, and it was asked twice (R3). Before that
   time the action stays open; without that word it is evidence for a person.
4. What could not be told is evidence for a person.
"""

from datetime import datetime, timedelta
from typing import Final

from samekey._core import words
from samekey._core.classify import Judgement, Kind
from samekey._core.model import Event, Moment, Record, Result, later
from samekey._core.plan import Plan
from samekey._core.policy import next_pause
from samekey._core.resolve import is_over, quiet_at, window_over_at
from samekey._core.run import ABSENT, FOUND, LookedUp, Run
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import Settlement
from samekey._core.verdicts import Verdict, found, no_answer, ruled_out
from samekey.errors import SamekeyError

FEWEST_READS: Final = 2
"""Reads before nothing is believed to be there."""


@fixed
class Again:
    """Ask again after `seconds`."""

    seconds: float


@fixed
class Settles:
    """Write this."""

    settlement: Settlement
    verdict: Verdict


@fixed
class Stays:
    """The record stays as it is; `note` is the evidence."""

    error: SamekeyError
    note: Event


@fixed
class Doubt:
    """A person has to see it."""

    reason: str
    evidence: str


Heard = Again | Settles | Stays | Doubt


def hear(run: Run, record: Record, reply: LookedUp, reads: int, now: Moment) -> Heard:
    """What follows from the answer to the last of `reads` look-ups."""
    plan = run.plan
    result = reply.result if reply.outcome == FOUND else None
    named = record.response_reference is not None
    if result is None and named:
        result = Result(None, (), None, record.response_reference or None)
    if result is not None:
        event = Event(now.wall, "server_replay" if named else "found", f"{reply.outcome}: {reply.evidence}")
        return Settles(found(plan, record, result, now, event), Verdict(Kind.SUCCESS))
    evidence = f"{reply.outcome}: {reply.evidence}" + (f" (asked {reads} times)" if reads > 1 else "")
    believable = reply.outcome == ABSENT and reply.consistent
    pause = next_pause(plan.backoff, attempt=reads, elapsed=run.elapsed(now), jitter=now.jitter, hint=None)
    if not reply.final and (not pause.stop or (believable and reads < FEWEST_READS)):
        return Again(pause.seconds)
    if believable and _forgotten(plan, record, now):
        late = plan.contract.absent_after.total_seconds() - record.max_delay_seconds
        counts_at = later(quiet_at(record), max(0.0, late))
        if now.wall > counts_at:
            return Settles(ruled_out(plan, record, evidence, now), Verdict(Kind.NOT_SENT, evidence))
        return _too_early(record, evidence, counts_at, now)
    reason = "look_up_absent" if reply.outcome == ABSENT else "look_up_inconclusive"
    if plan.recovering or record.status is Status.NEEDS_REVIEW:
        # Somebody looks again at what was left: that nothing came of it changes nothing.
        return Stays(words.needs_review(record, record.reason or reason), Event(now.wall, "look_up", evidence))
    return Doubt(reason, evidence)


def _forgotten(plan: Plan, record: Record, now: Moment) -> bool:
    """Whether the API has forgotten the key, by the longest window that anybody has named."""
    if not plan.profile.keyed:
        return True
    if plan.window_seconds is None and not record.window_seconds:
        return False  # nobody has named one: a 0 on the record says that an answer forbids a resend
    over_at = window_over_at(record, window_seconds=plan.window_seconds)
    return is_over(record, over_at, now)


def _too_early(record: Record, evidence: str, counts_at: datetime, now: Moment) -> Heard:
    wait = max(0.0, (counts_at - now.wall) / timedelta(seconds=1))
    error = words.absent_too_early(record, evidence, wait)
    if record.status is Status.IN_FLIGHT:
        judgement = Judgement(Kind.UNKNOWN, evidence)
        verdict = Verdict(Kind.UNKNOWN, evidence, retry_after=wait, looked_up=True)
        return Settles(no_answer(record, judgement, now, kind="look_up", reason=record.reason), verdict)
    return Stays(error, Event(now.wall, "look_up", evidence))
