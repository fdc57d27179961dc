"""What every desk does with a person's decision: checks the words, weighs it, carries it out or says why not."""

from __future__ import annotations

import getpass
import json
import re
from typing import TYPE_CHECKING, Final

from samekey._core import resolve as rules
from samekey._core.model import Event
from samekey._core.resolve import Refusal
from samekey._core.states import Status
from samekey._core.verbs import Existing, Resolved
from samekey.cli.render import safe
from samekey.errors import UsageError
from samekey.providers import NAMES, load

if TYPE_CHECKING:
    from samekey._core.model import Moment, Record
    from samekey._core.resolve import Ruling
    from samekey._core.verbs import Resolution
    from samekey.stores import Store

MOST_TEXT: Final = 2000
"""Longest note or evidence that is stored, in characters: a reason and a pointer, not a document."""

_VERSION: Final = re.compile(r"\d+\.\d+\.[a-z_]+")


class RefusedError(Exception):
    """The decision was not carried out.

    Attributes:
        record_changed: whether that is because the record is another by now, so that a look at it tells more.
    """

    def __init__(self, sentence: str, *, record_changed: bool = False) -> None:
        super().__init__(sentence)
        self.record_changed = record_changed


def is_version(text: str) -> bool:
    """Whether this could be the `version` of a record."""
    return _VERSION.fullmatch(text) is not None


def is_keyless(record: Record) -> bool:
    """Whether the record's profile is a shipped one for an API without keys."""
    return record.provider in NAMES and load(record.provider).carrier.kind == "none"


def short(name: str, text: str) -> str:
    """What is stored of a text; `name` is what the person knows it by."""
    if len(text) > MOST_TEXT:
        raise UsageError(f"{name} has {len(text)} characters; give at most {MOST_TEXT}, and a link to the rest.")
    return text.strip()


def user() -> str:
    """Who is logged in; empty if nobody can tell."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def weigh(store: Store, record: Record, ruling: Ruling, *, seen: str, now: Moment) -> Resolution:
    """What a decision would do to the record, as it is.

    Args:
        store: where the record is.
        record: as it was just read.
        ruling: what the person decided.
        seen: the version that the person was shown.
        now: the clocks.

    Raises:
        RefusedError: the record is not the one that was shown, which its timeline then tells, or its state does not allow
            this decision.
    """
    if seen != record.version:
        store.note(record, Event(now.wall, "resolve_refused", rules.detail_of(record, ruling)))
        raise RefusedError(_changed(store, record, seen), record_changed=True)
    resolution = rules.resolve(record, ruling, now)
    if isinstance(resolution, Refusal):
        raise RefusedError(f"{record.label}: {resolution.text}.")
    return resolution


def carry_out(store: Store, record: Record, resolution: Resolution) -> Record:
    """Writes a decision, and returns the record as it is then.

    Raises:
        RefusedError: the record has changed since, or somebody may be sending it.
    """
    answer = store.resolve(resolution)
    if not isinstance(answer, Resolved):
        raise _too_late(store, record, answer)
    return answer.record


def meaning(record: Record, resolution: Resolution) -> str:
    """What the decision does, for the question before it and for the answer after it."""
    match resolution.move.value:
        case "success":
            named = f" as {safe(resolution.reference)}" if resolution.reference else ""
            return f"It has succeeded{named}; a rerun returns that, and nothing is sent."
        case "abandon":
            return "It is closed; a rerun raises ActionAbandonedError, and nothing is sent."
        case "ruled_out":
            return "It did not happen; the next run sends it under a new key."
        case _ if record.status is Status.REJECTED:
            return "The refusal is set aside; the next run sends it under a new key."
        case _:
            return "It is open again; the next run sends the same request under the same key."


def _too_late(store: Store, record: Record, found: Existing | None) -> RefusedError:
    key = record.idempotency_key
    now = next((row for row in store.find(key_prefix=key) if row.idempotency_key == key), record)
    if found is None or now.version != record.version:
        return RefusedError(_changed(store, now, record.version), record_changed=True)
    if found.record.generation != record.generation:
        return RefusedError(
            f"{record.label}: it has gone on under a new key since, {found.record.idempotency_key}; look at that one."
        )
    until = "its lease ends" if record.lease_expires_at is None else f"{record.lease_expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if found.alive:
        return RefusedError(
            f"{record.label}: a process may be sending it just now, until {until} at the latest; wait for what comes of it."
        )
    return RefusedError(
        f"{record.label}: its process has ended, but its last request may still be on the wire until {until}; decide after "
        f"that, or run the script again."
    )


def _changed(store: Store, record: Record, seen: str) -> str:
    who = ""
    for event in store.events(record.idempotency_key):
        if event.kind == "resolved":
            told = json.loads(event.detail)
            who = f" ({told['by']} decided {told['decision']!r} at {event.at:%Y-%m-%d %H:%M:%S} UTC)"
    return (
        f"{record.label}: it was {seen} when it was shown, and is {record.version} now{who}, so your decision was not "
        f"carried out."
    )
