"""Records as rows of PostgreSQL and back."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from psycopg import adapters
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap, Buffer, Loader
from psycopg.pq import Format

from samekey._core.model import LATEST, Record
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey.stores import _codec
from samekey.stores._rows import FIELDS, values_of

TYPES: Final = {
    "generation": "integer",
    "created_at": "timestamptz",
    "last_seen_at": "timestamptz",
    "attempts": "integer",
    "fence": "integer",
    "open_attempts": "integer",
    "expires_at": "timestamptz",
    "frozen_request": "bytea",
    "window_seconds": "double precision",
    "first_sent_at": "timestamptz",
    "lease_expires_at": "timestamptz",
    "boot_time": "double precision",
    "response_status": "integer",
    "response_body": "bytea",
    "completed_at": "timestamptz",
    "max_delay_seconds": "double precision",
    "guarded": "boolean",
}
"""The types of the columns that are not text."""

_TEXTS: Final = tuple(
    index
    for index, name in enumerate(FIELDS)
    if name not in {"scope", "field_digests", "response_headers", "volatile", *TYPES}
)
_SCOPE: Final = FIELDS.index("scope")
_DIGESTS: Final = FIELDS.index("field_digests")
_HEADERS: Final = FIELDS.index("response_headers")
_VOLATILE: Final = FIELDS.index("volatile")
_STATUS: Final = FIELDS.index("status")


def encode(record: Record) -> list[Any]:
    """The columns of a record, in the order of `FIELDS`."""
    row: list[Any] = list(values_of(record))
    row[_STATUS] = record.status._value_
    row[_SCOPE] = _codec.mapping_text(record.scope) if record.scope else "{}"
    row[_DIGESTS] = _codec.mapping_text(record.field_digests) if record.field_digests else "{}"
    row[_HEADERS] = _codec.headers_text(record.response_headers)
    row[_VOLATILE] = _codec.names_text(record.volatile)
    for index in _TEXTS:
        text = row[index]
        if text is not None and "\0" in text:
            row[index] = without_nul(text)
    return row


def without_nul(text: str) -> str:
    """Text that PostgreSQL can keep: it has no character 0."""
    return text.replace("\0", "\ufffd")


@fixed
class Found:
    """A row as it was found; whether its holder lives is looked up afterwards.

    Attributes:
        record: the row.
        first_sent_ago: seconds by the store's clock; None if it was not sent.
        lease_left: seconds by the store's clock; None without a lease.
        newest: when the newest record of the store was made.
    """

    record: Record
    first_sent_ago: float | None
    lease_left: float | None
    newest: datetime

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Found":
        """Of a row with the columns of `FIELDS` and those three."""
        return cls(decode(row[: len(FIELDS)]), *row[len(FIELDS) :])


def decode(row: Sequence[Any]) -> Record:
    """The record of a row that was selected in the order of `FIELDS`.

    Raises:
        StoreFormatError: the row has something that samekey does not write.
    """
    values = list(row)
    try:
        values[_STATUS] = Status(values[_STATUS])
        values[_SCOPE] = _codec.json_mapping(values[_SCOPE])
        values[_DIGESTS] = _codec.json_mapping(values[_DIGESTS])
        values[_HEADERS] = _codec.json_headers(values[_HEADERS])
        values[_VOLATILE] = _codec.json_names(values[_VOLATILE])
        return Record(**dict(zip(FIELDS, values, strict=True)))
    except _codec.UNREADABLE:
        raise _codec.damaged() from None


_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class _Utc(Loader):
    """Times as UTC, whatever time zone the session has: behind a pooler it may be anybody's."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime:
        """Microseconds since 2000; what lies beyond the calendar is its last moment."""
        try:
            return _EPOCH + timedelta(microseconds=int.from_bytes(bytes(data), "big", signed=True))
        except OverflowError:
            return LATEST


class _Context:
    """What connections are told about types."""

    def __init__(self) -> None:
        self.adapters: AdaptersMap = AdaptersMap(adapters)
        self.adapters.register_loader("timestamptz", _Utc)

    @property
    def connection(self) -> None:
        """None: it holds for every connection."""
        return


CONTEXT: Final[AdaptContext] = _Context()
