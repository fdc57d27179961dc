"""What users declare: operations and retry policies. Validated once, then compiled for the rules."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_base

from samekey._core.plan import Contract
from samekey._core.policy import Backoff, FullJitter
from samekey.errors import UsageError

WaitStrategy = wait_base | Callable[[RetryCallState], float | int]
"""Anything tenacity takes as `wait=`."""
StopStrategy = stop_base | Callable[[RetryCallState], bool]
"""Anything tenacity takes as `stop=`."""
ReconcileFunction = Callable[..., Any]

_USUAL: Any = object()
"""Stands for a default that is made when it is needed: validating it would cost an import more than all else here."""


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def _pointer(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not a JSON pointer; it starts with a slash, like '/sent_at'")
    return value


def _where(value: str) -> str:
    if value.startswith("header:") and len(value) > len("header:"):
        return value
    return _pointer(value)


Duration = Annotated[timedelta, AfterValidator(_positive)]
Pointer = Annotated[str, AfterValidator(_pointer)]
Where = Annotated[str, AfterValidator(_where)]


class Declared(BaseModel):
    """A frozen, validated value whose faults are `UsageError`s."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, strict=True, defer_build=True
    )

    def _build(self, what: str, values: dict[str, Any]) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(f"{what}: {_faults(error)}.") from None


def _faults(error: ValidationError) -> str:
    texts = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(part) for part in fault["loc"][:2])
        text = fault["msg"].removeprefix("Value error, ").rstrip(".")
        if fault["type"] == "extra_forbidden":
            text = "there is no such option"
        texts.append(f"{where}: {text[0].lower()}{text[1:]}" if where else text)
    return "; ".join(dict.fromkeys(texts))


def _number(value: float) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class RetryBudget(Declared):
    """Keeps retries a small part of the traffic to one origin, over all clients of the process.

    Args:
        ratio: retries allowed per first attempt.
        per_second: retries that are always allowed, so that a slow script can retry at all.
    """

    ratio: float = Field(default=0.1, ge=0, le=10)
    per_second: float = Field(default=10.0, gt=0)

    def __init__(self, *, ratio: float = 0.1, per_second: float = 10.0) -> None:
        self._build("RetryBudget", {"ratio": _number(ratio), "per_second": _number(per_second)})


class RetryPolicy(Declared):
    """When to send again within one run.

    Args:
        attempts: most sends in one run.
        deadline: seconds for everything in one run: attempts, waits, and waiting for another process.
        wait: a tenacity wait strategy; None for full jitter from 0.5 s to 20 s.
        stop: a further tenacity stop strategy.
        budget: the retry budget; None for none.

    tenacity's own `wait_random*` strategies work too, but draw from the global `random`, so a run cannot be replayed.
    """

    attempts: int = Field(default=5, ge=1, le=1000)
    deadline: float = Field(default=60.0, gt=0)
    wait: Any = None
    stop: Any = None
    budget: RetryBudget | None = Field(default_factory=RetryBudget)

    def __init__(
        self,
        *,
        attempts: int = 5,
        deadline: float = 60.0,
        wait: WaitStrategy | None = None,
        stop: StopStrategy | None = None,
        budget: RetryBudget | None = _USUAL,
    ) -> None:
        for name, strategy in (("wait", wait), ("stop", stop)):
            if strategy is not None and not callable(strategy):
                raise UsageError(f"RetryPolicy: {name} is a {type(strategy).__name__}; pass a tenacity strategy.")
        values = {
            "attempts": attempts,
            "deadline": _number(deadline),
            "wait": wait,
            "stop": stop,
            "budget": budget,
        }
        if budget is _USUAL:
            del values["budget"]
        self._build("RetryPolicy", values)

    def backoff(self) -> Backoff:
        """The policy as the core uses it."""
        return Backoff(self.attempts, self.deadline, self.wait or FullJitter(), self.stop)


