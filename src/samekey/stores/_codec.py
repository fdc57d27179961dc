"""Records as rows of SQL and back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from samekey._core.jsontext import FlatJson, flat_json, quoted
from samekey._core.model import LATEST, Record
from samekey._core.states import Status
from samekey.errors import StoreFormatError
from samekey.stores._errors import KEEP, NOTHING_SENT
from samekey.stores._rows import FIELDS, values_of

TIMES: Final = ("created_at", "last_seen_at", "expires_at", "first_sent_at", "lease_expires_at", "completed_at")
"""The fields that are moments."""

_TIMES: Final = tuple(FIELDS.index(name) for name in TIMES)
_JSON: Final = tuple(FIELDS.index(name) for name in ("scope", "field_digests"))
_STATUS: Final = FIELDS.index("status")
_HEADERS: Final = FIELDS.index("response_headers")
_VOLATILE: Final = FIELDS.index("volatile")
_GUARDED: Final = FIELDS.index("guarded")

UNREADABLE: Final = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a row raises that samekey did not write."""


def damaged() -> StoreFormatError:
    """What is raised of such a row: not `from` the first error, whose words may quote the row."""
    return StoreFormatError(f"a record of the store cannot be read (it is damaged), {NOTHING_SENT}; {KEEP}.")


def encode(record: Record) -> tuple[Any, ...]:
    """The columns of a record, in the order of `FIELDS`."""
    row: list[Any] = list(values_of(record))
    for index in _TIMES:
        moment = row[index]
        if moment is not None:
            row[index] = moment.timestamp()
    for index in _JSON:
        row[index] = mapping_text(row[index]) if row[index] else "{}"
    row[_STATUS] = record.status._value_  # exact types spare sqlite3 the search for an adapter
    row[_HEADERS] = headers_text(record.response_headers) if record.response_headers else "[]"
    row[_VOLATILE] = names_text(record.volatile) if record.volatile else "[]"
    row[_GUARDED] = int(record.guarded)
    return tuple(row)


def encode_over(record: Record) -> tuple[Any, ...]:
    """The columns of a record, and which row they go over."""
    return (*encode(record), record.identity, record.generation)


def decode(row: Sequence[Any]) -> Record:
    """The record of a row that was selected in the order of `FIELDS`.

    Raises:
        StoreFormatError: the row has something that samekey does not write.
    """
    values = list(row)
    try:
        for index in _TIMES:
            seconds = values[index]
            if seconds is not None:
                values[index] = moment(seconds)
        for index in _JSON:
            values[index] = json_mapping(values[index])
        values[_STATUS] = Status(values[_STATUS])
        values[_HEADERS] = json_headers(values[_HEADERS])
        values[_VOLATILE] = json_names(values[_VOLATILE])
        values[_GUARDED] = bool(values[_GUARDED])
        return Record(**dict(zip(FIELDS, values, strict=True)))
    except UNREADABLE:
        raise damaged() from None


def mapping_text(mapping: Mapping[str, str]) -> str:
    """Names and texts as JSON."""
    return mapping.text() if type(mapping) is FlatJson else flat_json(mapping)


def headers_text(headers: Sequence[tuple[str, str]]) -> str:
    """Header fields as JSON."""
    return f"[{','.join([f'[{quoted(name)},{quoted(text)}]' for name, text in headers])}]"


def names_text(names: Iterable[str]) -> str:
    """Names as JSON."""
    return f"[{','.join(map(quoted, names))}]"


def json_mapping(text: str) -> dict[str, str]:
    """Names and texts of JSON."""
    mapping: dict[str, str] = json.loads(text)
    return mapping


def json_headers(text: str) -> tuple[tuple[str, str], ...]:
    """Header fields of JSON."""
    return tuple((name, value) for name, value in json.loads(text))


def json_names(text: str) -> tuple[str, ...]:
    """Names of JSON."""
    return tuple(json.loads(text))


def moment(seconds: float) -> datetime:
    """The time of so many seconds since 1970, which keep microseconds until the year 2242.

    What rounds beyond the calendar is its last moment.
    """
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OSError, OverflowError, ValueError):
        return LATEST
