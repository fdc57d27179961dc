"""Which actions the page lists, and what it says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from samekey._core.states import Status
from samekey._core.words import REASONS
from samekey.cli.render import SHORT_KEY, count, span
from samekey.cli.review import RERUN, grouped, left_of, unsettled
from samekey.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from samekey._core.model import Record
    from samekey.stores import Store

IN_DOUBT: Final = "in_doubt"
ALL: Final = "all"

STATUSES: Final = {IN_DOUBT: "in doubt", ALL: "all", **{status.value: status.value for status in Status}}
"""What the filter offers: its value and its words."""

MOST_ROWS: Final = 200
"""Rows that one page shows; more than anybody reads."""

SEARCHED: Final = 5000
"""Newest actions that are looked through for words, where not only those in doubt are asked for."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for.

    Attributes:
        status: `in_doubt`, `all`, or a status.
        operation: an operation's whole name; empty for all.
        text: the beginning of a key, or a part of a scope or a reference.
    """

    status: str = IN_DOUBT
    operation: str = ""
    text: str = ""

    @property
    def narrows(self) -> bool:
        """Whether it is more than the list one starts with."""
        return self != Filter()


@dataclass(frozen=True, slots=True)
class Row:
    """One action in the list."""

    key: str
    short_key: str
    scope: str
    status: str
    sent: str
    problem: str
    age: str
    left: str


@dataclass(frozen=True, slots=True)
class Section:
    """Actions under one heading."""

    title: str
    person: bool
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Listing:
    """What the page shows."""

    asked: Filter
    sections: Sequence[Section]
    summary: str
    operations: Sequence[str]


def asked_for(query: Mapping[str, str]) -> Filter:
    """The filter that an address has.

    Raises:
        UsageError: there is no such status.
    """
    status = query.get("status", IN_DOUBT)
    if status not in STATUSES:
        raise UsageError(f"{status!r} is no status; take one of {', '.join(STATUSES)}.")
    return Filter(status, query.get("operation", "").strip(), query.get("text", "").strip())


def listing(store: Store, asked: Filter, now: datetime) -> Listing:
    """Looks them up."""
    if asked.status == IN_DOUBT:
        return _in_doubt(store, asked, now)
    return _others(store, asked, now)


def _in_doubt(store: Store, asked: Filter, now: datetime) -> Listing:
    everything = unsettled(store)
    operations = sorted({record.operation_name for record in everything})
    found = [
        record
        for record in everything
        if (not asked.operation or record.operation_name == asked.operation) and _matches(record, asked.text)
    ]
    sections = []
    for group in grouped(found[:MOST_ROWS], now):
        host = urlsplit(group.origin).hostname or group.origin
        why = "a rerun can tell" if group.reason == RERUN else REASONS.get(group.reason, group.reason)
        rows = [_row(record, now) for record in group.records]
        sections.append(Section(f"{group.operation} at {host}: {why}", group.reason != RERUN, rows))
    if len(found) > MOST_ROWS:
        summary = f"The oldest {MOST_ROWS:,} of {len(found):,} actions in doubt; filter to see others."
    else:
        summary = f"{count(len(found), 'action')} in doubt, the oldest first."
    return Listing(asked, sections, summary, operations)


def _others(store: Store, asked: Filter, now: datetime) -> Listing:
    statuses = None if asked.status == ALL else [Status(asked.status)]
    limit = SEARCHED if asked.text else MOST_ROWS + 1
    read = store.find(
        statuses=statuses, operation_name=asked.operation or None, newest_first=True, limit=limit
    )  # fmt: skip
    found = [record for record in read if _matches(record, asked.text)]
    rows = [_row(record, now) for record in found[:MOST_ROWS]]
    if len(found) > MOST_ROWS:
        summary = f"The newest {MOST_ROWS:,} actions that match; there are more."
    elif asked.text and len(read) == SEARCHED:
        summary = f"{count(len(found), 'action')} among the newest {SEARCHED:,}; older ones were not looked through."
    else:
        summary = f"{count(len(found), 'action')}, the newest first."
    operations = sorted({record.operation_name for record in read})
    return Listing(asked, [Section("Actions", person=False, rows=rows)] if rows else [], summary, operations)


def _matches(record: Record, text: str) -> bool:
    if not text:
        return True
    words = text.casefold()
    where = (record.label, record.response_reference or "")
    return record.idempotency_key.casefold().startswith(words) or any(words in each.casefold() for each in where)


def _row(record: Record, now: datetime) -> Row:
    left = None if record.settled else left_of(record, now)
    return Row(
        key=record.idempotency_key,
        short_key=record.idempotency_key[:SHORT_KEY],
        scope=record.label,
        status=record.status.value,
        sent=f"{record.attempts}×",  # noqa: RUF001 - a sign, as on paper
        problem=record.error_summary or "",
        age=span((now - (record.first_sent_at or record.created_at)).total_seconds()),
        left="–" if left is None else span(left) if left else "over",  # noqa: RUF001 - a dash
    )
