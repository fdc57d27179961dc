"""What is fixed when an action begins: who, what, to whom, under which rules."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from samekey._core.fingerprint import Content, Fingerprint, body_digest, read_content
from samekey._core.freezing import freeze
from samekey._core.keys import Identity, derive_key, keyed_digest
from samekey._core.model import Event, Moment, Outgoing, Record, draft, finished, later
from samekey._core.policy import Backoff
from samekey._core.states import Status
from samekey._core.values import fixed
from samekey._core.verbs import Claim, Expect

DEFAULT_MAX_DELAY_SECONDS: Final = 120.0
"""D: the longest time between a request's first byte and its execution, where nobody says otherwise."""

NO_PLACE: Final = "none"
"""Where a request carries its key that carries none."""


@dataclass(frozen=True, slots=True)
class Detector:
    """Recognises one meaning of a reply.

    Attributes:
        status: the HTTP status it needs; None for any.
        code_at: dotted path into a JSON body (`*` stands for any item); None where the status is enough.
        code: the value found there.
        aws: whether `code` is an AWS error code, which comes in a header, in `__type` or in XML.
        header: header name and value that the reply must have besides.
        id_at: dotted path to the object's id, where the reply names one.
    """

    status: int | None
    code_at: str | None = None
    code: str | None = None
    aws: bool = False
    header: tuple[str, str] | None = None
    id_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one API does with keys, as the rules need it.

    Attributes:
        name: the profile's name.
        keyed: whether the API takes a key at all.
        carrier: where in the request the key travels.
        key_header: the header that carries the key; for other carriers the name there.
        first_sent_header: the header beside it with the time of the first send, "" for none.
        quoted: whether the key goes out as a structured-field string, in double quotes.
        methods: methods on which the API honours a key.
        window_seconds: how long it remembers one, from the first send; None if nobody said.
        max_delay_seconds: D.
        after_5xx: "resend" where a 5xx is stored, or its key released only when everything was rolled back.
        after_timeout: whether a time-out may be resent; False for APIs known to release keys after effects.
        in_progress: replies that say "still running".
        mismatch: replies that say "this key came with other data".
        already_done: replies that say "this key has had its effect", and may name the object.
        expired: replies that say "this key is too old", and that nothing was done now.
        unavailable: replies that say "keys cannot be looked up now", and that nothing was done now.
        refused: replies that are refusals though their status does not say so.
        failed: replies that say "what this key began has failed for good"; only another key can begin it anew.
        min_wait_seconds: the shortest time before the API is asked again about a running request.
        stored_refusals: statuses of refusals that are remembered under the key.
        replay_marker: header name and value of a replayed answer.
        hint_header: header that says whether a retry is of use ("true" or "false").
        pins_credential: whether a key belongs to the API key it was sent with.
        answers_json: whether the API's own answers are JSON, so that others come from in front of it.
        see_other: whether 303 is a success.
        accepted: whether 202 is a success.
    """

    name: str
    keyed: bool = True
    carrier: Literal["header", "query", "json", "form", "graphql"] = "header"
    key_header: str = "Idempotency-Key"
    first_sent_header: str = ""
    quoted: bool = False
    methods: frozenset[str] = frozenset({"POST", "PUT", "PATCH", "DELETE"})
    window_seconds: float | None = None
    max_delay_seconds: float = DEFAULT_MAX_DELAY_SECONDS
    after_5xx: Literal["resend", "review"] | None = None
    after_timeout: bool = True
    in_progress: tuple[Detector, ...] = ()
    mismatch: tuple[Detector, ...] = ()
    already_done: tuple[Detector, ...] = ()
    expired: tuple[Detector, ...] = ()
    unavailable: tuple[Detector, ...] = ()
    refused: tuple[Detector, ...] = ()
    failed: tuple[Detector, ...] = ()
    min_wait_seconds: float = 0.0
    stored_refusals: frozenset[int] = frozenset()
    replay_marker: tuple[str, str] | None = None
    hint_header: str | None = None
    pins_credential: bool = False
    answers_json: bool = True
    see_other: bool = False
    accepted: bool = True

    def carried(self, key: str) -> str:
        """The key as it is spelled in the request."""
        return f'"{key}"' if self.quoted else key

    @property
    def place(self) -> str:
        """Where in a request its key travels. A key means nothing in another place, so no resend may change it."""
        if not self.keyed:
            return NO_PLACE
        name = self.key_header.lower() if self.carrier == "header" else self.key_header
        return f"{self.carrier} {self.carried(name)} {self.first_sent_header.lower()}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What one operation asks for, as the rules need it. Meanings as on `samekey.Operation`."""

    reference: str | None = None
    volatile: tuple[str, ...] = ()
    duplicates: Literal["allow", "warn", "reject"] = "allow"
    duplicate_window: timedelta = timedelta(days=1)
    retention: timedelta = timedelta(days=30)
    on_rejected: Literal["if_changed", "raise", "new_generation"] = "if_changed"
    on_in_progress: Literal["wait", "raise"] = "wait"
    on_server_error: Literal["profile", "resend", "review"] = "profile"
    looks_up: bool = False
    stamp: str | None = None
    secret_response: tuple[str, ...] = ()
    absent_after: timedelta = timedelta(minutes=2)


