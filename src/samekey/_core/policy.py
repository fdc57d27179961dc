"""When to try again: tenacity's `wait` and `stop` strategies, asked with a state of our own.

No clock and no randomness: the elapsed time and the luck of the moment are arguments. `wait` is asked before `stop`,
since `stop_before_delay` reads the upcoming wait. Hints of the API override the strategy's wait.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tenacity import Future, RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from samekey._core.model import Reply
from samekey._core.values import fixed
from samekey._core.window import parse_http_date

FIRST_WAIT_SECONDS: Final = 0.5
"""Upper bound of the first wait: as the SDKs of Stripe and the Stainless family start."""
LONGEST_WAIT_SECONDS: Final = 20.0
"""Upper bound of any wait the default strategy makes."""


class _RetryState(RetryCallState):
    """tenacity's view of the attempts so far; made without its constructor, which reads the clock."""

    u: float

    def __init__(self, attempt_number: int, elapsed: float, jitter: float) -> None:
        self.start_time = 0.0
        self.outcome_timestamp = elapsed
        self.attempt_number = attempt_number
        self.fn = None
        self.args = ()
        self.kwargs: Any = {}
        self.idle_for = 0.0
        self.upcoming_sleep = 0.0
        self.next_action = None
        self.retry_object: Any = None
        self.u = jitter
        self.outcome = Future(attempt_number)
        self.outcome.set_result(None)


FIRST_RERUN_SECONDS: Final = 1.0
"""Nobody is told to start a script anew sooner than this, unless the API says so."""


class FullJitter(wait_base):
    """Waits a random part of a bound that doubles: `jitter * min(longest, first * 2 ** (attempt - 1))` seconds.

    The randomness comes from the state, so that a run can be replayed. Combines with tenacity's strategies by `+`.
    Source: the "full jitter" rule of the AWS architecture blog, 2015.
    """

    def __init__(self, first: float = FIRST_WAIT_SECONDS, longest: float = LONGEST_WAIT_SECONDS) -> None:
        self.first = first
        self.longest = longest

    def __call__(self, retry_state: RetryCallState) -> float:
        """The wait before the next attempt, in seconds."""
        doublings = min(retry_state.attempt_number - 1, 32)
        jitter: float = getattr(retry_state, "u", 0.5)
        return jitter * min(self.longest, self.first * 2.0**doublings)


@dataclass(frozen=True, slots=True)
class Backoff:
    """A retry policy, resolved.

    Attributes:
        attempts: most sends in one run.
        deadline: seconds for everything in one run, waits included.
        wait: a tenacity wait strategy.
        stop: a further tenacity stop strategy, or None.
    """

    attempts: int = 5
    deadline: float = 60.0
    wait: wait_base = field(default_factory=FullJitter)
    stop: stop_base | None = None


@fixed
class Pause:
    """The answer to "again?".

    Attributes:
        seconds: how long to wait first.
        stop: "" to go on; else why not: `attempts`, `deadline` or `policy`.
    """

    seconds: float
    stop: str = ""


def next_pause(backoff: Backoff, *, attempt: int, elapsed: float, jitter: float, hint: float | None) -> Pause:
    """Decides whether and after how many seconds the next attempt may be made.

    Args:
        backoff: the policy.
        attempt: sends made in this run.
        elapsed: seconds since this run began.
        jitter: a uniform number in [0, 1).
        hint: seconds the API asked for, or None. It overrides the strategy and is never cut short.
    """
    state = _RetryState(attempt, elapsed, jitter)
    seconds = max(0.0, float(backoff.wait(state))) if hint is None else hint
    state.upcoming_sleep = seconds
    if attempt >= backoff.attempts:
        return Pause(seconds, "attempts")
    if elapsed + seconds >= backoff.deadline:
        return Pause(seconds, "deadline")
    if backoff.stop is not None and backoff.stop(state):
        return Pause(seconds, "policy")
    return Pause(seconds)


def rerun_after(seconds: float | None, hint: float | None) -> float | None:
    """Seconds to wait before another run: what the API asks for, or this run's next wait, which may be next to nothing."""
    return seconds if seconds is None or hint is not None else max(seconds, FIRST_RERUN_SECONDS)


def wait_hint(reply: Reply, now: datetime) -> float | None:
    """Seconds the reply asks to wait: in milliseconds, else `Retry-After` as seconds or date; None if neither counts.

    A time in the past is 0. A negative or unreadable value is no hint.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        millis = _number(reply.header(name))
        if millis is not None:
            return millis / 1000
    text = reply.header("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    moment = parse_http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    text = text.strip()
    if not text.replace(".", "", 1).isdecimal() or not text.isascii() or len(text) > 12:
        return None
    return float(text)


@dataclass(slots=True)
class Bucket:
    """A retry budget's state for one origin: a token bucket that time and traffic fill.

    Rule and numbers are those of Finagle's `RetryBudget`. Not locked: its owner locks.

    Attributes:
        ratio: tokens each first attempt brings.
        per_second: tokens that time brings, so that a slow script may always retry.
        tokens: what is left.
        filled_at: seconds since boot when time was last counted.
    """

    ratio: float
    per_second: float
    tokens: float
    filled_at: float

    BURST_SECONDS = 10.0
    ALWAYS_FITS = 100.0

    def deposit(self) -> None:
        """Counts a first attempt."""
        tokens = self.tokens + self.ratio
        self.tokens = tokens if tokens <= self.ALWAYS_FITS else min(tokens, self._most())

    def withdraw(self, boot_time: float) -> bool:
        """Takes the token of one retry; False if there is none."""
        passed = max(0.0, boot_time - self.filled_at)
        self.filled_at = boot_time
        self.tokens = min(self.tokens + passed * self.per_second, self._most())
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True

    def _most(self) -> float:
        return max(self.ALWAYS_FITS, self.per_second * self.BURST_SECONDS)
