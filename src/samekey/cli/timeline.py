"""What happened to an action, and when: the record's own times and its events, as lines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from samekey._core.states import Status
from samekey.cli.render import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from samekey._core.model import Event, Record

_ENDS: Final = {
    Status.SUCCEEDED: "succeeded",
    Status.REJECTED: "rejected",
    Status.ABANDONED: "abandoned",
}

WORDS: Final = {
    "retry": "tried again",
    "recovery": "taken over",
    "replay": "asked again",
    "refused_again": "asked again",
    "awaited": "asked meanwhile",
    "in_progress": "asked meanwhile",
    "duplicate": "same data refused",
    "server_replay": "known to the API",
    "server_conflict": "known to the API with other data",
    "blocked": "not sent again",
    "no_window": "not sent again",
    "look_up": "looked up",
    "found": "looked up",
    "expired_key": "key expired",
    "resolve_refused": "decided too late",
}
"""Kinds of events that are told in other words."""

_DECISIONS: Final = frozenset({"resolved", "resolve_refused"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a timeline.

    Attributes:
        at: when, UTC.
        what: the kind of event.
        detail: a few words.
        decision: who decided what, why and on what evidence, if a person did.
    """

    at: datetime
    what: str
    detail: str
    decision: Mapping[str, Any] | None = None


def timeline(record: Record, events: Sequence[Event]) -> list[Line]:
    """The happy path, which the record tells, and the events, in their order."""
    lines = []
    if not record.purged:
        lines.append(Line(record.created_at, "created", "the key is on disk, nothing is sent yet"))
        if record.first_sent_at is not None:
            lines.append(Line(record.first_sent_at, "first_sent", f"{record.method} {record.url}"))
    lines += [_line(event) for event in events]
    if record.completed_at is not None:
        what = _ENDS.get(record.status, record.status.value)
        lines.append(Line(record.completed_at, what, answer(record)))
    return sorted(lines, key=lambda line: line.at)


def answer(record: Record) -> str:
    """What came back, without its body."""
    if record.response_status is None:
        return ""
    body = record.response_body
    return f"HTTP {record.response_status}, body {'not kept' if body is None else f'kept ({size(len(body))})'}"


def _line(event: Event) -> Line:
    if event.kind not in _DECISIONS:
        return Line(event.at, event.kind, event.detail)
    decision = json.loads(event.detail)
    return Line(event.at, event.kind, _told(decision), decision)


def _told(decision: Mapping[str, Any]) -> str:
    before = decision["before"]
    state = f"{before['status']} ({before['reason']})" if before["reason"] else before["status"]
    parts = [f"{decision['by']}: {decision['decision']}"]
    parts += [f"{name} {decision[name]}" for name in ("reference", "note", "evidence") if decision.get(name)]
    return "; ".join([*parts, f"it was {state}"])
