"""What a client needs to run an action: the HTTP client below, the profile, the store, the rules that hold for both."""

from __future__ import annotations

from typing import Any, TypeVar

from samekey._core.keys import Identity
from samekey._core.model import Record
from samekey._core.run import LookedUp
from samekey._core.sealing import LOOK_AT, refuse_sealed
from samekey._core.steps import Send, resume, start
from samekey._core.verbs import Existing
from samekey._drivers.ports import Ports
from samekey._drivers.runtime import Clock
from samekey._drivers.sync import drive
from samekey.contracts import Operation
from samekey.errors import StoreError, UsageError
from samekey.groundwork import Finished, Groundwork, Task, not_settled, of_action
from samekey.http.exchange import Exchange, exchange
from samekey.http.outgoing import Prepared, adopt, with_headers
from samekey.reconcile import look_up
from samekey.stores import Store
from samekey.telemetry import tracing

ClientT = TypeVar("ClientT")
ResponseT = TypeVar("ResponseT")


class Engine(Groundwork[Store, Clock, ClientT, ResponseT]):
    """Runs actions for one client. Thread-safe."""

    def secret(self) -> bytes:
        """The store's secret; opens the store on first use."""
        if self._secret is None:
            secret = self.store.secret(self._given_secret)
            refuse_sealed(self.store.find(newest_first=True, limit=LOOK_AT))
            self._secret = secret
        return self._secret

    def adopt(self, identity: Identity, operation: Operation, request: Any) -> Prepared:
        """Takes over a request that a client above has built; a key header of its own is left out.

        Raises:
            UsageError: it cannot be an action; nothing was stored or sent.
        """
        without = self._own_headers(request)
        try:
            prepared = adopt(self.library, self.http, request, freeze=self.freeze, without=without)
        except UsageError as error:
            raise UsageError(f"{identity.label}: {error}") from None
        return self._checked(identity, operation, prepared)

    def run(
        self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None
    ) -> Finished[ResponseT]:
        """Runs an action to its end.

        Raises:
            StoreError: the store could not even be opened.
            UsageError: the API takes no keys, and the store can lose a claim.
            BaseException: what interrupted it.
        """
        if not tracing.used():
            return self._run(identity, operation, prepared, correlation_id)
        with tracing.action(identity.operation_name) as span:
            prepared = with_headers(self.library, prepared, span.headers(self.http, self.library.module))
            finished = self._run(identity, operation, prepared, correlation_id)
            span.finished(finished.record, finished.error, replayed=finished.replayed, recovered=finished.recovered)
        return finished

    def _run(
        self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None
    ) -> Finished[ResponseT]:
        try:
            self.secret()
            task = self._task(identity, operation, prepared, correlation_id)
        except StoreError as error:
            raise of_action(error, identity, correlation_id) from error.__cause__
        ports = self._ports(task)
        return self._conclude(operation, drive(start(task.plan), ports), ports)

    def recover(self, existing: Existing, operation: Operation) -> Record | None:
        """Finishes what a dead process left, if the rules allow to send its frozen request again."""
        self.secret()
        with tracing.action(existing.record.operation_name) as span:
            task = self._revived(existing.record, operation)
            if task is None:
                return None
            done = drive(resume(task.plan, existing, self.clock.now()), self._ports(task))
            span.finished(done.record, done.error, replayed=False, recovered=done.run.recovered)
        return done.record

    def recheck(self, existing: Existing, operation: Operation) -> Record | None:
        """Looks up what became of an action, and writes it down if that settles it; sends nothing."""
        self.secret()
        step, task = self._rechecking(existing.record, operation)
        return drive(step, self._ports(task)).record

    def close(self) -> None:
        """Tries once more to write what could not be written."""
        with self.unfinished.taken() as taken:
            for settlement in taken:
                try:
                    self.store.settle(settlement)
                except StoreError as error:
                    not_settled(error)

    def _ports(self, task: Task) -> Ports:
        return Ports(
            store=self.store,
            clock=self.clock,
            budget=self._budget(task),
            unfinished=self.unfinished,
            task=task,
            make=self._make,
            send=self._attempt,
            look_up=self._look_up,
        )

    def _attempt(self, step: Send, ports: Ports) -> Exchange[ResponseT]:
        how = self._request(step, ports)
        if not tracing.used():
            return exchange(self.library, self.http, **how)
        with tracing.attempt(step) as span:
            sent = exchange(self.library, self.http, **how)
            span.brought(sent.reply, sent.failure, sent.error)
        return sent

    def _look_up(self, record: Record, ports: Ports) -> LookedUp:
        operation = ports.task.terms.operation
        return look_up(operation, self.lookup, self.http, self.library, record, self.clock.wall())
