"""`samekey export`: every action with its timeline, one JSON document a line."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey._core.states import Status
from samekey.cli.list_ import OperationOption, StatusOption
from samekey.cli.options import StoreOption, existing_store
from samekey.cli.show import document
from samekey.cli.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from samekey._core.model import Record
    from samekey.stores import Store

_BEGINNINGS: Final = tuple(f"{number:02x}" for number in range(256))
"""Of keys, which are UUIDs: a store is read in so many parts, so that none fills the memory."""

JsonLines = Annotated[bool, typer.Option("--json", help="As every command has it; lines of JSON are all there is.")]


def export(
    store: StoreOption = None, status: StatusOption = None, operation: OperationOption = None, _json: JsonLines = True
) -> None:
    """Print every action with its timeline as one line of JSON, in the order of the keys. Never a body."""
    with existing_store(store) as opened:
        for record in _all(opened, status, operation):
            lines = timeline(record, opened.events(record.idempotency_key))
            print(json_module.dumps(document(record, lines), separators=(",", ":")))


def _all(store: Store, statuses: Collection[Status] | None, operation: str | None) -> Iterator[Record]:
    for beginning in _BEGINNINGS:
        yield from sorted(
            store.find(key_prefix=beginning, statuses=statuses or None, operation_name=operation),
            key=lambda record: record.idempotency_key,
        )
