"""`samekey resolve KEY`: a person settles what automation must not."""

from __future__ import annotations

import getpass
import json as json_module
import os
import re
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey._core import resolve as rules
from samekey._core.model import Event
from samekey._core.resolve import Decision, Refusal, Ruling
from samekey._core.states import Status
from samekey._core.verbs import Existing, Resolution, Resolved
from samekey._drivers.runtime import SystemClock
from samekey.cli.exits import Exit, leave
from samekey.cli.finding import KeyArgument, find, is_alive
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import SHORT_KEY, as_json, console, safe
from samekey.cli.sheet import sheet
from samekey.cli.show import document
from samekey.cli.timeline import timeline
from samekey.errors import UsageError
from samekey.providers import NAMES, load

if TYPE_CHECKING:
    from samekey._core.model import Record
    from samekey.stores import Store

MOST_TEXT: Final = 2000
"""Longest note or evidence that is stored, in characters: a reason and a pointer, not a document."""

_VERSION: Final = re.compile(r"\d+\.\d+\.[a-z_]+")

HappenedOption = Annotated[
    bool, typer.Option("--happened", help="The effect is there: the action has succeeded. Needs --reference.")
]
DidNotHappenOption = Annotated[
    bool,
    typer.Option(
        "--did-not-happen",
        help="The effect is not there, and is not on its way. The next run sends the action: under its key while the "
        "API remembers it, else under a new one.",
    ),
]
TryAgainOption = Annotated[
    bool,
    typer.Option(
        "--try-again",
        help="Nobody knows: the next run sends it again under its key, if the API still remembers it. After a refusal: "
        "under a new key.",
    ),
]
AbandonOption = Annotated[bool, typer.Option("--abandon", help="Close it: it is never sent again.")]
ReferenceOption = Annotated[
    str | None,
    typer.Option(
        "--reference", metavar="ID", help='The object\'s id at the API; "" if it has none.', show_default=False
    ),
]
ByOption = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Who decides; else the user that is logged in.", show_default=False),
]
NoteOption = Annotated[
    str | None, typer.Option("--note", metavar="TEXT", help="Why. Asked for if left out.", show_default=False)
]
EvidenceOption = Annotated[
    str, typer.Option("--evidence", metavar="TEXT", help="What was looked at: a ticket, a page, a query.")
]
SeenOption = Annotated[
    str | None,
    typer.Option(
        "--seen",
        metavar="VERSION",
        help="The version that 'show' printed: the decision is refused if the record is another by now. Without it, the "
        "record is shown, and you are asked.",
        show_default=False,
    ),
]


