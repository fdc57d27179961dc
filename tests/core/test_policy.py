"""When to try again."""

from __future__ import annotations

import time
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
import tenacity
from hypothesis import given
from hypothesis import strategies as st
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from samekey._core.model import Reply
from samekey._core.policy import Backoff, Bucket, FullJitter, next_pause, wait_hint
from tests.core.driving import T0

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 1e9


def pause(
    wait: wait_base | None = None, stop: stop_base | None = None, *, attempt: int = 1, elapsed: float = 0.0,
    hint: float | None = None, jitter: float = 0.5, attempts: int = 1000, deadline: float = LONG,
) -> tuple[float, str]:  # fmt: skip
    backoff = Backoff(attempts, deadline, wait or FullJitter(), stop)
    found = next_pause(backoff, attempt=attempt, elapsed=elapsed, jitter=jitter, hint=hint)
    return found.seconds, found.stop


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any) -> float:
        raise AssertionError("the clock was read")

    for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns"):
        monkeypatch.setattr(time, name, read)


# Strategies


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (tenacity.wait_fixed(3), [3, 3, 3]),
        (tenacity.wait_none(), [0, 0, 0]),
        (tenacity.wait_exponential(multiplier=1, max=5), [1, 2, 4]),
        (tenacity.wait_incrementing(start=1, increment=2), [1, 3, 5]),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(9)), [1, 9, 9]),
        (tenacity.wait_fixed(3) + tenacity.wait_exponential(multiplier=1), [4, 5, 7]),
        (FullJitter(2.0, 100.0) + tenacity.wait_fixed(1), [2, 3, 5]),
        (tenacity.wait_fixed(timedelta(minutes=1)), [60, 60, 60]),
    ],
)
@pytest.mark.usefixtures("no_clock")
def test_any_tenacity_wait_decides_without_a_clock(strategy: wait_base, waits: list[float]) -> None:
    assert [pause(strategy, attempt=attempt)[0] for attempt in (1, 2, 3)] == waits


@pytest.mark.parametrize(
    ("strategy", "attempt", "elapsed", "stops"),
    [
        (tenacity.stop_after_attempt(3), 2, 0.0, False),
        (tenacity.stop_after_attempt(3), 3, 0.0, True),
        (tenacity.stop_after_delay(30), 1, 29.0, False),
        (tenacity.stop_after_delay(30), 1, 30.0, True),
        (tenacity.stop_before_delay(30), 1, 19.0, False),
        (tenacity.stop_before_delay(30), 1, 20.0, True),
        (tenacity.stop_after_attempt(9) | tenacity.stop_after_delay(5), 1, 6.0, True),
        (tenacity.stop_after_attempt(9) & tenacity.stop_after_delay(5), 1, 6.0, False),
        (tenacity.stop_never, 50, 1e6, False),
    ],
)
@pytest.mark.usefixtures("no_clock")
def test_any_tenacity_stop_decides_without_a_clock(
    strategy: stop_base, attempt: int, elapsed: float, stops: bool
) -> None:
    found = pause(tenacity.wait_fixed(10), strategy, attempt=attempt, elapsed=elapsed)
    assert found == (10, "policy" if stops else "")


def test_the_stop_strategy_sees_the_wait_that_a_hint_asked_for() -> None:
    assert pause(tenacity.wait_fixed(1), tenacity.stop_before_delay(30), elapsed=5, hint=26) == (26, "policy")


def test_a_strategy_that_looks_at_the_outcome_finds_one() -> None:
    seen: list[Any] = []

    class Look(wait_base):
        def __call__(self, retry_state: tenacity.RetryCallState) -> float:
            seen.append(retry_state.outcome)
            return 1.0

    assert pause(Look())[0] == 1.0
    assert seen[0] is not None


def test_a_negative_wait_is_no_wait() -> None:
    assert pause(tenacity.wait_fixed(-5)) == (0.0, "")


# The policy's own limits


def test_the_attempts_are_limited() -> None:
    assert pause(tenacity.wait_fixed(1), attempt=4, attempts=5)[1] == ""
    assert pause(tenacity.wait_fixed(1), attempt=5, attempts=5)[1] == "attempts"


