"""Finding the one action that the beginning of a key names."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey.cli.exits import Exit, leave
from samekey.cli.render import SHORT_KEY

if TYPE_CHECKING:
    from samekey._core.model import Record
    from samekey.stores import Store

KeyArgument = Annotated[
    str,
    typer.Argument(metavar="KEY", help="A whole key, or as many of its first characters as single it out."),
]

MOST_MATCHES: Final = 5
"""Matches that an ambiguous key lists."""


def find(store: Store, key: str) -> Record:
    """The record that is meant; ends the command if there is none, or more than one."""
    prefix = key.strip().rstrip("….").lower()
    if not prefix:
        leave(Exit.USAGE, "KEY is empty; give the first characters of a key, as 'samekey list' shows them.")
    records = store.find(key_prefix=prefix, limit=MOST_MATCHES + 1)
    if not records:
        missing = f"no action in {store.location} has a key that begins with {prefix!r}; see 'samekey list'."
        leave(Exit.NOT_FOUND, missing)
    if len(records) > 1:
        leave(Exit.USAGE, _ambiguous(prefix, records))
    return records[0]


def _ambiguous(prefix: str, records: list[Record]) -> str:
    unique = _distinguishing(prefix, [record.idempotency_key for record in records])
    matches = [f"{record.idempotency_key[:unique]} {record.label}" for record in records[:MOST_MATCHES]]
    more = ", …" if len(records) > MOST_MATCHES else ""
    return f"{prefix!r} fits more than one action, give more of the key: {', '.join(matches)}{more}."


def _distinguishing(prefix: str, keys: list[str]) -> int:
    """How many characters tell these keys apart, at least as many as people are used to."""
    length = max(SHORT_KEY, len(prefix) + 1)
    while len({key[:length] for key in keys}) < len(keys):
        length += 1
    return length


def is_alive(store: Store, record: Record) -> bool | None:
    """Whether the process that holds the action still runs; None if no process holds it."""
    if record.holder is None or record.settled:
        return None
    existing = store.get(record.identity)
    if existing is None or existing.record.holder != record.holder:
        return False
    # Of a process of another boot or host only the lease tells (R5b).
    return existing.alive and record.lease_expires_at is not None and datetime.now(UTC) <= record.lease_expires_at
