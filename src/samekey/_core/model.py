"""Frozen values that the core, the stores and the drivers hand to each other."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

from samekey._core.states import UNSETTLED, Status
from samekey._core.values import fixed

Headers = tuple[tuple[str, str], ...]
"""Header fields in order, names in lower case."""

LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Stands for "never" where a time would leave the calendar."""


def later(moment: datetime, seconds: float) -> datetime:
    """`moment` plus `seconds`, held inside the calendar (a clock may say 9999)."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return LATEST if seconds > 0 else datetime.min.replace(tzinfo=UTC)


@fixed
class Moment:
    """One reading of the clocks, made by a driver, and the luck of that moment.

    Attributes:
        wall: the wall clock, UTC.
        boot_id: names this boot of this machine; None where the system does not tell.
        boot_time: seconds since boot, sleep included; it never jumps.
        jitter: a uniform number in [0, 1).
    """

    wall: datetime
    boot_id: str | None
    boot_time: float
    jitter: float = 0.0


def _again(each: Any) -> Any:
    if each.default_factory is not MISSING:
        return field(default_factory=each.default_factory)
    return field() if each.default is MISSING else field(default=each.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the store knows about one action (one generation of it).

    The field names are a contract: they are the column names of every store. Times are UTC.

    Attributes:
        idempotency_key: the key every attempt of this generation carries.
        identity: digest of actor, operation and scope; shared by all generations.
        actor_id: the account or person on whose behalf the action is done.
        operation_name: the operation's name.
        scope: the caller's fields that make this action this one, in canonical text.
        generation: 1, 2, …: raised when a definitely failed action is tried anew.
        request_fingerprint: digest of what defines the request, with the scheme's version.
        status: what is known.
        response_reference: the object's id in the response.
        created_at: when this generation was first claimed.
        expires_at: when the record may be purged; None while unsettled.
        last_seen_at: when the action was last begun, sent or settled.
        correlation_id: the caller's own id for logs.
        error_summary: the last failure in a few words, without secrets.
        method: HTTP method.
        url: the URL for people: no userinfo, query values replaced by digests.
        origin: scheme, host and port of the first send.
        field_digests: JSON pointer → keyed digest, so that a changed field can be named.
        frozen_request: what later attempts send again; erased at settlement.
        provider: name of the profile.
        window_seconds: how long the API remembers the key, from `first_sent_at`; None if nobody said.
        first_sent_at: when the first attempt of this generation was permitted.
        attempts: sends permitted so far.
        holder: the process that works on it now.
        lease_expires_at: no byte of the last permitted attempt is written after this.
        fence: raised with each change of holder.
        open_attempts: attempts whose fate is not proven.
        boot_id: the boot in which `boot_time` was read.
        boot_time: seconds since boot at `first_sent_at`.
        credential_digest: keyed digest of the credential of the first send.
        response_status: the stored answer's HTTP status.
        response_headers: the stored answer's allow-listed headers.
        response_body: the stored answer's decoded body; None if it was not kept.
        completed_at: when it was settled.
        trace_context: W3C trace context of the first attempt.
        reason: why automation stopped, one word of the reasons table.
        volatile: the JSON pointers that were left out of the fingerprint.
        claim_nonce: names the claim that made or last revived this record.
        max_delay_seconds: the longest time between a request's first byte and its execution.
        guarded: whether the payload takes part in the search for duplicates.
    """

    idempotency_key: str
    identity: str
    actor_id: str
    operation_name: str
    scope: Mapping[str, str]
    generation: int
    request_fingerprint: str
    status: Status
    created_at: datetime
    last_seen_at: datetime
    method: str
    url: str = field(repr=False)
    origin: str
    provider: str
    attempts: int
    fence: int
    open_attempts: int
    response_reference: str | None = None
    expires_at: datetime | None = None
    correlation_id: str | None = None
    error_summary: str | None = None
    field_digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    frozen_request: bytes | None = field(default=None, repr=False)
    window_seconds: float | None = None
    first_sent_at: datetime | None = None
    holder: str | None = None
    lease_expires_at: datetime | None = None
    boot_id: str | None = None
    boot_time: float | None = None
    credential_digest: str | None = field(default=None, repr=False)
    response_status: int | None = field(default=None, repr=False)
    response_headers: Headers = field(default=(), repr=False)
    response_body: bytes | None = field(default=None, repr=False)
    completed_at: datetime | None = None
    trace_context: str | None = None
    reason: str | None = None
    volatile: tuple[str, ...] = ()
    claim_nonce: str = ""
    max_delay_seconds: float = 120.0
    guarded: bool = False

    def __repr__(self) -> str:
        """One line without body, URL or whole key."""
        reference = f" reference={self.response_reference!r}" if self.response_reference is not None else ""
        return (
            f"<Record {self.label} generation={self.generation} {self.status.value} "
            f"{self.last_seen_at:%Y-%m-%d %H:%MZ}{reference} key={self.idempotency_key[:8]}…>"
        )

    @property
    def label(self) -> str:
        """The action as people write it: `create_order(customer=42, cart='c-9')`."""
        return label(self.operation_name, self.scope)

    @property
    def settled(self) -> bool:
        """Whether its outcome is final: succeeded, rejected or abandoned."""
        return self.status not in UNSETTLED

    @property
    def purged(self) -> bool:
        """Whether it is a tombstone: it says that the action was, and how it ended, and nothing else (R8)."""
        return not self.request_fingerprint

    @property
    def version(self) -> str:
        """Names the state that a person was shown, so that a decision about another one can be refused."""
        return f"{self.generation}.{self.fence}.{self.status.value}"


