"""The verbs of the PostgreSQL store, written once for both ways of waiting.

Each is a generator: it yields statements and is sent their rows, so it knows no connection. Right under READ COMMITTED:
a single statement compares and sets in its WHERE, which the server judges anew after it has waited for a row; what
takes several locks the first generation of its identity before it looks at any.
"""

from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar

from samekey._core.model import Event, Record
from samekey._core.states import IllegalMoveError, Move, after
from samekey._core.values import fixed
from samekey._core.verbs import Claim, Claimed, DuplicateFound, Renewal, Renewed, ScopeNamesDiffer, Settled, Settlement
from samekey.stores import _codec, _rows
from samekey.stores._postgres_codec import Found, decode, encode, without_nul
from samekey.stores._postgres_sql import RENEWED_FIELDS, Texts
from samekey.stores._rows import FIELDS
from samekey.stores._sql import SETTLED_FIELDS

T = TypeVar("T")
Names = dict[str, tuple[str, ...]]
Rows = list[Any]


@fixed
class Ask:
    """One statement.

    Attributes:
        text: of `Texts`.
        values: its parameters.
        commits: whether it is a commit, or commits by itself: if its answer is lost, it may have happened.
        again: whether it may be asked again then.
        counted: whether only the number of its rows is wanted, and not what is in them.
    """

    text: str
    values: Sequence[Any] = ()
    commits: bool = False
    again: bool = True
    counted: bool = False


Verb = Generator[Ask, Rows, T]