class Operation(Declared):
    """A kind of write, and what makes two of them the same action.

    Args:
        name: the operation's name, part of every identity: never change it.
        scope: the names of the fields that make an action this action. They name the business object (order, invoice
            and recipient), never a try, and hold no personal data, for the scope is stored and shown. None takes any.
        volatile: JSON pointers of body fields that differ per try (`/sent_at`); left out of the fingerprint.
        reference: where the object's id is in the response: a JSON pointer (`/id`) or `header:Location`.
        duplicates: what to do if another action of this operation carries the same payload.
        duplicate_window: how far back to look for one.
        retention: how long a settled record is kept.
        window: how long the API remembers a key; with the profile's, the stricter counts.
        on_rejected: after a refusal, ask again only with changed data, never, or always (under a new key).
        on_in_progress: wait for a live holder, or raise at once.
        on_server_error: after a 5xx do as the profile says, send again, or stop for review.
        reconcile: `reconcile(http, record)` looks up what became of an action; returns `Found`, `Absent` or
            `Inconclusive`. "cancel" undoes the action instead, where the profile can cancel by key.
        absent_after: how long after the last send, at the latest moment it can have ended, an `Absent` may count that
            is declared consistent; never before the API's longest delay is over.
        stamp: a member of the JSON body (a dotted path, `metadata.samekey`) or a field of the form
            (`metadata[samekey]`) into which the key is written besides, so that a look-up finds the object by it.
        secret_query: query parameters whose values are credentials. They are sent and never stored, do not count for
            whether it is the same request, and come fresh from each run; `client.recover()` leaves such actions.
        secret_body: JSON pointers to values of the JSON body or the form of which the same is true (`/card/number`).
        secret_response: what of an answer is not stored: JSON pointers, for which a stored result has null, and
            headers (`header:Location`).
        max_delay: the longest time between a request's first byte and its execution at the API.
        retry: overrides the client's retry policy.
        owner: who answers for it.
        description: what it does.

    Raises:
        UsageError: an option is unknown or has a wrong value.
    """

    name: str = Field(min_length=1, max_length=200)
    scope: tuple[str, ...] | None = None
    volatile: tuple[Pointer, ...] = ()
    reference: Where | None = None
    duplicates: Literal["allow", "warn", "reject"] = "allow"
    duplicate_window: Duration = timedelta(days=1)
    retention: Duration = timedelta(days=30)
    window: Duration | None = None
    on_rejected: Literal["if_changed", "raise", "new_generation"] = "if_changed"
    on_in_progress: Literal["wait", "raise"] = "wait"
    on_server_error: Literal["profile", "resend", "review"] = "profile"
    reconcile: Any = None
    absent_after: Duration = timedelta(minutes=2)
    stamp: str | None = Field(default=None, min_length=1)
    secret_query: tuple[str, ...] = ()
    secret_body: tuple[Pointer, ...] = ()
    secret_response: tuple[Where, ...] = ()
    max_delay: Duration | None = None
    retry: RetryPolicy | None = None
    owner: str | None = None
    description: str | None = None

    def __init__(
        self,
        name: str,
        *,
        scope: Sequence[str] | None = None,
        volatile: Sequence[str] = (),
        reference: str | None = None,
        duplicates: Literal["allow", "warn", "reject"] = "allow",
        duplicate_window: timedelta = timedelta(days=1),
        retention: timedelta = timedelta(days=30),
        window: timedelta | None = None,
        on_rejected: Literal["if_changed", "raise", "new_generation"] = "if_changed",
        on_in_progress: Literal["wait", "raise"] = "wait",
        on_server_error: Literal["profile", "resend", "review"] = "profile",
        reconcile: ReconcileFunction | Literal["cancel"] | None = None,
        absent_after: timedelta = timedelta(minutes=2),
        stamp: str | None = None,
        secret_query: Sequence[str] = (),
        secret_body: Sequence[str] = (),
        secret_response: Sequence[str] = (),
        max_delay: timedelta | None = None,
        retry: RetryPolicy | None = None,
        owner: str | None = None,
        description: str | None = None,
        **unknown: Any,
    ) -> None:
        values = {key: value for key, value in locals().items() if key not in {"self", "unknown", "__class__"}}
        for key in ("scope", "volatile", "secret_query", "secret_body", "secret_response"):
            if isinstance(values[key], list):
                values[key] = tuple(values[key])
        if reconcile is not None and reconcile != "cancel" and not callable(reconcile):
            raise UsageError(
                f'{name}: reconcile is a {type(reconcile).__name__}; pass a function of (http, record), or "cancel".'
            )
        self._build(str(name) or "Operation", values | unknown)

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        if self.scope is not None and (len(set(self.scope)) != len(self.scope) or not all(self.scope)):
            raise ValueError("scope: its field names must be distinct and not empty")
        if self.reference is not None and self.reference in self.secret_response:
            raise ValueError("secret_response: it has the reference, which is stored and shown")
        return self

    def replace(self, **changes: Any) -> "Operation":
        """A copy with some options changed, validated again.

        Raises:
            UsageError: an option is unknown or has a wrong value.
        """
        return Operation(**({name: getattr(self, name) for name in type(self).model_fields} | changes))

    def contract(self) -> Contract:
        """The operation as the core uses it."""
        return Contract(
            reference=self.reference,
            volatile=self.volatile,
            duplicates=self.duplicates,
            duplicate_window=self.duplicate_window,
            retention=self.retention,
            on_rejected=self.on_rejected,
            on_in_progress=self.on_in_progress,
            on_server_error=self.on_server_error,
            looks_up=self.reconcile is not None,
            stamp=self.stamp,
            secret_response=self.secret_response,
            absent_after=self.absent_after,
        )
