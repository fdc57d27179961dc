"""Log lines of the logger `samekey`: one per decision, facts in `extra`, quiet unless the application configures logging.

DEBUG is the happy path, INFO every wait (otherwise a script seems to hang), replay and recovery, WARNING what somebody
should look at. `EVENTS` has them all; it is the documentation's table, too.
"""

import logging
from dataclasses import dataclass
from typing import Final

from samekey._core.model import Record
from samekey._core.run import Done
from samekey._core.tally import PREVENTED
from samekey.errors import (
    ActionAbandonedError,
    ConflictError,
    NeedsReviewError,
    OutcomeUnknownError,
    SamekeyError,
)
from samekey.telemetry import tracing

logger: Final = logging.getLogger("samekey")
logger.addHandler(logging.NullHandler())

_LOUD = (OutcomeUnknownError, NeedsReviewError, ConflictError, ActionAbandonedError)

ALWAYS: Final = ("event", "operation", "key", "correlation_id")
"""What each line about an action has in `extra`."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """The definition of one event.

    Attributes:
        level: its level; None where it depends.
        meaning: when it is logged.
        fields: what it has in `extra` beside `ALWAYS`.
        about_action: whether it is about one action, and has `ALWAYS`; else it has `event` alone.
    """

    level: int | None
    meaning: str
    fields: tuple[str, ...] = ()
    about_action: bool = True


EVENTS: Final = {
    "made": LogEvent(logging.DEBUG, "The action succeeded at its first attempt in this run.", ("attempts",)),
    "replayed": LogEvent(logging.INFO, "The stored result was returned, and nothing was sent.", ("attempts",)),
    "recovered": LogEvent(logging.INFO, "An earlier run's attempt was taken over, and succeeded.", ("attempts",)),
    "recognised": LogEvent(
        logging.INFO, "What was about to be done again had happened: `by` the server's word or a look-up.", ("by",)
    ),
    "wait": LogEvent(logging.INFO, "It is sent again after a wait.", ("seconds", "attempt", "attempts", "why")),
    "await": LogEvent(logging.INFO, "Another run is on it, and its result is waited for.", ("seconds",)),
    "budget_stop": LogEvent(logging.WARNING, "It is not sent again, for the retry budget is used up.", ("why",)),
    "new_generation": LogEvent(
        logging.WARNING, "It was refused before, and is tried anew under another key.", ("generation",)
    ),
    "duplicate": LogEvent(
        logging.WARNING, 'The same data was used by another action, and `duplicates="warn"` lets it pass.', ("other",)
    ),
    "contract_changed": LogEvent(logging.WARNING, "Its contract says otherwise than when it was begun.", ("changes",)),
    "failure": LogEvent(
        None,
        "It ended in an exception: WARNING for what may have happened, conflicts, and what a person has closed; else INFO.",
        ("error", "status", "attempts", "retry_after"),
    ),
    "unrecorded": LogEvent(logging.WARNING, "An outcome or an event could not be stored."),
    "unrecorded_at_close": LogEvent(
        logging.WARNING, "An outcome could not be stored before the client closed.", about_action=False
    ),
    "container_store": LogEvent(
        logging.WARNING, "The default store is in a container, and dies with it.", about_action=False
    ),
    "weak_secret": LogEvent(
        logging.WARNING, "The secret is so short that its keys can be guessed.", about_action=False
    ),
    "listening_failed": LogEvent(
        logging.WARNING,
        "Listening to PostgreSQL for the end of other runs failed; it is tried again, and rows are looked at meanwhile.",
        about_action=False,
    ),
    "telemetry_failed": LogEvent(
        logging.DEBUG,
        "OpenTelemetry, or what the program has added to it, raised; the action goes on.",
        about_action=False,
    ),
    "log_not_emptied": LogEvent(
        logging.DEBUG, "SQLite's log could not be emptied just now; it is tried again.", about_action=False
    ),
}
"""The events by name."""


def _say(
    event: str, operation: str, key: str, correlation_id: str | None, text: str, *arguments: object,
    level: int | None = None, **fields: object,
) -> None:  # fmt: skip
    error = fields.get("error")
    tracing.count(event, operation, error if isinstance(error, str) else None)
    level = level or EVENTS[event].level or logging.INFO
    if logger.isEnabledFor(level):
        extra = {"event": event, "operation": operation, "key": key[:8], "correlation_id": correlation_id, **fields}
        logger.log(level, f"%s: {text}", operation, *arguments, extra=extra)  # noqa: G004 - `text` is a format


def _of(record: Record) -> tuple[str, str, str | None]:
    return record.operation_name, record.idempotency_key, record.correlation_id


def waiting(record: Record, seconds: float, attempt: int, attempts: int, why: str) -> None:
    """A wait before a resend."""
    _say(
        "wait", *_of(record), "%s; waiting %.1f s, attempt %d of %d", why, seconds, attempt, attempts,
        seconds=seconds, attempt=attempt, attempts=attempts, why=why,
    )  # fmt: skip


def out_of_budget(record: Record, why: str) -> None:
    """A resend that the retry budget does not allow."""
    _say("budget_stop", *_of(record), "%s; the retry budget is used up, so it is not sent again now", why, why=why)


def awaiting(record: Record, seconds: float) -> None:
    """A wait for another holder."""
    text = "another run is on it; waiting for its result, %.0f s at most"
    _say("await", *_of(record), text, seconds, seconds=seconds)


def new_generation(record: Record) -> None:
    """A refused action that is tried anew."""
    text = "was refused before and is tried anew, as generation %d under another key"
    _say("new_generation", *_of(record), text, record.generation, generation=record.generation)


def finished(record: Record, *, replayed: bool, recovered: bool) -> None:
    """An action that succeeded."""
    if replayed:
        event, text = "replayed", "already made, the stored result is returned"
    elif recovered:
        event, text = "recovered", "recovered: sent again under the same key"
    elif logger.isEnabledFor(logging.DEBUG) or tracing.used():
        event, text = "made", "made"
    else:
        return  # the happy path pays for nothing that nobody reads
    _say(event, *_of(record), text, attempts=record.attempts)


def prevented(done: Done) -> None:
    """What kept an action from happening twice, if something had to."""
    told = done.note or done.told
    way = None if told is None else PREVENTED.get(told.kind)
    if way is None:
        return
    tracing.prevented(way, done.run.plan.identity.operation_name)
    if told is done.told and done.record is not None:
        text = (
            "it had happened: the API has told so by its key"
            if way == "server"
            else "it had happened: a look-up found it"
        )
        _say("recognised", *_of(done.record), text, by=way)


def failed(operation: str, error: SamekeyError) -> None:
    """An action that ended in an exception; its text stays out, for it holds the scope."""
    level, name = logging.WARNING if isinstance(error, _LOUD) else logging.INFO, type(error).__name__
    status = None if error.status is None else str(error.status)
    _say(
        "failure", operation, error.key or "", error.correlation_id, "%s", name,
        level=level, error=name, status=status, attempts=error.attempts, retry_after=error.retry_after,
    )  # fmt: skip


def unrecorded(record: Record, text: str) -> None:
    """Something that could not be stored."""
    _say("unrecorded", *_of(record), "%s", text)


def contract_changed(record: Record, changes: tuple[str, ...]) -> None:
    """A contract that says otherwise than when the action was begun."""
    told = "; ".join(changes)
    _say("contract_changed", *_of(record), "its contract has changed since it was begun: %s", told, changes=told)


def duplicate(operation: str, other: Record) -> None:
    """Another action carries the same payload, and the contract only warns."""
    text, short = (
        "the same data was used before by another action of this operation (key %s…)",
        other.idempotency_key[:8],
    )
    _say("duplicate", operation, other.idempotency_key, None, text, short, other=short)


def unrecorded_at_close(error: SamekeyError) -> None:
    """A settlement that is lost with the client; the next run asks the API."""
    text = "a settlement could not be stored before the client closed: %s"
    logger.warning(text, error, extra={"event": "unrecorded_at_close"})
