"""What a client needs to run an action: the HTTP client below, the profile, the store, the rules that hold for both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar, cast

from samekey._core.fingerprint import fingerprint, read_content
from samekey._core.freezing import unfreeze
from samekey._core.keys import Identity
from samekey._core.model import Outgoing, Record
from samekey._core.plan import Plan, Profile
from samekey._core.reading import with_reference
from samekey._core.run import Done, LookedUp, Run
from samekey._core.sealing import LOOK_AT, refuse_sealed
from samekey._core.steps import LookUp, Renew, Send, Step, resume, start
from samekey._core.values import fixed
from samekey._core.verbs import Existing
from samekey._drivers.ports import Ports
from samekey._drivers.runtime import BUDGETS, Clock, SystemClock, Unfinished
from samekey._drivers.sync import drive
from samekey.contracts import Operation, RetryPolicy
from samekey.errors import ActionRejectedError, SamekeyError, StoreError, UsageError
from samekey.http import carriers
from samekey.http.exchange import Exchange, exchange
from samekey.http.library import Library
from samekey.http.outgoing import Prepared, adopt, prepare, thaw
from samekey.http.responses import rebuild, stripped
from samekey.http.scrub import scrub
from samekey.http.secrets import conceal
from samekey.provider import Lookup, Provider
from samekey.reconcile import CANCEL, look_up
from samekey.settings import lease_too_short
from samekey.stores import Store
from samekey.telemetry import log
from samekey.terms import TermBook, Terms

ClientT = TypeVar("ClientT")
ResponseT = TypeVar("ResponseT")

LEASE_MARGIN_SECONDS: Final = 30.0
"""How much longer than an attempt a lease is, where the store does not say: for the settlement and a slow disk."""

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


class Engine(Generic[ClientT, ResponseT]):
    """Runs actions for one client. Thread-safe."""

    def __init__(
        self,
        *,
        library: Library[ClientT, ResponseT],
        http: ClientT,
        provider: Provider,
        window: timedelta | None,
        store: Store,
        retry: RetryPolicy,
        secret: bytes | None,
        keep: Literal["response", "reference"],
        freeze: Literal["request", "nothing"],
        clock: Clock | None = None,
    ) -> None:
        self.library = library
        self.http = http
        self.lookup: Lookup | None = provider.lookup
        self.store = store
        self.keep: Literal["response", "reference"] = keep
        self.freeze: Literal["request", "nothing"] = freeze
        self.clock: Clock = clock or SystemClock()
        self.unfinished: Unfinished = Unfinished()
        self._given_secret = secret
        self._secret: bytes | None = None
        self._terms = TermBook(provider, window, retry)

    @property
    def profile(self) -> Profile:
        """The API's rules, where no endpoint has its own."""
        return self._terms.profile

    def secret(self) -> bytes:
        """The store's secret; opens the store on first use."""
        if self._secret is None:
            secret = self.store.secret(self._given_secret)
            refuse_sealed(self.store.find(newest_first=True, limit=LOOK_AT))
            self._secret = secret
        return self._secret

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

    def adopt(self, identity: Identity, operation: Operation, request: Any) -> Prepared:
        """Takes over a request that a client above has built; a key header of its own is left out.

        Raises:
            UsageError: it cannot be an action; nothing was stored or sent.
        """
        profile = self._terms.profile_at(request.method, request.url.path)
        own = {profile.key_header, profile.first_sent_header} if profile.carrier == "header" else set()
        without = frozenset(name.lower() for name in own)
        try:
            prepared = adopt(self.library, self.http, request, freeze=self.freeze, without=without)
        except UsageError as error:
            raise UsageError(f"{identity.label}: {error}") from None
        return self._checked(identity, operation, prepared)

    def fingerprint(self, operation: Operation, prepared: Prepared) -> str:
        """What tells one request from another; opens the store on first use."""
        outgoing = prepared.outgoing
        return fingerprint(self.secret(), outgoing, read_content(outgoing), operation.volatile).digest

    def _checked(self, identity: Identity, operation: Operation, prepared: Prepared) -> Prepared:
        try:
            self._check_place(operation, prepared)
            prepared = conceal(self.library, prepared, self._terms.secrets(operation))
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
            carriers.check(profile, outgoing, prepared.request.url)
        if operation.reconcile == CANCEL and (self.lookup is None or self.lookup.kind != CANCEL):
            raise UsageError(
                f'{profile.name} has no way to cancel by key, so reconcile="cancel" means nothing here; give a function of '
                f"(http, record), or leave it out."
            )
        if operation.stamp is not None:
            carriers.check_stamp(profile, operation.stamp, outgoing)

    def _profile_of(self, prepared: Prepared) -> Profile:
        return self._terms.profile_at(prepared.outgoing.method, prepared.request.url.path)

    def run(
        self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None
    ) -> Finished[ResponseT]:
        """Runs an action to its end.

        Raises:
            StoreError: the store could not even be opened.
            BaseException: what interrupted it.
        """
        terms = self._terms.of(operation, self._profile_of(prepared))
        try:
            plan = self._plan(identity, terms, prepared.outgoing, correlation_id)
        except StoreError as error:
            raise type(error)(
                f"{identity.label}: {error}",
                operation_name=identity.operation_name,
                actor_id=identity.actor_id,
                scope=identity.scope,
                correlation_id=correlation_id,
            ) from error.__cause__
        return self._conclude(operation, *self._drive(start(plan), terms, prepared))

    def recover(self, existing: Existing, operation: Operation) -> Record | None:
        """Finishes what a dead process left, if the rules allow to send its frozen request again."""
        record = existing.record
        prepared = self._thawed(record)
        if prepared is None:
            return None  # freeze="nothing": only a run that brings the body can go on
        terms = self._terms.of(operation, self._profile_of(prepared))
        plan = self._plan_of(record, terms, prepared)
        done, _ = self._drive(resume(plan, existing, self.clock.now()), terms, prepared)
        return done.record

    def _plan_of(self, record: Record, terms: Terms, prepared: Prepared) -> Plan:
        """The plan of a run whose request comes from the record."""
        identity = Identity(record.actor_id, record.operation_name, record.scope, record.identity)
        return self._plan(identity, terms, prepared.outgoing, record.correlation_id, recovering=True)

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
        return Prepared(request, auth, built.outgoing)

    def would_send(self, existing: Existing, operation: Operation) -> bool:
        """Whether `recover` would send the record's frozen request again, now."""
        prepared = self._thawed(existing.record)
        if prepared is None:
            return False
        terms = self._terms.of(operation, self._profile_of(prepared))
        plan = self._plan_of(existing.record, terms, prepared)
        return isinstance(resume(plan, existing, self.clock.now()), Renew)

    def recheck(self, existing: Existing, operation: Operation) -> Record | None:
        """Looks up what became of an action, and writes it down if that settles it; sends nothing."""
        record = existing.record
        prepared = self._thawed(record) or self._only_facts(record)
        terms = self._terms.of(operation, self._profile_of(prepared))
        plan = self._plan_of(record, terms, prepared)
        done, _ = self._drive(LookUp(Run(plan), record, "recheck", ""), terms, prepared)
        return done.record

    def close(self) -> None:
        """Tries once more to write what could not be written."""
        for settlement in self.unfinished.take():
            try:
                self.store.settle(settlement)
            except StoreError as error:
                log.logger.warning("a settlement could not be stored before the client closed: %s", error)

    def _plan(
        self,
        identity: Identity,
        terms: Terms,
        outgoing: Outgoing,
        correlation_id: str | None,
        *,
        recovering: bool = False,
    ) -> Plan:
        secret = self._secret or self.secret()
        content = read_content(outgoing)
        contract = terms.contract
        lease = self.store.lease
        return Plan(
            identity=identity,
            outgoing=outgoing,
            content=content,
            digest=fingerprint(secret, outgoing, content, contract.volatile),
            profile=terms.profile,
            contract=contract,
            backoff=terms.backoff,
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
            unsent=frozenset(self.unfinished.unsent) if self.unfinished.unsent else frozenset(),
            recovering=recovering,
        )

    def _drive(self, step: Step, terms: Terms, prepared: Prepared) -> tuple[Done, Ports]:
        budget = terms.budget

        def send(step: Send) -> Exchange[ResponseT]:
            return self._send(step, terms.operation, prepared, ports)

        def ask(record: Record) -> LookedUp:
            return look_up(terms.operation, self.lookup, self.http, self.library, record, self.clock.wall())

        ports = Ports(
            store=self.store,
            clock=self.clock,
            budget=BUDGETS.budget(prepared.outgoing.origin, budget.ratio, budget.per_second) if budget else None,
            unfinished=self.unfinished,
            send=send,
            look_up=ask,
        )
        done = drive(step, ports)
        ports.send = _ended  # the closure has the ports: without this circle all of it goes at once
        return done, ports

    def _send(self, step: Send, operation: Operation, prepared: Prepared, ports: Ports) -> Exchange[ResponseT]:
        request = prepared.request
        if step.frozen is not None:
            request = thaw(self.library, self.http, step.frozen, prepared=prepared)
        record, profile = step.record, step.run.plan.profile
        if profile.keyed:
            request = carriers.write(self.library, profile, request, record.idempotency_key, record.first_sent_at)
        if operation.stamp is not None:
            request = carriers.write_stamp(self.library, operation.stamp, request, record.idempotency_key)
        ports.attempting = True
        return exchange(
            self.library,
            self.http,
            request,
            auth=prepared.auth,
            clock=self.clock.wall,
            not_after=step.not_after,
            timeout=step.seconds,
            fresh_connection=step.fresh,
            meanwhile=step.run.plan.prepare_digests,
        )

    def _conclude(self, operation: Operation, done: Done, ports: Ports) -> Finished[ResponseT]:
        native: Any = ports.sent
        record, error = done.record, done.error
        recovered = done.run.recovered
        if done.run.drift and record is not None:
            log.warn(
                record, "contract_changed", f"its contract has changed since it was begun: {'; '.join(done.run.drift)}"
            )
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
        cause = ports.cause or (native.error if native is not None and native.error is not None else None)
        if cause is not None and not isinstance(cause, StoreError):
            cause = scrub(cause)
        return Finished(record, cast("ResponseT", None), error, cause, False, recovered)

    def _refusal(self, record: Record, native: Exchange[ResponseT] | None) -> Any:
        if native is None or native.native is None:
            return rebuild(self.library, record)
        return stripped(self.library.module, native.native)


def _ended(_step: Send) -> Exchange[Any]:
    raise AssertionError("the action has ended")  # pragma: no cover
