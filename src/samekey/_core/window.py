"""May the same key be sent again? Time arithmetic of R1, R2 and R10, nothing else.

A resend is allowed only while the API still remembers the key, also if the resend takes as long as an attempt may
take and is executed as late as the API may execute it:

    elapsed + attempt + D < W        and        W > lease + D
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from samekey._core.model import Moment, Record, later
from samekey._core.values import fixed

CLOCK_MARGIN_SECONDS: Final = 120.0
"""How far two honest clocks may differ. As long as the default D: a request may be late by as much."""


@fixed
class Window:
    """Whether a key may be sent again.

    Attributes:
        reason: "" while open; else `window_unknown`, `window_closed` or `clock_jumped`.
        closes_at: the last moment at which the first byte of a resend may be written.
    """

    reason: str
    closes_at: datetime

    @property
    def open(self) -> bool:
        """Whether a resend is allowed now."""
        return not self.reason


def window_of(
    record: Record,
    now: Moment,
    *,
    window_seconds: float | None,
    attempt_seconds: float,
    lease_seconds: float,
    max_delay_seconds: float,
    high_water: datetime | None = None,
    first_sent_ago: float | None = None,
) -> Window:
    """Judges the window of a record that was sent at least once.

    Args:
        record: the record; its own window and D count beside the current ones, the stricter wins.
        now: the clocks.
        window_seconds: what the profile or contract says today.
        attempt_seconds: the longest time the attempt may take.
        lease_seconds: how long an attempt may hold the action.
        max_delay_seconds: D as the profile or contract says today.
        high_water: the latest time the store has seen.
        first_sent_ago: seconds since the first send by the store's own clock, if it has one.
    """
    known = [seconds for seconds in (record.window_seconds, window_seconds) if seconds is not None]
    if not known or record.first_sent_at is None:
        return Window("window_unknown", now.wall)
    width = min(known) - max(record.max_delay_seconds, max_delay_seconds)
    if width <= lease_seconds:
        return Window("window_closed", now.wall)
    elapsed = _elapsed(record, record.first_sent_at, now, high_water)
    if elapsed is None:
        return Window("clock_jumped", now.wall)
    left = width - (elapsed if first_sent_ago is None else max(elapsed, first_sent_ago))
    return Window("" if left > attempt_seconds else "window_closed", later(now.wall, left))


def _elapsed(record: Record, first_sent_at: datetime, now: Moment, high_water: datetime | None) -> float | None:
    """Seconds since the first send, or None if the clock cannot be believed."""
    by_wall = (now.wall - first_sent_at).total_seconds()
    if now.boot_id is not None and record.boot_id == now.boot_id and record.boot_time is not None:
        by_boot = now.boot_time - record.boot_time
        return max(by_wall, by_boot) if by_boot >= 0 else None
    seen = max(filter(None, (high_water, record.last_seen_at)))
    if (seen - now.wall).total_seconds() > CLOCK_MARGIN_SECONDS:
        return None
    return max(by_wall, (seen - first_sent_at).total_seconds())


def last_resend(record: Record) -> datetime | None:
    """Until when its key may be sent again by the record's own window, an attempt's length apart; None if unknown."""
    if record.first_sent_at is None or record.window_seconds is None:
        return None
    return later(record.first_sent_at, record.window_seconds - record.max_delay_seconds)


def skewed(date_header: str | None, now: datetime) -> bool:
    """Whether a reply's `Date` differs from our clock by more than the margin (R10)."""
    if date_header is None:
        return False
    theirs = parse_http_date(date_header)
    return theirs is not None and abs((theirs - now).total_seconds()) > CLOCK_MARGIN_SECONDS


def parse_http_date(text: str) -> datetime | None:
    """An HTTP date as a UTC time, or None."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else None