def resolve(
    key: KeyArgument,
    happened: HappenedOption = False,
    did_not_happen: DidNotHappenOption = False,
    try_again: TryAgainOption = False,
    abandon: AbandonOption = False,
    reference: ReferenceOption = None,
    by: ByOption = None,
    note: NoteOption = None,
    evidence: EvidenceOption = "",
    seen: SeenOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Settle one action by hand. Who, when, why and on what evidence is kept with it."""
    with existing_store(store) as opened:
        chosen = {
            Decision.HAPPENED: happened,
            Decision.DID_NOT_HAPPEN: did_not_happen,
            Decision.TRY_AGAIN: try_again,
            Decision.ABANDON: abandon,
        }
        decision = _decision([each for each, given in chosen.items() if given], reference)
        record = find(opened, key)
        asked = _is_asked(record, seen, json=json)
        if asked:
            _show(opened, record)
        ruling = Ruling(
            decision=decision,
            by=_by(by),
            nonce=os.urandom(16).hex(),
            note=_note(note, asked=asked),
            evidence=_short("--evidence", evidence),
            reference=None if reference is None else _short("--reference", reference),
            keyless=is_keyless(record),
        )
        clocks = SystemClock().now()
        if seen is not None and seen != record.version:
            opened.note(record, Event(clocks.wall, "resolve_refused", rules.detail_of(record, ruling)))
            leave(Exit.REFUSED, _changed(opened, record, seen))
        resolution = rules.resolve(record, ruling, clocks)
        if isinstance(resolution, Refusal):
            leave(Exit.REFUSED, f"{record.label}: {resolution.text}.")
        if asked:
            typer.confirm(f"{_meaning(record, resolution)} Go on?", abort=True, err=True)
        resolved = _write(opened, record, resolution)
        lines = timeline(resolved, opened.events(resolved.idempotency_key))
    if json:
        print(as_json(document(resolved, lines)))
        return
    console().print(f"{safe(record.label)}: {_meaning(record, resolution)}", soft_wrap=True)


def is_keyless(record: Record) -> bool:
    """Whether the record's profile is a shipped one for an API without keys."""
    return record.provider in NAMES and load(record.provider).carrier.kind == "none"


def _decision(given: list[Decision], reference: str | None) -> Decision:
    if len(given) != 1:
        raise UsageError("say what is so: one of --happened, --did-not-happen, --try-again and --abandon.")
    if (given[0] is Decision.HAPPENED) != (reference is not None):
        raise UsageError(
            '--happened needs --reference, the object\'s id at the API (--reference "" if it has none), and nothing else '
            "takes one."
        )
    return given[0]


def _is_asked(record: Record, seen: str | None, *, json: bool) -> bool:
    """Whether the person is at a terminal, to be shown the record and asked; otherwise they have to say what they saw."""
    if seen is not None:
        if not _VERSION.fullmatch(seen):
            raise UsageError(f"--seen {seen!r} is no version; 'samekey show' prints it, such as {record.version}.")
        return False
    if json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"give --seen with the version that you decide about: 'samekey show {record.idempotency_key[:SHORT_KEY]}' "
            "prints it."
        )
    return True


def _show(store: Store, record: Record) -> None:
    lines = timeline(record, store.events(record.idempotency_key))
    out = console(error=True)
    sheet(out, record, lines, alive=is_alive(store, record))
    out.print()


def _note(note: str | None, *, asked: bool) -> str:
    if note is None and asked:
        note = typer.prompt("Why", err=True)
    if not (note or "").strip():
        raise UsageError("give --note: why it is decided so is what the next person will want to know.")
    return _short("--note", note or "")


def _by(by: str | None) -> str:
    if by is None:
        try:
            by = getpass.getuser()
        except (OSError, KeyError, ImportError):
            by = ""
    if not by.strip():
        raise UsageError("give --by: nobody knows who decides.")
    return _short("--by", by)


def _short(option: str, text: str) -> str:
    if len(text) > MOST_TEXT:
        raise UsageError(f"{option} has {len(text)} characters; give at most {MOST_TEXT}, and a link to the rest.")
    return text.strip()


def _write(store: Store, record: Record, resolution: Resolution) -> Record:
    answer = store.resolve(resolution)
    if not isinstance(answer, Resolved):
        leave(Exit.REFUSED, _too_late(store, record, answer))
    return answer.record


def _too_late(store: Store, record: Record, found: Existing | None) -> str:
    now = find(store, record.idempotency_key)
    if found is None or now.version != record.version:
        return _changed(store, now, record.version)
    if found.record.generation != record.generation:
        return (
            f"{record.label}: it has gone on under a new key since, {found.record.idempotency_key}; look at that one."
        )
    until = "its lease ends" if record.lease_expires_at is None else f"{record.lease_expires_at:%Y-%m-%d %H:%M:%S} UTC"
    if found.alive:
        return f"{record.label}: a process may be sending it just now, until {until} at the latest; wait for what comes of it."
    return (
        f"{record.label}: its process has ended, but its last request may still be on the wire until {until}; decide after "
        f"that, or run the script again."
    )


def _changed(store: Store, record: Record, seen: str) -> str:
    who = ""
    for event in store.events(record.idempotency_key):
        if event.kind == "resolved":
            told = json_module.loads(event.detail)
            who = f" ({told['by']} decided {told['decision']!r} at {event.at:%Y-%m-%d %H:%M:%S} UTC)"
    return (
        f"{record.label}: it was {seen} when it was shown, and is {record.version} now{who}, so your decision was not "
        f"carried out; see 'samekey show {record.idempotency_key[:SHORT_KEY]}'."
    )


def _meaning(record: Record, resolution: Resolution) -> str:
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
