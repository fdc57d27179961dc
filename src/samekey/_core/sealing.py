"""How an encrypted request or answer looks in a record, so that nobody without its key takes it for something else."""

from collections.abc import Iterable
from typing import Final

from samekey._core.model import Record
from samekey.errors import StoreFormatError

MARK: Final = b"samekey-sealed:"
"""What an encrypted frozen request begins with, where a plain one has a brace."""

HEADER: Final = "samekey-sealed"
"""The one header of an encrypted answer. No answer brings it along: it is none of those that are stored."""

LOOK_AT: Final = 8
"""Newest records that tell whether a store is encrypted; those that were not sent have nothing to encrypt."""


def sealed_with(record: Record) -> tuple[str, ...]:
    """The ids of the keys that a record's request and answer are encrypted with."""
    found = []
    if record.frozen_request is not None and record.frozen_request.startswith(MARK):
        found.append(record.frozen_request[len(MARK) :].partition(b":")[0].decode("ascii", "replace"))
    found += [value.partition(":")[0] for name, value in record.response_headers if name == HEADER]
    return tuple(found)


def locked(what: str, key_id: str) -> StoreFormatError:
    """What is raised where a key is needed and not there."""
    return StoreFormatError(
        f"{what} is encrypted with a key that is not here (id {key_id}), so nothing was sent or changed; set "
        f"SAMEKEY_ENCRYPTION_KEY or encryption= to that key, or put it behind the new one, with a comma."
    )


def refuse_sealed(records: Iterable[Record]) -> None:
    """Refuses what cannot be read.

    Raises:
        StoreFormatError: one of the records is still encrypted.
    """
    for record in records:
        for key_id in sealed_with(record):
            raise locked(record.label if record.scope else record.operation_name, key_id)
