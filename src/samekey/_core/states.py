"""The states of an action and every legal move between them.

Everything that affects the state machine lives in this file, and its laws are these:

1. A record is born `in_flight`: the claim that creates it is the permission for its first attempt.
2. `pending` means that every attempt so far provably never ran at the API; the key is still fresh.
3. `succeeded` and `rejected` are facts. Only a contradicting fact leads out of them, and only to a person.
4. `unknown` may be sent again under the same key while the API remembers it; `needs_review` may not.
5. A person may abandon what is open, rule that it did not happen, or reopen it for another try; a success is theirs to
   record, never to unmake.
6. Nothing else moves a record. An illegal move is an error that names both states and the event.

The diagram in the documentation is generated from `TRANSITIONS`.
"""

from enum import StrEnum


class Status(StrEnum):
    """What is known about an action."""

    PENDING = "pending"
    """The key is reserved; nothing reached the API's own code."""
    IN_FLIGHT = "in_flight"
    """An attempt was permitted and has no recorded outcome yet."""
    SUCCEEDED = "succeeded"
    """The API confirmed the effect."""
    REJECTED = "rejected"
    """The API definitely refused; nothing happened."""
    UNKNOWN = "unknown"
    """It may have happened; the same key may be sent again while its window is open."""
    NEEDS_REVIEW = "needs_review"
    """It may have happened and automation has stopped."""
    ABANDONED = "abandoned"
    """A person closed it."""


class Move(StrEnum):
    """What can happen to a record."""

    CLAIM = "claim"
    RESEND = "resend"
    TAKE_OVER = "take_over"
    SUCCESS = "success"
    REFUSAL = "refusal"
    NOT_SENT = "not_sent"
    NO_ANSWER = "no_answer"
    STOP = "stop"
    CONTRADICTION = "contradiction"
    RULED_OUT = "ruled_out"
    REOPEN = "reopen"
    ABANDON = "abandon"


UNSETTLED = frozenset({Status.PENDING, Status.IN_FLIGHT, Status.UNKNOWN, Status.NEEDS_REVIEW})
"""States that are never purged by age and keep the frozen request."""

TRANSITIONS: dict[Status, dict[Move, Status]] = {
    Status.PENDING: {
        Move.CLAIM: Status.IN_FLIGHT,
        Move.SUCCESS: Status.SUCCEEDED,
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
        Move.ABANDON: Status.ABANDONED,
    },
    Status.IN_FLIGHT: {
        Move.CLAIM: Status.IN_FLIGHT,
        Move.RESEND: Status.IN_FLIGHT,
        Move.TAKE_OVER: Status.IN_FLIGHT,
        Move.SUCCESS: Status.SUCCEEDED,
        Move.REFUSAL: Status.REJECTED,
        Move.NOT_SENT: Status.PENDING,
        Move.NO_ANSWER: Status.UNKNOWN,
        Move.STOP: Status.NEEDS_REVIEW,
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
        Move.RULED_OUT: Status.REJECTED,
        Move.REOPEN: Status.UNKNOWN,
        Move.ABANDON: Status.ABANDONED,
    },
    Status.UNKNOWN: {
        Move.TAKE_OVER: Status.IN_FLIGHT,
        Move.SUCCESS: Status.SUCCEEDED,
        Move.STOP: Status.NEEDS_REVIEW,
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
        Move.RULED_OUT: Status.REJECTED,
        Move.REOPEN: Status.UNKNOWN,
        Move.ABANDON: Status.ABANDONED,
    },
    Status.NEEDS_REVIEW: {
        Move.SUCCESS: Status.SUCCEEDED,
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
        Move.RULED_OUT: Status.REJECTED,
        Move.REOPEN: Status.UNKNOWN,
        Move.ABANDON: Status.ABANDONED,
    },
    Status.SUCCEEDED: {
        Move.SUCCESS: Status.SUCCEEDED,
    },
    Status.REJECTED: {
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
        Move.REOPEN: Status.REJECTED,
    },
    Status.ABANDONED: {
        Move.SUCCESS: Status.SUCCEEDED,
        Move.CONTRADICTION: Status.NEEDS_REVIEW,
    },
}


class IllegalMoveError(RuntimeError):
    """A move that `TRANSITIONS` does not have: a bug in samekey or in a store, never the caller's."""


def after(status: Status, move: Move) -> Status:
    """Returns the state that `move` leads to.

    Raises:
        IllegalMoveError: the table has no such move.
    """
    target = TRANSITIONS[status].get(move)
    if target is None:
        raise IllegalMoveError(f"an action that is {status.value!r} cannot make the move {move.value!r}")
    return target