def test_a_wait_longer_than_the_time_left_parks_and_is_not_cut_short() -> None:
    assert pause(tenacity.wait_fixed(10), elapsed=49.9, deadline=60.0) == (10, "")
    assert pause(tenacity.wait_fixed(10), elapsed=50.0, deadline=60.0) == (10, "deadline")
    assert pause(hint=3600.0, deadline=60.0) == (3600.0, "deadline")


def test_a_hint_overrides_the_strategy_also_if_it_is_zero() -> None:
    assert pause(tenacity.wait_fixed(10), hint=2.5) == (2.5, "")
    assert pause(tenacity.wait_fixed(10), hint=0.0) == (0.0, "")


# The default


@given(st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_full_jitter_stays_under_a_bound_that_doubles(attempt: int, jitter: float) -> None:
    seconds, _ = pause(attempt=attempt, attempts=10_000, jitter=jitter)
    bound = min(20.0, 0.5 * 2.0 ** min(attempt - 1, 40))
    assert 0 <= seconds <= bound
    assert seconds == pytest.approx(jitter * bound)


def test_full_jitter_works_under_tenacity_itself() -> None:
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    assert FullJitter()(state) == 0.25


# Hints


def hint(**headers: str) -> float | None:
    return wait_hint(Reply(429, tuple((name.replace("_", "-"), value) for name, value in headers.items()), b""), T0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "0"}, 0.0),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
        ({"retry_after_ms": "soon", "retry_after": "9"}, 9.0),
        ({"x_ms_retry_after_ms": "1500"}, 1.5),
        ({"retry_after_ms": "250", "x_ms_retry_after_ms": "9"}, 0.25),
        ({"x_ms_retry_after_ms": "soon", "retry_after": "9"}, 9.0),
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": " 2.5 "}, 2.5),
        ({"retry_after": "3600"}, 3600.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "1e3"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "."}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "later"}, None),
        ({"retry_after": "9" * 13}, None),
        ({"retry_after": format_datetime(T0 + timedelta(seconds=90), usegmt=True)}, 90.0),
        ({"retry_after": format_datetime(T0 - timedelta(days=1), usegmt=True)}, 0.0),
        ({"retry_after": "Tue, 24 Nov 2026 05:11:00"}, None),
        ({"retry_after": "Tue, 99 Nov 2026 05:11:00 GMT"}, None),
    ],
)
def test_a_hint_is_read_in_all_its_spellings(headers: dict[str, str], seconds: float | None) -> None:
    assert hint(**headers) == seconds


@given(st.text(max_size=40))
def test_no_hint_ever_raises_or_is_negative(text: str) -> None:
    found = hint(retry_after=text, retry_after_ms=text)
    assert found is None or 0 <= found < float("inf")


# The budget


def test_a_bucket_gives_what_it_has_and_then_refuses() -> None:
    bucket = Bucket(ratio=0.1, per_second=0.001, tokens=2.0, filled_at=0.0)
    assert [bucket.withdraw(0.0) for _ in range(3)] == [True, True, False]


def test_first_attempts_and_time_fill_a_bucket() -> None:
    bucket = Bucket(ratio=0.5, per_second=1.0, tokens=0.0, filled_at=0.0)
    bucket.deposit()
    assert not bucket.withdraw(0.0)
    bucket.deposit()
    assert bucket.withdraw(0.0)
    assert bucket.withdraw(1.0)
    assert not bucket.withdraw(1.5)


def test_a_bucket_does_not_overflow_and_time_does_not_run_backwards() -> None:
    bucket = Bucket(ratio=1000.0, per_second=1.0, tokens=0.0, filled_at=50.0)
    bucket.deposit()
    assert bucket.tokens == 100.0
    assert bucket.withdraw(10.0)
    assert bucket.tokens == 99.0


@pytest.mark.parametrize("strategy", [tenacity.wait_random(0, 1), tenacity.wait_random_exponential(max=3)])
def test_tenacitys_random_strategies_work_too(strategy: Callable[..., float]) -> None:
    assert isinstance(strategy, wait_base)
    assert 0 <= pause(strategy)[0] <= 3
