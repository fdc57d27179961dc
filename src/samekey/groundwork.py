"""What an engine does besides waiting: requests, plans, and the answer to the caller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar, cast

from samekey._core.fingerprint import fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.keys import Identity
from samekey._core.model import Frozen, Outgoing, Record
from samekey._core.plan import Plan, Profile
from samekey._core.reading import with_reference
from samekey._core.run import Done, Run
from samekey._core.steps import LookUp, Renew, Send, resume
from samekey._core.values import fixed
from samekey._core.verbs import Existing
from samekey._drivers import boundaries
from samekey._drivers.ports import Books
from samekey._drivers.runtime import BUDGETS, Budget, Clocks, Unfinished
from samekey.contracts import Operation, RetryPolicy
from samekey.errors import ActionRejectedError, SamekeyError, StoreError, UsageError
from samekey.http import carriers
from samekey.http.exchange import Exchange
from samekey.http.library import Library
from samekey.http.outgoing import Prepared, prepare, thaw
from samekey.http.responses import rebuild, stripped
from samekey.http.scrub import scrub
from samekey.http.secrets import conceal
from samekey.provider import Lookup, Provider
from samekey.reconcile import CANCEL
from samekey.settings import check_durable, lease_too_short
from samekey.stores import AsyncStore, Store
from samekey.telemetry import log, tracing
from samekey.terms import TermBook, Terms

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
ClockT = TypeVar("ClockT", bound=Clocks)
ClientT = TypeVar("ClientT")
ResponseT = TypeVar("ResponseT")

LEASE_MARGIN_SECONDS: Final = 30.0
"""How much longer than an attempt a lease is, where the store does not say: for the settlement and a slow disk."""

_NONE: Final[frozenset[str]] = frozenset()
WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@fixed
class Finished(Generic[ResponseT]):
    """An action that came to its end.

    Attributes:
        record: the record as last known.
        response: the response; meaningless if there is an error.
        error: what to raise.
        cause: what to raise it from.
        replayed: whether the result came from the record.
        recovered: whether an earlier run's attempt was taken over.
    """

    record: Record | None
    response: ResponseT
    error: SamekeyError | None
    cause: BaseException | None
    replayed: bool
    recovered: bool


@fixed
class Task:
    """What one run of an action goes by.

    Attributes:
        terms: what counts for it.
        plan: what was fixed when it began.
        prepared: its request.
    """

    terms: Terms
    plan: Plan
    prepared: Prepared


class Groundwork(Generic[StoreT, ClockT, ClientT, ResponseT]):
    """What both engines stand on. Thread-safe.

    `secret()` of the engine must have been called before what needs a key or a fingerprint.
    """

    def __init__(
        self,
        *,
        library: Library[ClientT, ResponseT],
        http: ClientT,
        provider: Provider,
        window: timedelta | None,
        store: StoreT,
        clock: ClockT,
        retry: RetryPolicy,
        secret: bytes | None,
        keep: Literal["response", "reference"],
        freeze: Literal["request", "nothing"],
    ) -> None:
        self.library = library
        self.http = http
        self.lookup: Lookup | None = provider.lookup
        self.keep: Literal["response", "reference"] = keep
        self.freeze: Literal["request", "nothing"] = freeze
        self.unfinished: Unfinished = Unfinished()
        self.store: StoreT = store
        self.clock: ClockT = clock
        self._given_secret = secret
        self._pid = os.getpid()
        self._secret: bytes | None = None
        self._terms = TermBook(provider, window, retry)

    @property
    def profile(self) -> Profile:
        """The API's rules, where no endpoint has its own."""
        return self._terms.profile

    def prepare(
        self, identity: Identity, operation: Operation, method: str, url: Any, options: Mapping[str, Any]
    ) -> Prepared:
        """Builds the request and checks that it can be an action.

        Raises:
            UsageError: it cannot; nothing was stored or sent.
        """
        verb = str(method).upper()
        if verb not in WRITES:
            raise UsageError(
                f"{identity.label}: {verb} is not a write; an action makes one of {', '.join(sorted(WRITES))}, and "
                f"client.http is there for reads."
            )
        if self.http.is_closed:  # type: ignore[attr-defined] # clients of both libraries say so
            raise UsageError(f"{identity.label}: the client is closed, so nothing was sent; write before it is closed.")
        prepared = prepare(
            self.library,
            self.http,
            verb,
            url,
            options,
            boundary=f"samekey-{identity.digest[:32]}",
            freeze=self.freeze,
            label=lambda: identity.label,
        )
        return self._checked(identity, operation, prepared)

    def _own_headers(self, request: Any) -> frozenset[str]:
        """Where a client above may have put a key of its own."""
        profile = self._terms.profile_at(request.method, request.url)
        own = {profile.key_header, profile.first_sent_header} if profile.carrier == "header" else set()
        return frozenset(name.lower() for name in own)

    def fingerprint(self, operation: Operation, prepared: Prepared) -> str:
        """What tells one request from another."""
        outgoing = prepared.outgoing
        return fingerprint(self._known_secret, outgoing, read_content(outgoing), operation.volatile).digest

    def _checked(self, identity: Identity, operation: Operation, prepared: Prepared) -> Prepared:
        try:
            self._check_place(operation, prepared)
            if (secrets := self._terms.secrets(operation)) is not None:
                prepared = conceal(self.library, prepared, secrets)
        except UsageError as error:
            raise UsageError(f"{identity.label}: {error}") from None
        lease = self.store.lease
        if lease is not None and lease.total_seconds() <= prepared.outgoing.attempt_seconds:
            raise UsageError(lease_too_short(lease, prepared.outgoing.attempt_seconds))
        return prepared

    def _check_place(self, operation: Operation, prepared: Prepared) -> None:
        profile, outgoing = self._profile_of(prepared), prepared.outgoing
        if profile.keyed and outgoing.method not in profile.methods:
            raise UsageError(
                f"{profile.name} honours keys on {', '.join(sorted(profile.methods))} only, so {outgoing.method} would not "
                f'be protected; send it through client.http, or with a client that has provider="keyless".'
            )
        if profile.keyed:
            carriers.check(profile, outgoing, prepared.url)
        if operation.reconcile == CANCEL and (self.lookup is None or self.lookup.kind != CANCEL):
            raise UsageError(
                f'{profile.name} has no way to cancel by key, so reconcile="cancel" means nothing here; give a function of '
                f"(http, record), or leave it out."
            )
        if operation.stamp is not None:
            carriers.check_stamp(profile, operation.stamp, outgoing)

    def _profile_of(self, prepared: Prepared) -> Profile:
        return self._terms.profile_at(prepared.outgoing.method, prepared.url)

    def _task(self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None) -> Task:
        """What the caller wants."""
        terms = self._terms.of(operation, self._profile_of(prepared))
        if not terms.profile.keyed:
            check_durable(self.store, identity.label)
        return Task(terms, self._plan(identity, terms, prepared.outgoing, correlation_id), prepared)

    def _left(self, record: Record, operation: Operation, prepared: Prepared) -> Task:
        """What an earlier run has left: its request comes from the record."""
        terms = self._terms.of(operation, self._profile_of(prepared))
        identity = Identity(record.actor_id, record.operation_name, record.scope, record.identity)
        plan = self._plan(identity, terms, prepared.outgoing, record.correlation_id, recovering=True)
        return Task(terms, plan, prepared)

    def _revived(self, record: Record, operation: Operation) -> Task | None:
        """A run that sends the frozen request again; None if it was not kept: only a run that brings the body can go on."""
        prepared = self._thawed(record)
        return None if prepared is None else self._left(record, operation, prepared)

    def _rechecking(self, record: Record, operation: Operation) -> tuple[LookUp, Task]:
        """A run that only looks up."""
        task = self._left(record, operation, self._thawed(record) or self._only_facts(record))
        return LookUp(Run(task.plan), record, "recheck", ""), task

    def would_send(self, existing: Existing, operation: Operation) -> bool:
        """Whether `recover` would send the record's frozen request again, now."""
        task = self._revived(existing.record, operation)
        return task is not None and isinstance(resume(task.plan, existing, self.clock.now()), Renew)

    def _only_facts(self, record: Record) -> Prepared:
        """Stands for a request that was not kept, where nothing is to be sent."""
        options = {"content": b""}
        return prepare(self.library, self.http, record.method, record.url, options, boundary="", freeze="nothing")

    def _thawed(self, record: Record) -> Prepared | None:
        """The frozen request, to be sent by today's client; None if it was not kept."""
        if record.frozen_request is None or not (frozen := unfreeze(record.frozen_request)).complete:
            return None
        request = thaw(self.library, self.http, frozen)
        auth = self.library.module.USE_CLIENT_DEFAULT
        built = prepare(
            self.library,
            self.http,
            frozen.method,
            frozen.url,
            {"content": frozen.body or b"", "headers": frozen.headers},
            boundary="",
            freeze="nothing",
        )
        return Prepared(auth, built.outgoing, request.url, request)

    @property
    def _known_secret(self) -> bytes:
        assert self._secret is not None, "the engine has not asked its store for the secret"
        return self._secret

    def _budget(self, task: Task) -> Budget | None:
        budget = task.terms.budget
        return BUDGETS.budget(task.prepared.outgoing.origin, budget.ratio, budget.per_second) if budget else None

    def _make(self, record: Record, books: Books, frozen: Frozen | None = None) -> tuple[str, Any, bool]:
        """Makes the request of an attempt: with `frozen` as it was first sent, else as it was built.

        Returns:
            The key it has, the request, and whether it goes alone, see `Prepared`.
        """
        task: Task = books.task
        prepared, profile, stamp = task.prepared, task.plan.profile, task.terms.operation.stamp
        request = prepared.request
        if frozen is not None:
            request = thaw(self.library, self.http, frozen, prepared=prepared)
        if profile.keyed:
            request = carriers.write(self.library, profile, request, record.idempotency_key, record.first_sent_at)
        if stamp is not None:
            request = carriers.write_stamp(self.library, stamp, request, record.idempotency_key)
        books.made = record.idempotency_key, request, prepared.alone and frozen is None
        return books.made

    def _request(self, step: Send, books: Books) -> dict[str, Any]:
        """The request of an attempt, and how it is to be exchanged."""
        made = books.made
        if made is None or made[0] != step.record.idempotency_key or step.frozen is not None:
            made = self._make(step.record, books, step.frozen)
        _, request, alone = made
        books.attempting = True
        return {
            "request": request,
            "auth": books.task.prepared.auth,
            "clock": self.clock.wall,
            "not_after": step.not_after,
            "timeout": step.seconds,
            # A connection from before a fork is the parent's too.
            "fresh_connection": step.fresh or os.getpid() != self._pid,
            "alone": alone,
            "meanwhile": boundaries.once_sent(step.run.plan.prepare_digests),
        }

    def _plan(
        self,
        identity: Identity,
        terms: Terms,
        outgoing: Outgoing,
        correlation_id: str | None,
        *,
        recovering: bool = False,
    ) -> Plan:
        secret = self._known_secret
        content = read_content(outgoing)
        contract = terms.contract
        lease = self.store.lease
        return Plan(
            identity=identity,
            outgoing=outgoing,
            kind=content.kind,
            digest=fingerprint(secret, outgoing, content, contract.volatile),
            profile=terms.profile,
            contract=contract,
            backoff=terms.backoff_now(),
            window_seconds=terms.window_seconds,
            max_delay_seconds=terms.max_delay_seconds,
            lease_seconds=lease.total_seconds() if lease else outgoing.attempt_seconds + LEASE_MARGIN_SECONDS,
            holder=self.store.holder,
            secret=secret,
            nonce=os.urandom(16).hex(),
            started=self.clock.now(),
            keep=self.keep,
            freeze=self.freeze,
            correlation_id=correlation_id,
            trace_context=tracing.context(),
            unsent=frozenset(self.unfinished.unsent) if self.unfinished.unsent else _NONE,
            recovering=recovering,
        )

    def _conclude(self, operation: Operation, done: Done, books: Books) -> Finished[ResponseT]:
        native: Any = books.sent
        record, error = done.record, done.error
        recovered = done.run.recovered
        if done.run.drift and record is not None:
            log.contract_changed(record, done.run.drift)
        log.prevented(done)
        if done.run.duplicate is not None:
            log.duplicate(done.run.plan.identity.operation_name, done.run.duplicate)
        if error is None and record is not None:
            replayed = done.reply is None or native is None
            log.finished(record, replayed=replayed, recovered=recovered)
            response: Any = rebuild(self.library, record) if replayed else native.native
            record = with_reference(record, operation.reference, done.reply)
            return Finished(record, response, None, None, replayed, recovered)
        assert error is not None
        if isinstance(error, ActionRejectedError) and record is not None:
            error.response = self._refusal(record, native if done.reply is not None else None)
        log.failed(error.operation_name or "", error)
        cause = books.cause or (native.error if native is not None and native.error is not None else None)
        if cause is not None and not isinstance(cause, StoreError):
            cause = scrub(cause)
        return Finished(record, cast("ResponseT", None), error, cause, False, recovered)

    def _refusal(self, record: Record, native: Exchange[ResponseT] | None) -> Any:
        if native is None or native.native is None:
            return rebuild(self.library, record)
        return stripped(self.library.module, native.native)


def of_action(error: StoreError, identity: Identity, correlation_id: str | None) -> StoreError:
    """An error of a store that could not even be opened, as one of the action."""
    return type(error)(
        f"{identity.label}: {error}",
        operation_name=identity.operation_name,
        actor_id=identity.actor_id,
        scope=identity.scope,
        correlation_id=correlation_id,
    )


def not_settled(error: StoreError) -> None:
    """What is told of a settlement that could not be written before the end."""
    log.unrecorded_at_close(error)