def draft() -> Any:
    """A record in the making: fields with a default have it, the others wait for `finished`.

    Each action makes two records, and to `Record(…)` each of its forty fields is worth a call.
    """
    return _Draft(*_BLANK)


def finished(draft: Any) -> Record:
    """Makes a record of a draft; it is frozen from now on."""
    draft.__class__ = Record
    made: Record = draft
    return made


def changed(record: Record, changes: Mapping[str, Any]) -> Record:
    """`dataclasses.replace(record, **changes)` at an eighth of its price."""
    new: Any = _Draft(*_values_of(record))
    for name, value in changes.items():
        setattr(new, name, value)
    return finished(new)


_values_of = attrgetter(*(each.name for each in fields(Record)))
# The same slots, and writable: an object of it becomes a record once it is complete.
_Draft: Any = make_dataclass(
    "_Draft",
    [(each.name, "Any", _again(each)) for each in fields(Record)],
    slots=True,
    repr=False,
    eq=False,
    match_args=False,
    namespace={"__doc__": "A record in the making."},  # without one, `dataclass` writes one at length
)
# All defaults are immutable, but for the empty mapping, which nobody writes to.
_BLANK: Final = tuple(
    each.default_factory() if each.default_factory is not MISSING else None if each.default is MISSING else each.default
    for each in fields(Record)
)


def label(operation_name: str, scope: Mapping[str, str]) -> str:
    """The action as people write it; whole numbers go without quotes."""
    fields = ", ".join(f"{name}={text if _is_number(text) else repr(text)}" for name, text in scope.items())
    return f"{operation_name}({fields})"


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of an action's timeline that is not the happy path.

    Attributes:
        at: when, UTC.
        kind: `retry`, `replay`, `refused_again`, `awaited`, `in_progress`, `duplicate`, `conflict`, `server_conflict`,
            `recovery`, `credential_changed`, `blocked`, `no_window`, `look_up`, `found`, `server_replay`, `review`,
            `expired_key`, `new_generation`, `not_sent`, `unknown`, `budget_stop`, `effect_after_close`, `second_effect`,
            `resolved`, `resolve_refused`, `purged`, `contract_changed`.
        detail: a few words for people, without secrets; of a person's decision, JSON with `by`, `decision`, `note`,
            `evidence` and the state `before`.
    """

    at: datetime
    kind: str
    detail: str = ""


@fixed
class Result:
    """The part of an answer that is kept."""

    status: int | None
    headers: Headers = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)
    reference: str | None = None


# --- what goes out ------------------------------------------------------------------------------------------


@fixed(kw_only=True)
class Outgoing:
    """The facts of a request that is about to be made, as its first send would have it.

    Attributes:
        method: HTTP method, upper case.
        url: the whole URL with its query, without userinfo and without the client's own default parameters.
        shown_url: the URL for people: no userinfo, no fragment, query values replaced by digests.
        origin: `scheme://host:port`, the port always present.
        headers: the allow-listed header fields that are frozen with the body; never a credential.
        header_names: the names (lower case) of all header fields that the caller or the client has set.
        body: the exact bytes; None for a stream, which can be sent only once.
        content_type: the Content-Type header, or "".
        fingerprint: what the caller says identifies the body, where it is a stream.
        credentials: what authenticates the request, to be digested and forgotten.
        attempt_seconds: the longest time one attempt may take: the sum of its time-outs.
        secret_query: query parameters that `url` has without their values.
        secret_body: JSON pointers to what `body` has null, or an empty field, for.
    """

    method: str
    url: str = field(repr=False)
    shown_url: str
    origin: str
    headers: Headers = field(default=(), repr=False)
    header_names: frozenset[str] = frozenset()
    body: bytes | None = field(default=b"", repr=False)
    content_type: str = ""
    fingerprint: str | None = None
    credentials: Headers = field(default=(), repr=False)
    attempt_seconds: float = 95.0
    secret_query: tuple[str, ...] = ()
    secret_body: tuple[str, ...] = ()


@fixed
class Frozen:
    """A frozen request, read back.

    Attributes:
        method: HTTP method.
        url: the URL as first sent.
        headers: the frozen header fields; a resend has exactly these of the allow-listed ones.
        body: the exact bytes; None where `freeze="nothing"` kept only their digest.
        body_digest: keyed digest of the exact bytes that were not kept, "" for a stream.
        place: where its key travels (`Profile.place`).
        secret_query: query parameters whose values were left out, and come from the run that sends it again.
        secret_body: JSON pointers to values of the body of which the same is true.
    """

    method: str
    url: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes | None = field(repr=False)
    body_digest: str = ""
    place: str = ""
    secret_query: tuple[str, ...] = ()
    secret_body: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether it can be sent again without a run that brings what was left out."""
        return self.body is not None and not self.secret_query and not self.secret_body


# --- what an attempt brought ---------------------------------------------------------------------------------


@fixed
class Reply:
    """A complete HTTP response, as facts.

    Attributes:
        status: the HTTP status.
        headers: all header fields, names in lower case.
        body: the decoded body.
        framed: whether the body's end was marked (Content-Length, chunked, HTTP/2) and not just a closed connection.
        parsed: where `reading` keeps the parsed body, so that it is parsed once.
    """

    status: int
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    framed: bool = True
    parsed: list[Any] = field(default_factory=list, repr=False, compare=False)

    def header(self, name: str) -> str | None:
        """The first value of `name` (lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


@fixed
class Failure:
    """An attempt without a complete response.

    Attributes:
        sent: False only if it is proven that no byte of the request was written.
        summary: a few words for people, without secrets: `DNS lookup failed`, `no answer within 30 s`.
        interrupted: whether the caller stopped it (Ctrl-C, SystemExit, cancellation): no further attempt then.
    """

    sent: bool
    summary: str
    interrupted: bool = False
