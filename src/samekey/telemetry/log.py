"""Log lines of the logger `samekey`: one per decision, facts in `extra`, quiet unless the application configures logging.

DEBUG is the happy path, INFO every wait (otherwise a script seems to hang), replay and recovery, WARNING what somebody
should look at.
"""

import logging
from typing import Final

from samekey._core.model import Record
from samekey.errors import (
    ActionAbandonedError,
    ConflictError,
    NeedsReviewError,
    OutcomeUnknownError,
    SamekeyError,
)

logger: Final = logging.getLogger("samekey")
logger.addHandler(logging.NullHandler())

_LOUD = (OutcomeUnknownError, NeedsReviewError, ConflictError, ActionAbandonedError)


def _say(level: int, event: str, operation: str, key: str, text: str, *args: object) -> None:
    if logger.isEnabledFor(level):
        extra = {"event": event, "operation": operation, "key": key[:8]}
        logger.log(level, f"%s: {text}", operation, *args, extra=extra)  # noqa: G004 - `text` is a format


def waiting(record: Record, seconds: float, attempt: int, attempts: int, why: str) -> None:
    """A wait before a resend."""
    text = "%s; waiting %.1f s, attempt %d of %d"
    _say(
        logging.INFO,
        "wait",
        record.operation_name,
        record.idempotency_key,
        text,
        why,
        seconds,
        attempt,
        attempts,
    )


def awaiting(record: Record, seconds: float) -> None:
    """A wait for another holder."""
    text = "another run is on it; waiting for its result, %.0f s at most"
    _say(logging.INFO, "await", record.operation_name, record.idempotency_key, text, seconds)


def finished(record: Record, *, replayed: bool, recovered: bool) -> None:
    """An action that succeeded."""
    if replayed:
        level, text = logging.INFO, "already made, the stored result is returned"
    elif recovered:
        level, text = logging.INFO, "recovered: sent again under the same key"
    else:
        level, text = logging.DEBUG, "made"
    if logger.isEnabledFor(level):
        _say(level, "success", record.operation_name, record.idempotency_key, text)


def failed(operation: str, error: SamekeyError) -> None:
    """An action that ended in an exception; its text stays out, for it holds the scope."""
    level = logging.WARNING if isinstance(error, _LOUD) else logging.INFO
    _say(level, "failure", operation, error.key or "", "%s", type(error).__name__)


def warn(record: Record, event: str, text: str) -> None:
    """Something that somebody should look at."""
    _say(logging.WARNING, event, record.operation_name, record.idempotency_key, "%s", text)


def duplicate(operation: str, other: Record) -> None:
    """Another action carries the same payload, and the contract only warns."""
    text = "the same data was used before by another action of this operation (key %s…)"
    _say(logging.WARNING, "duplicate", operation, other.idempotency_key, text, other.idempotency_key[:8])
