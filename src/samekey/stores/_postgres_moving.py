"""How records move to a store in PostgreSQL and from it. Generators, as in `_postgres_verbs`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from samekey._core.model import Event, Record
from samekey.stores import _codec
from samekey.stores._contract import Adopted, Entry
from samekey.stores._postgres_codec import decode, encode
from samekey.stores._postgres_sql import Texts
from samekey.stores._postgres_verbs import BEGIN, COMMIT, Ask, Verb, told

PAGE: Final = 200
"""Records that are read at once."""


def known_operations(texts: Texts) -> Verb[dict[str, tuple[str, ...]]]:
    """The scope names of each operation."""
    rows = yield Ask(texts.operations)
    return {name: _codec.json_names(names) for name, names in rows}


def export_rows(texts: Texts, last: int) -> Verb[tuple[list[Entry], int]]:
    """Some records after one, and the place of their last in the order of all."""
    rows = yield Ask(texts.after, [last, PAGE])
    records = [decode(row[1:]) for row in rows]
    events: defaultdict[str, list[Event]] = defaultdict(list)
    if records:
        keys = [record.idempotency_key for record in records]
        for key, at, kind, detail in (yield Ask(texts.events_of, [keys])):
            events[key].append(Event(at, kind, detail))
    entries = [Entry(record, tuple(events[record.idempotency_key])) for record in records]
    return entries, rows[-1][0] if rows else last


def adopt_rows(texts: Texts, operations: Mapping[str, tuple[str, ...]], entries: Sequence[Entry]) -> Verb[Adopted]:
    """Writes what is not there yet: one transaction."""
    written = 0
    conflicts: list[Record] = []
    yield BEGIN
    for name, names in operations.items():
        yield Ask(texts.add_operation, [name, _codec.names_text(sorted(names))])
    for entry in entries:
        record = entry.record
        row = encode(record)
        if (yield Ask(texts.adopt, row)):
            for event in entry.events:
                yield told(texts, record, event)
            written += 1
            continue
        found = yield Ask(texts.same, [record.identity, record.generation, record.idempotency_key])
        asked = [told(texts, record, event).values for event in entry.events]
        there = [[record.idempotency_key, *line] for line in (yield Ask(texts.events, [record.idempotency_key]))]
        # As PostgreSQL can keep them: it has no character 0.
        if [encode(decode(other)) for other in found] != [row] or there != [list(values) for values in asked]:
            conflicts.append(record)
    yield COMMIT
    return Adopted(written, tuple(conflicts))