@fixed(kw_only=True)
class Plan:
    """Everything that is known when an action is begun.

    Attributes:
        identity: which action.
        outgoing: the request, as its first send would have it.
        kind: how its body is read, see `Content`.
        digest: its fingerprint.
        profile: the API's rules.
        contract: the operation's rules.
        backoff: when to try again.
        window_seconds: the stricter of the profile's and the contract's window.
        max_delay_seconds: D, the larger of both.
        lease_seconds: how long an attempt may hold the action.
        holder: this process.
        secret: what keys and digests are derived from.
        nonce: names this claim.
        started: when the action was begun.
        keep: whether answers are kept whole or by reference.
        freeze: whether the request is kept while unsettled.
        correlation_id: the caller's id for logs.
        trace_context: W3C trace context, if any.
        unsent: nonces of claims of this process whose commit reported an error: nothing was sent under them.
        recovering: the request comes from the record itself (`client.recover()`).
    """

    identity: Identity
    outgoing: Outgoing
    kind: str
    digest: Fingerprint
    profile: Profile
    contract: Contract
    backoff: Backoff
    window_seconds: float | None
    max_delay_seconds: float
    lease_seconds: float
    holder: str
    secret: bytes = field(repr=False)
    nonce: str
    started: Moment
    keep: Literal["response", "reference"] = "response"
    freeze: Literal["request", "nothing"] = "request"
    correlation_id: str | None = None
    trace_context: str | None = None
    unsent: frozenset[str] = frozenset()
    recovering: bool = False

    @property
    def content(self) -> Content:
        """The request's body by meaning: read once more, for few actions need it after they have begun."""
        return read_content(self.outgoing)

    @property
    def credential_digest(self) -> str | None:
        """Keyed digest of what authenticates the request; None where nothing is known of it."""
        if not self.outgoing.credentials:
            return None
        text = "\n".join(f"{name}:{value}" for name, value in sorted(self.outgoing.credentials))
        return keyed_digest(self.secret, "credential", text.encode("utf-8", "surrogatepass"))

    @property
    def place(self) -> str:
        """Where in the request the key travels."""
        place, stamp = self.profile.place, self.contract.stamp
        return place if stamp is None else f"{place} & {stamp}"

    @property
    def fresh_connection(self) -> bool:
        """Whether to avoid used connections: a stale one looks like a server that died, and no resend could tell."""
        return not self.profile.keyed or self.window_seconds is None

    def prepare_digests(self) -> None:
        """Makes the field digests, which are not needed before the settlement: a good use of the time spent waiting."""
        self.digest.fields.text()

    def frozen(self) -> bytes:
        """The frozen request, as it is stored."""
        return freeze(
            self.outgoing,
            keep_body=self.freeze == "request",
            # Who brings the body again is compared with the body, or with its digest where it was not kept.
            digest="" if self.freeze == "request" else body_digest(self.secret, self.outgoing.body),
            place=self.place,
        )

    def claim(self, now: Moment, replaced: Record | None = None, generation: int = 1) -> Claim:
        """The claim of a generation: its first, a pending one anew, or the next after a refusal."""
        revived = replaced is not None and replaced.generation == generation
        since = None
        if self.contract.duplicates != "allow":
            since = later(now.wall, -self.contract.duplicate_window.total_seconds())
        return Claim(
            self._record(now, replaced if revived else None, generation),
            replaces=Expect(replaced.generation, replaced.fence, replaced.status) if replaced else None,
            duplicates_since=since,
            refuse_duplicates=self.contract.duplicates == "reject",
            event=Event(now.wall, "new_generation", f"generation {generation}") if replaced and not revived else None,
        )

    def _record(self, now: Moment, revived: Record | None, generation: int) -> Record:
        identity, outgoing = self.identity, self.outgoing
        record = draft()
        record.idempotency_key = (
            revived.idempotency_key if revived else derive_key(self.secret, identity.digest, generation)
        )
        record.identity = identity.digest
        record.actor_id = identity.actor_id
        record.operation_name = identity.operation_name
        record.scope = identity.scope
        record.generation = generation
        record.request_fingerprint = self.digest.digest
        record.status = Status.IN_FLIGHT
        record.created_at = revived.created_at if revived else now.wall
        record.last_seen_at = record.first_sent_at = now.wall
        record.method = outgoing.method
        record.url = outgoing.shown_url
        record.origin = outgoing.origin
        record.provider = self.profile.name
        record.attempts = revived.attempts + 1 if revived else 1
        record.fence = revived.fence + 1 if revived else 1
        record.open_attempts = 1
        record.correlation_id = self.correlation_id
        if self.freeze != "request":
            # Else they are made while the API works, and written at the settlement: until then the frozen body tells
            # as much.
            record.field_digests = self.digest.fields
        record.frozen_request = self.frozen()
        record.window_seconds = self.window_seconds
        record.holder = self.holder
        record.lease_expires_at = later(now.wall, self.lease_seconds)
        record.boot_id = now.boot_id
        record.boot_time = now.boot_time
        record.credential_digest = self.credential_digest
        record.trace_context = self.trace_context
        record.volatile = self.contract.volatile
        record.claim_nonce = self.nonce
        record.max_delay_seconds = self.max_delay_seconds
        record.guarded = self.contract.duplicates != "allow"
        return finished(record)
