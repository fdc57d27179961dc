"""The store's numbers in equal stretches of time, as many as fit on a page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from samekey._core.tally import Rows

if TYPE_CHECKING:
    from samekey._core.tally import Tally

HOUR: Final = 3600
DAY: Final = 86400
_MOST_HOURS: Final = 72
MOST: Final = 100
"""Stretches on a page; of more, the oldest are left out."""
_DAYS: Final = (1, 7, 28, 364)
"""Lengths in days. Weeks begin with a Monday, and 1970 began with a Thursday."""
_MONDAY: Final = 3


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of time.

    Attributes:
        label: when it begins, for people.
        rows: records first claimed in it.
        events: events in it, by kind.
    """

    label: str
    rows: Rows
    events: dict[str, int]

    def count(self, *kinds: str) -> int:
        """Events of these kinds."""
        return sum(self.events.get(kind, 0) for kind in kinds)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Stretches without a gap, the oldest first, and how long each is.

    Attributes:
        unit: `hour`, `day`, `week` or a number of weeks.
        stretches: the stretches.
        cut: whether older ones are left out.
    """

    unit: str
    stretches: tuple[Stretch, ...]
    cut: bool


def wants_hours(tally: Tally, now: datetime) -> bool:
    """Whether days would be too few columns; the tally is by days."""
    first = min(_numbers(tally), default=None)
    return first is not None and now.timestamp() // DAY - first < _MOST_HOURS // 24


def timeline(tally: Tally, now: datetime, *, hours: bool) -> Timeline:
    """The tally over time, up to now.

    Args:
        tally: by hours or by days.
        now: the last stretch has this time in it.
        hours: whether the tally is by hours.
    """
    length = HOUR if hours else DAY
    last = int(now.timestamp() // length)
    numbers = [min(number, last) for number in _numbers(tally)]
    first = min(numbers, default=last)
    group = 1 if hours else next((days for days in _DAYS if (last - first) // days < MOST), _DAYS[-1])
    shift = _MONDAY if group > 1 else 0
    low = max((first + shift) // group, (last + shift) // group - MOST + 1)
    rows: dict[int, Rows] = {}
    for (_, number), made in tally.rows.items():
        place = (min(number, last) + shift) // group
        rows[place] = rows.get(place, Rows()) + made
    events: dict[int, dict[str, int]] = {}
    for (_, number, kind), count in tally.events.items():
        told = events.setdefault((min(number, last) + shift) // group, {})
        told[kind] = told.get(kind, 0) + count
    stretches = tuple(
        Stretch(
            _label((place * group - shift) * length, group, hours=hours), rows.get(place, Rows()), events.get(place, {})
        )
        for place in range(low, (last + shift) // group + 1)
    )
    unit = "hour" if hours else {1: "day", 7: "week"}.get(group, f"{group // 7} weeks")
    return Timeline(unit, stretches, cut=(first + shift) // group < low)


def _numbers(tally: Tally) -> list[int]:
    return [number for _, number in tally.rows] + [number for _, number, _ in tally.events]


def _label(seconds: int, group: int, *, hours: bool) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    if hours:
        return f"{moment:%d %b, %H:%M}"
    return f"{moment:%d %b}" if group == 1 else f"{moment:%d %b %Y}"