# The session's default may be another level, under which a row that was waited for would be an error.
BEGIN: Final = Ask("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
COMMIT: Final = Ask("COMMIT", commits=True)
ROLLBACK: Final = Ask("ROLLBACK")


class KeyOfAnotherError(Exception):
    """The key of a claim is there, under another identity."""


# --- claim ---------------------------------------------------------------------------------------------------


def claim_row(texts: Texts, known: Names, claim: Claim) -> Verb[Claimed | Found | DuplicateFound | ScopeNamesDiffer]:
    """Writes a claim if it may be written: one statement, unless it has duplicates to search or a row to replace.

    Args:
        texts: the statements.
        known: the scope names of operations as they were read before; they never change.
        claim: what to write.
    """
    record = claim.record
    names = known.get(record.operation_name)
    if names is not None and not _rows.same_names(names, record.scope):
        return ScopeNamesDiffer(names)
    simple = (
        claim.replaces is None and claim.duplicates_since is None and record.generation == 1 and claim.event is None
    )
    if not simple:
        return (yield from _claim_carefully(texts, known, claim))
    if names is None:
        return (yield from _claim_with_names(texts, known, claim))
    if (yield Ask(texts.claim, encode(record), commits=True, counted=True)):
        return Claimed(record)
    return (yield from _claimed_before(texts, claim))


def _claim_with_names(texts: Texts, known: Names, claim: Claim) -> Verb[Claimed | Found | ScopeNamesDiffer]:
    record = claim.record
    mine = tuple(sorted(record.scope))
    while True:
        asked = Ask(texts.claim_and_names, [*encode(record), _codec.names_text(mine)], commits=True)
        ((stored, added, claimed),) = yield asked
        if stored is not None:
            names = known[record.operation_name] = _codec.json_names(stored)
            if names != mine:
                return ScopeNamesDiffer(names)
        if claimed:
            known[record.operation_name] = mine
            return Claimed(record)
        if stored is not None or added:
            return (yield from _claimed_before(texts, claim))
        # Somebody else was just making the operation known: now it can be read.


def _claimed_before(texts: Texts, claim: Claim) -> Verb[Claimed | Found]:
    rows = yield Ask(texts.highest, [claim.record.identity])
    if not rows:
        raise KeyOfAnotherError
    found = Found.of(rows[0])
    return Claimed(found.record) if _rows.is_same_claim(found.record, claim) else found


def _claim_carefully(
    texts: Texts, known: Names, claim: Claim
) -> Verb[Claimed | Found | DuplicateFound | ScopeNamesDiffer]:
    record = claim.record
    yield BEGIN
    if claim.duplicates_since is not None:
        yield Ask(texts.one_by_one, [f"{texts.schema}\n{record.operation_name}\n{record.request_fingerprint}"])
    found = None
    generations = yield from _locked(texts, record.identity)
    if generations:
        found = generations[-1]
    if not _rows.may_claim(found.record if found is not None else None, claim):
        yield ROLLBACK
        if found is None:
            raise LookupError(f"the store has no action {record.identity!r} to claim anew")
        return Claimed(found.record) if _rows.is_same_claim(found.record, claim) else found
    names = known.get(record.operation_name) or (yield from _names_of(texts, record))
    if not _rows.same_names(names, record.scope):
        yield ROLLBACK
        return ScopeNamesDiffer(names)
    duplicate = yield from _duplicate(texts, claim)
    if duplicate is not None and claim.refuse_duplicates:
        yield ROLLBACK
        return DuplicateFound(duplicate)
    if claim.replaces is not None and claim.replaces.generation == record.generation:
        yield Ask(texts.revive, encode(record))
    elif not (yield Ask(texts.claim, encode(record))):
        yield ROLLBACK
        return (yield from _claimed_before(texts, claim))
    if claim.event is not None:
        yield told(texts, record, claim.event)
    yield COMMIT
    known[record.operation_name] = names
    return Claimed(record, duplicate)


def _names_of(texts: Texts, record: Record) -> Verb[tuple[str, ...]]:
    """The scope names of an operation; if it has none yet, it gets the record's."""
    yield Ask(texts.add_operation, [record.operation_name, _codec.names_text(sorted(record.scope))])
    ((stored,),) = yield Ask(texts.scope_names, [record.operation_name])
    return _codec.json_names(stored)


def _duplicate(texts: Texts, claim: Claim) -> Verb[Record | None]:
    if claim.duplicates_since is None:
        return None
    record = claim.record
    values = [record.operation_name, record.request_fingerprint, record.identity, claim.duplicates_since]
    rows = yield Ask(texts.duplicate, values)
    return decode(rows[0]) if rows else None


def _locked(texts: Texts, identity: str) -> Verb[list[Found]]:
    """All generations, oldest first, none of which changes or is added until the end of the transaction."""
    yield Ask(texts.lock, [identity])
    rows = yield Ask(texts.generations, [identity])
    return [Found.of(row) for row in rows]


def told(texts: Texts, record: Record, event: Event) -> Ask:
    """Adds a line to a generation's timeline."""
    return Ask(texts.add_event, [record.idempotency_key, event.at, event.kind, _detail(event)])


def _detail(event: Event) -> str:
    return without_nul(_rows.clean(event.detail))


# --- renew ---------------------------------------------------------------------------------------------------


def renew_row(texts: Texts, known: Record | None, renewal: Renewal) -> Verb[Renewed | Found]:
    """Records a further attempt: one statement.

    Args:
        texts: the statements.
        known: the row as this process's own task wrote it last; its number of attempts tells a statement that was
            answered from one whose answer was lost.
        renewal: what to write.
    """
    expect = renewal.expect
    own = known if known is not None and renewal.new_fence == expect.fence else None
    try:
        status = after(
            expect.status, Move.TAKE_OVER if own is None and renewal.new_fence != expect.fence else Move.RESEND
        )
    except IllegalMoveError:
        rows = yield Ask(texts.highest, [renewal.identity])
        found = _found(rows, renewal.identity)
        if _rows.matches(found.record, expect, renewal.holder):
            raise
        return found
    event = (
        (None, None, None) if renewal.event is None else (renewal.event.at, renewal.event.kind, _detail(renewal.event))
    )
    values = [
        *(status.value, renewal.open_attempts, renewal.new_holder, renewal.new_fence),
        *(renewal.lease_expires_at, renewal.nonce, renewal.at),
        *(renewal.identity, expect.generation, expect.fence, expect.status.value, renewal.holder),
        own.attempts if own is not None else None,
        *event,
    ]
    assert len(RENEWED_FIELDS) == 7
    again = own is not None or renewal.new_fence != expect.fence
    rows = yield Ask(texts.renew, values, commits=True, again=again)
    if rows:
        return Renewed(decode(rows[0][: len(FIELDS)]))
    found = _found((yield Ask(texts.highest, [renewal.identity])), renewal.identity)
    same = _rows.is_same_renewal(found.record, renewal) or (own is not None and _is_renewed(found.record, own, renewal))
    return Renewed(found.record) if same else found


def _is_renewed(record: Record, own: Record, renewal: Renewal) -> bool:
    """Whether this very resend under the own fence was written before, by a statement whose answer was lost."""
    return (
        record.fence == own.fence
        and record.attempts == own.attempts + 1
        and record.claim_nonce == renewal.nonce
        and record.holder == renewal.new_holder
        and record.lease_expires_at == renewal.lease_expires_at
    )


def _found(rows: Rows, identity: str) -> Found:
    if not rows:
        raise LookupError(f"the store has no action {identity!r} to renew or settle")
    return Found.of(rows[0])


# --- settle --------------------------------------------------------------------------------------------------


def settle_rows(texts: Texts, known: Record | None, settlement: Settlement) -> Verb[Settled | Found | None]:
    """Writes a settlement: one statement if the row is as the task wrote it; else a transaction over all generations.

    Args:
        texts: the statements.
        known: the row as the task that settles it wrote it.
        settlement: what became of the action.
    """
    if known is not None and _rows.is_own(known, settlement):
        new = _rows.settled(known, settlement)
        if (yield _settle_known(texts, known, new, settlement)):
            return Settled(new)
    yield BEGIN
    generations = yield from _locked(texts, settlement.identity)
    verdict = _rows.settle([found.record for found in generations], settlement)
    for row in verdict.rows:
        yield Ask(texts.rewrite, encode(row))
    for row, event in verdict.events:
        yield told(texts, row, event)
    if verdict.rows:
        yield Ask(texts.wake, [settlement.identity])
    yield COMMIT
    if verdict.answer is not None:
        return verdict.answer
    return generations[-1] if generations else None


_STATUS: Final = SETTLED_FIELDS.index("status")
_PLACES: Final = tuple(FIELDS.index(name) for name in SETTLED_FIELDS)


def _settle_known(texts: Texts, known: Record, new: Record, settlement: Settlement) -> Ask:
    row = encode(new)
    values = [row[place] for place in _PLACES]
    values += [known.identity, known.generation, known.fence, known.status.value, known.holder, known.claim_nonce]
    values.append(not settlement.durable)
    event = settlement.event
    if event is None:
        return Ask(texts.settle, values, commits=True, counted=True)
    return Ask(texts.settle_told, [*values, event.at, event.kind, _detail(event)], commits=True)
