"""`samekey show KEY`: one action and its timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samekey.cli.finding import KeyArgument, find, is_alive
from samekey.cli.options import JsonOption, StoreOption, existing_store, same_store
from samekey.cli.render import as_json, console, iso, record_fields
from samekey.cli.sheet import sheet
from samekey.cli.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samekey._core.model import Record
    from samekey.cli.timeline import Line


def show(key: KeyArgument, store: StoreOption = None, json: JsonOption = False) -> None:
    """Show one action: what is known, and what happened when. Never what was sent or answered."""
    with existing_store(store) as opened:
        record = find(opened, key)
        lines = timeline(record, opened.events(record.idempotency_key))
        alive = is_alive(opened, record)
    if json:
        print(as_json(document(record, lines)))
        return
    sheet(console(), record, lines, alive=alive, hint=same_store(store))


def document(record: Record, lines: Sequence[Line]) -> dict[str, Any]:
    """An action for JSON: the record, the state a decision has to name, and the timeline."""
    return {**record_fields(record), "version": record.version, "timeline": [_line(line) for line in lines]}


def _line(line: Line) -> dict[str, Any]:
    told: dict[str, Any] = {"at": iso(line.at), "what": line.what, "detail": line.detail}
    return told if line.decision is None else {**told, "decision": dict(line.decision)}
