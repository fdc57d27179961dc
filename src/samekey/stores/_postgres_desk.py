"""The other verbs of the PostgreSQL store: what people start, and what only reads. Generators, as in `_postgres_verbs`."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from samekey._core.model import Event, Record
from samekey._core.states import UNSETTLED, Status
from samekey._core.verbs import Resolution, Resolved
from samekey.stores import _rows, _rulings
from samekey.stores._doctor import Check, clock_check
from samekey.stores._postgres_codec import Found, decode, encode, without_nul
from samekey.stores._postgres_sql import Texts
from samekey.stores._postgres_verbs import BEGIN, COMMIT, Ask, Rows, Verb, told
from samekey.stores._rulings import ERASED

MOST_SKEW_SECONDS: Final = 10.0
"""How far a machine's clock may be from the server's before the doctor says so; leases go by the server's."""


def resolve_rows(
    texts: Texts, may_be_sending: Callable[[Found], bool], resolution: Resolution
) -> Verb[Resolved | Found | None]:
    """Writes a decision if it may be written, and in any case that it was made.

    Args:
        texts: the statements.
        may_be_sending: whether a record's holder may be at work, by what this process and the store's clock know.
        resolution: what a person decided.
    """
    yield BEGIN
    yield Ask(texts.lock, [resolution.identity])
    generations = [Found.of(row) for row in (yield Ask(texts.generations, [resolution.identity]))]
    found = next((found for found in generations if found.record.generation == resolution.expect.generation), None)
    rows = [found.record for found in generations]
    verdict = _rulings.resolve(rows, resolution, alive=found is not None and may_be_sending(found))
    for new in verdict.rows:
        yield Ask(texts.rewrite, encode(new))
    for new, event in verdict.events:
        yield told(texts, new, event)
    if verdict.rows:
        yield Ask(texts.wake, [resolution.identity])
    yield COMMIT
    if verdict.answer is not None:
        return verdict.answer
    return generations[-1] if generations else None


_ERASED: Final = {**ERASED, "scope": "{}", "field_digests": "{}", "response_headers": "[]", "volatile": "[]"}


def purge_rows(texts: Texts, at: datetime, limit: int) -> Verb[int]:
    """Turns records that are settled and expired into tombstones, and forgets their timelines: one statement."""
    rows = yield Ask(texts.purge, [*_ERASED.values(), at, limit, _rulings.PURGED], commits=True)
    count: int = rows[0][0]
    return count


def get_row(texts: Texts, identity: str) -> Verb[Found | None]:
    """The highest generation."""
    rows = yield Ask(texts.highest, [identity])
    return Found.of(rows[0]) if rows else None


def find_rows(
    texts: Texts,
    key_prefix: str | None,
    statuses: Collection[Status] | None,
    operation_name: str | None,
    actor_id: str | None,
    origin: str | None,
    *,
    newest_first: bool,
    limit: int | None,
) -> Verb[list[Record]]:
    """Records that match all that is given."""
    way = "key" if key_prefix else "unsettled" if statuses is not None and UNSETTLED.issuperset(statuses) else "all"
    start, end = (key_prefix, key_prefix + "\U0010ffff") if key_prefix else (None, None)
    wanted = None if statuses is None else [status.value for status in statuses]
    most = None if limit is None else max(limit, 0)
    values = [start, end, wanted, operation_name, actor_id, origin, most]
    rows = yield Ask(texts.find[way, newest_first], values)
    return [decode(row) for row in rows]


def read_events(texts: Texts, idempotency_key: str) -> Verb[list[Event]]:
    """The timeline of one generation."""
    rows = yield Ask(texts.events, [idempotency_key])
    return [Event(at, kind, detail) for at, kind, detail in rows]


def add_note(texts: Texts, record: Record, event: Event) -> Verb[None]:
    """Adds an event and moves `last_seen_at`: one statement, which asked twice would tell it twice."""
    detail = without_nul(_rows.clean(event.detail))
    yield Ask(texts.note, [record.idempotency_key, event.at, event.kind, detail], commits=True, again=False)


def look_at(texts: Texts, record: Record, *, announce: bool) -> Verb[bool]:
    """Whether a row is still as it was seen; if asked to, it is marked first, so that its change is announced."""
    version = [record.generation, record.fence, record.status.value]
    if announce:
        yield Ask(texts.await_it, [record.identity, *version], commits=True)
    rows: Rows = yield Ask(texts.version, [record.identity])
    return bool(rows) and list(rows[0]) == version


def examine_store(texts: Texts, now: datetime, *, claim_durable: bool) -> Verb[list[Check]]:
    """What `samekey doctor` says of the server."""
    ((version, server, newest),) = yield Ask(texts.condition)
    apart = abs((now - server).total_seconds())
    well = apart <= MOST_SKEW_SECONDS
    durable = "survive a power loss" if claim_durable else "may be lost: APIs without keys are refused"
    return [
        Check("server", well=True, told=f"PostgreSQL {version}"),
        Check("claims", well=True, told=f"acknowledged ones {durable}"),
        Check(
            "server's clock",
            well=well,
            told=f"{apart:.1f} s from this machine's" + ("" if well else "; set the clocks"),
        ),
        clock_check(None if newest is None else newest.timestamp(), now),
    ]
