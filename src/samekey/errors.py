"""What samekey raises. One root, and one question each class answers: did it happen, and what now?

::

    SamekeyError
    ├── UsageError (ValueError)         the call is wrong; nothing was sent
    ├── ConflictError
    │   ├── KeyReusedError              the same action was started with other data
    │   ├── ActionInProgressError       a live process, or the API, is still on it
    │   └── DuplicateActionError        another action carries the same payload
    ├── ActionRejectedError             the API refused; nothing happened
    ├── NotSentError                    nothing was done; run it again whenever you like
    ├── OutcomeUnknownError             it may have happened; a rerun will tell
    ├── NeedsReviewError                it may have happened; only a person can tell
    ├── ActionAbandonedError            a person closed it
    └── StoreError
        ├── StoreUnavailableError       the store cannot be used now; nothing was sent
        └── StoreFormatError            the store is not one we may use; nothing was sent
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from samekey._core.states import Status

__all__ = [
    "ActionAbandonedError",
    "ActionInProgressError",
    "ActionRejectedError",
    "ConflictError",
    "DuplicateActionError",
    "KeyReusedError",
    "NeedsReviewError",
    "NotSentError",
    "OutcomeUnknownError",
    "SamekeyError",
    "StoreError",
    "StoreFormatError",
    "StoreUnavailableError",
    "UsageError",
]


class SamekeyError(Exception):
    """Root of all samekey exceptions. `str(error)` is one sentence: what happened, and what to do next.

    Attributes:
        key: the action's idempotency key, once it is known.
        operation_name: the operation.
        actor_id: the account on whose behalf the action is done.
        scope: the action's fields, in canonical text.
        attempts: sends permitted so far, over all runs.
        status: what the record says now.
        correlation_id: the caller's own id for logs.
        started_at: when this generation was first claimed, UTC.
        reference: the object's id at the API, where it is known.
        retry_safe: a rerun never doubles an effect; True says that it can also bring a different answer.
        retry_after: seconds to wait before a rerun, where a time is known.
        retry_until: a rerun must come before this time (UTC), where there is a limit.
    """

    _retry_safe: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        key: str | None = None,
        operation_name: str | None = None,
        actor_id: str | None = None,
        scope: Mapping[str, str] | None = None,
        attempts: int = 0,
        status: Status | None = None,
        correlation_id: str | None = None,
        started_at: datetime | None = None,
        reference: str | None = None,
        retry_safe: bool | None = None,
        retry_after: float | None = None,
        retry_until: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.key = key
        self.operation_name = operation_name
        self.actor_id = actor_id
        self.scope: Mapping[str, str] = dict(scope or {})
        self.attempts = attempts
        self.status = status
        self.correlation_id = correlation_id
        self.started_at = started_at
        self.reference = reference
        self.retry_safe: bool = self._retry_safe if retry_safe is None else retry_safe
        self.retry_after = retry_after
        self.retry_until = retry_until

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by class, message and attributes."""
        return (_rebuild, (type(self), self.args), self.__dict__.copy())


def _rebuild(cls: type[SamekeyError], args: tuple[Any, ...]) -> SamekeyError:
    error = cls.__new__(cls)
    error.args = args
    return error


class UsageError(SamekeyError, ValueError):
    """The call is wrong: scope, contract, second write, a body that cannot be kept. Nothing was sent."""


class ConflictError(SamekeyError):
    """Parent of what speaks against starting now. Never raised itself."""


class KeyReusedError(ConflictError):
    """The same action was started before with other data. Nothing was sent.

    Attributes:
        by: `"local"` if our record says so, `"server"` if the API does.
        changed: JSON pointers of the fields that differ, or the words "method", "url", "origin", "body", "credential".
    """

    def __init__(
        self,
        message: str = "",
        *,
        by: Literal["local", "server"] = "local",
        changed: tuple[str, ...] = (),
        **context: Any,
    ) -> None:
        super().__init__(message, **context)
        self.by: Literal["local", "server"] = by
        self.changed = changed


class ActionInProgressError(ConflictError):
    """A live process, or the API itself, is still working on the action. Run it again to get its result."""

    _retry_safe = True


class DuplicateActionError(ConflictError):
    """Another action of the operation carries the same payload. Nothing was sent.

    Attributes:
        other_key: the idempotency key of that action.
    """

    def __init__(self, message: str = "", *, other_key: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.other_key = other_key


class ActionRejectedError(SamekeyError):
    """The API refused, and nothing happened. Correct the data and run it again.

    `retry_safe` is True where the refusal came from in front of the API's own code (401, 429 and the like): the same
    action can then be run again as it is.

    Attributes:
        response: the refusal, an `httpx.Response` (or `httpx2.Response`); its request has neither headers nor body.
    """

    def __init__(self, message: str = "", *, response: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.response = response


class NotSentError(SamekeyError):
    """Nothing was done: no byte left, or every try was turned away in front. Run it again whenever you like."""

    _retry_safe = True


class OutcomeUnknownError(SamekeyError):
    """It may have happened. Run it again before `retry_until`: the same key will tell."""

    _retry_safe = True


class NeedsReviewError(SamekeyError):
    """It may have happened, and sending again is not safe. A person, or a look-up, has to tell.

    Attributes:
        reason: one word: `keyless`, `window_closed`, `window_unknown`, `clock_jumped`, `server_error`,
            `refused_after_unknown`, `server_conflict`, `key_reused_by_server`, `key_refused`, `look_up_inconclusive`,
            `look_up_absent`, `effect_after_close`, `not_frozen`.
    """

    def __init__(self, message: str = "", *, reason: str = "", **context: Any) -> None:
        super().__init__(message, **context)
        self.reason = reason


class ActionAbandonedError(SamekeyError):
    """A person closed the action. Nothing was sent."""


class StoreError(SamekeyError):
    """Parent of what is wrong with the store. Never raised itself."""


class StoreUnavailableError(StoreError):
    """The store cannot be used now: disk full, read-only, locked for too long. Nothing was sent.

    Attributes:
        uncertain: whether the write that failed may have reached the disk all the same.
    """

    _retry_safe = True

    def __init__(self, message: str = "", *, uncertain: bool = False, **context: Any) -> None:
        super().__init__(message, **context)
        self.uncertain = uncertain


class StoreFormatError(StoreError):
    """The store is not ours, newer than us, damaged, vanished, or on a network file system. Nothing was sent or changed."""
