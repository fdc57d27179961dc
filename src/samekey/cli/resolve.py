"""`samekey resolve KEY`: a person settles what automation must not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from samekey._core.resolve import Decision, Ruling
from samekey._drivers.runtime import SystemClock
from samekey.cli.exits import Exit, leave
from samekey.cli.finding import KeyArgument, find, is_alive
from samekey.cli.options import JsonOption, StoreOption, existing_store, same_store
from samekey.cli.render import SHORT_KEY, as_json, console, safe
from samekey.cli.ruling import RefusedError, carry_out, is_keyless, is_version, meaning, short, user, weigh
from samekey.cli.sheet import sheet
from samekey.cli.show import document
from samekey.cli.timeline import timeline
from samekey.errors import UsageError

if TYPE_CHECKING:
    from samekey._core.model import Record
    from samekey.stores import Store

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
        asked = _is_asked(record, seen, same_store(store), json=json)
        if asked:
            _show(opened, record)
        ruling = Ruling(
            decision=decision,
            by=_by(by),
            nonce=os.urandom(16).hex(),
            note=_note(note, asked=asked),
            evidence=short("--evidence", evidence),
            reference=None if reference is None else short("--reference", reference),
            keyless=is_keyless(record),
        )
        try:
            resolution = weigh(opened, record, ruling, seen=seen or record.version, now=SystemClock().now())
            if asked:
                typer.confirm(f"{meaning(record, resolution)} Go on?", abort=True, err=True)
            resolved = carry_out(opened, record, resolution)
        except RefusedError as error:
            _refused(error, record)
        lines = timeline(resolved, opened.events(resolved.idempotency_key))
    if json:
        print(as_json(document(resolved, lines)))
        return
    console().print(f"{safe(record.label)}: {meaning(record, resolution)}", soft_wrap=True)


def _decision(given: list[Decision], reference: str | None) -> Decision:
    if len(given) != 1:
        raise UsageError("say what is so: one of --happened, --did-not-happen, --try-again and --abandon.")
    if (given[0] is Decision.HAPPENED) != (reference is not None):
        raise UsageError(
            '--happened needs --reference, the object\'s id at the API (--reference "" if it has none), and nothing else '
            "takes one."
        )
    return given[0]


def _is_asked(record: Record, seen: str | None, hint: str, *, json: bool) -> bool:
    """Whether the person is at a terminal, to be shown the record and asked; otherwise they have to say what they saw."""
    if seen is not None:
        if not is_version(seen):
            raise UsageError(f"--seen {seen!r} is no version; 'samekey show' prints it, such as {record.version}.")
        return False
    if json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"give --seen with the version that you decide about: 'samekey show {record.idempotency_key[:SHORT_KEY]}' "
            f"prints it.{hint}"
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
    return short("--note", note or "")


def _by(by: str | None) -> str:
    by = user() if by is None else by
    if not by.strip():
        raise UsageError("give --by: nobody knows who decides.")
    return short("--by", by)


def _refused(error: RefusedError, record: Record) -> NoReturn:
    sentence = str(error)
    if error.record_changed:
        sentence = f"{sentence.rstrip('.')}; see 'samekey show {record.idempotency_key[:SHORT_KEY]}'."
    leave(Exit.REFUSED, sentence)
