"""May the same key be sent again? The arithmetic."""

from __future__ import annotations

from dataclasses import replace
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey._core.model import LATEST, Moment, later
from samekey._core.window import CLOCK_MARGIN_SECONDS, Window, last_resend, parse_http_date, skewed, window_of
from tests.core.driving import BOOT, DAY, T0, at, record, seconds


def window(now: Moment, *, attempt: float = 35.0, lease: float = 65.0, max_delay: float = 0.0, **row: Any) -> Window:
    current = row.pop("current", DAY)
    high = row.pop("high_water", None)
    facts = {"window_seconds": DAY, "max_delay_seconds": 120.0} | row
    return window_of(
        record(**facts),
        now,
        window_seconds=current,
        attempt_seconds=attempt,
        lease_seconds=lease,
        max_delay_seconds=max_delay,
        high_water=high,
    )


LAST = DAY - 120.0 - 35.0


@pytest.mark.parametrize(
    ("elapsed", "reason"), [(0, ""), (LAST - 1, ""), (LAST, "window_closed"), (2 * DAY, "window_closed")]
)
def test_it_is_open_until_attempt_and_delay_would_pass_its_end(elapsed: float, reason: str) -> None:
    assert window(at(elapsed)).reason == reason


def test_it_closes_for_the_first_byte_one_delay_before_its_end() -> None:
    assert window(at(100)).closes_at == later(T0, DAY - 120.0)


@pytest.mark.parametrize(("stored", "current"), [(3600.0, DAY), (DAY, 3600.0), (None, 3600.0), (3600.0, None)])
def test_the_stricter_of_the_stored_and_the_current_window_counts(stored: float | None, current: float | None) -> None:
    found = window(at(), window_seconds=stored, current=current)
    assert found.closes_at == later(T0, 3600.0 - 120.0)


@pytest.mark.parametrize(("stored", "current"), [(120.0, 600.0), (600.0, 120.0)])
def test_the_longer_of_the_stored_and_the_current_delay_counts(stored: float, current: float) -> None:
    found = window(at(), max_delay_seconds=stored, max_delay=current)
    assert found.closes_at == later(T0, DAY - 600.0)


def test_nobody_said_how_long_means_unknown() -> None:
    assert window(at(), window_seconds=None, current=None).reason == "window_unknown"
    assert window(at(), first_sent_at=None).reason == "window_unknown"


@pytest.mark.parametrize(("width", "reason"), [(185.0, "window_closed"), (186.0, "")])
def test_a_window_no_longer_than_lease_and_delay_is_closed_at_once(width: float, reason: str) -> None:
    assert window(at(), window_seconds=width, attempt=1.0).reason == reason


# Clocks, R10


def test_within_one_boot_the_clock_that_never_jumps_counts() -> None:
    set_back = Moment(later(T0, -7 * DAY), BOOT, 1000.0 + 2 * DAY)
    assert window(set_back).reason == "window_closed"


def test_within_one_boot_a_wall_clock_set_forward_closes_it() -> None:
    assert window(Moment(later(T0, 2 * DAY), BOOT, 1001.0)).reason == "window_closed"


def test_a_boot_clock_that_runs_backwards_is_not_believed() -> None:
    assert window(Moment(later(T0, 10), BOOT, 900.0)).reason == "clock_jumped"


@pytest.mark.parametrize("boot", ["boot-2", None])
def test_across_boots_a_clock_behind_the_high_water_mark_is_not_believed(boot: str | None) -> None:
    other = Moment(T0, boot, 5.0)
    high = later(T0, CLOCK_MARGIN_SECONDS)
    assert window(other, high_water=high).reason == ""
    assert window(other, high_water=later(high, 1)).reason == "clock_jumped"
    assert window(other, last_seen_at=later(high, 1)).reason == "clock_jumped"


def test_across_boots_time_that_the_store_has_seen_counts() -> None:
    other = Moment(later(T0, LAST - 60), "boot-2", 5.0)
    assert window(other).reason == ""
    assert window(other, high_water=later(T0, LAST + 1)).reason == "window_closed"


def test_without_a_boot_time_the_wall_clock_counts() -> None:
    assert window(at(10), boot_time=None).reason == ""


@given(st.floats(0, 2 * DAY), st.floats(0, 2 * DAY))
def test_a_later_look_never_opens_it_again(one: float, other: float) -> None:
    early, late = sorted((one, other))
    if window(at(late)).open:
        assert window(at(early)).open


@pytest.mark.parametrize(("off", "is_skewed"), [(0, False), (120, False), (121, True), (-121, True)])
def test_a_reply_whose_date_is_off_by_more_than_the_margin_is_skewed(off: float, is_skewed: bool) -> None:
    assert skewed(format_datetime(T0 + seconds(off), usegmt=True), T0) is is_skewed


def test_a_missing_or_unreadable_date_says_nothing() -> None:
    assert not skewed(None, T0)
    assert not skewed("yesterday", T0)


@given(st.text(max_size=40))
def test_no_date_ever_raises(text: str) -> None:
    moment = parse_http_date(text)
    assert moment is None or moment.tzinfo is not None


def test_time_stays_inside_the_calendar() -> None:
    assert later(LATEST, 1) == LATEST
    assert later(T0, 1e18) == LATEST
    assert later(T0, -1e18).year == 1


def test_the_last_resend_leaves_room_for_a_late_request() -> None:
    row = record()
    assert last_resend(row) == later(T0, DAY - 120)
    assert last_resend(replace(row, window_seconds=None)) is None
    assert last_resend(replace(row, first_sent_at=None)) is None
