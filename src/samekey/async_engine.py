"""What a client for event loops needs to run an action; see `engine.py`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from samekey._core.keys import Identity
from samekey._core.model import Record
from samekey._core.run import LookedUp
from samekey._core.sealing import LOOK_AT, refuse_sealed
from samekey._core.steps import Send, resume, start
from samekey._core.verbs import Existing
from samekey._drivers.async_ import drive
from samekey._drivers.ports import AsyncPorts
from samekey._drivers.runtime import AsyncClock
from samekey.contracts import Operation
from samekey.errors import StoreError, UsageError
from samekey.groundwork import Finished, Groundwork, Task, not_settled, of_action
from samekey.http.exchange import Exchange, exchange_async
from samekey.http.outgoing import Prepared, adopt_async, with_headers
from samekey.reconcile import look_up_async
from samekey.stores import AsyncStore
from samekey.telemetry import tracing

ClientT = TypeVar("ClientT")
ResponseT = TypeVar("ResponseT")


class AsyncEngine(Groundwork[AsyncStore, AsyncClock, ClientT, ResponseT]):
    """Runs actions for one client, in the tasks of one event loop."""

    async def secret(self) -> bytes:
        """The store's secret; opens the store on first use."""
        if self._secret is None:
            secret = await self.store.secret(self._given_secret)
            refuse_sealed(await self.store.find(newest_first=True, limit=LOOK_AT))
            self._secret = secret
        return self._secret

    async def adopt(self, identity: Identity, operation: Operation, request: Any) -> Prepared:
        """Takes over a request that a client above has built; a key header of its own is left out.

        Raises:
            UsageError: it cannot be an action; nothing was stored or sent.
        """
        without = self._own_headers(request)
        try:
            prepared = await adopt_async(self.library, self.http, request, freeze=self.freeze, without=without)
        except UsageError as error:
            raise UsageError(f"{identity.label}: {error}") from None
        return self._checked(identity, operation, prepared)

    async def run(
        self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None
    ) -> Finished[ResponseT]:
        """Runs an action to its end.

        Raises:
            StoreError: the store could not even be opened.
            UsageError: the API takes no keys, and the store can lose a claim.
            BaseException: what interrupted it.
        """
        if not tracing.used():
            return await self._run(identity, operation, prepared, correlation_id)
        with tracing.action(identity.operation_name) as span:
            prepared = with_headers(self.library, prepared, span.headers(self.http, self.library.module))
            finished = await self._run(identity, operation, prepared, correlation_id)
            span.finished(finished.record, finished.error, replayed=finished.replayed, recovered=finished.recovered)
        return finished

    async def _run(
        self, identity: Identity, operation: Operation, prepared: Prepared, correlation_id: str | None
    ) -> Finished[ResponseT]:
        try:
            await self.secret()
            task = self._task(identity, operation, prepared, correlation_id)
        except StoreError as error:
            raise of_action(error, identity, correlation_id) from error.__cause__
        ports = self._ports(task)
        return self._conclude(operation, await drive(start(task.plan), ports), ports)

    async def recover(self, existing: Existing, operation: Operation) -> Record | None:
        """Finishes what a dead process left, if the rules allow to send its frozen request again."""
        await self.secret()
        with tracing.action(existing.record.operation_name) as span:
            task = self._revived(existing.record, operation)
            if task is None:
                return None
            done = await drive(resume(task.plan, existing, self.clock.now()), self._ports(task))
            span.finished(done.record, done.error, replayed=False, recovered=done.run.recovered)
        return done.record

    async def recheck(self, existing: Existing, operation: Operation) -> Record | None:
        """Looks up what became of an action, and writes it down if that settles it; sends nothing."""
        await self.secret()
        step, task = self._rechecking(existing.record, operation)
        return (await drive(step, self._ports(task))).record

    async def close(self) -> None:
        """Tries once more to write what could not be written."""
        with self.unfinished.taken() as taken:
            for settlement in taken:
                try:
                    await self.store.settle(settlement)
                except StoreError as error:
                    not_settled(error)

    def _ports(self, task: Task) -> AsyncPorts:
        return AsyncPorts(
            store=self.store,
            clock=self.clock,
            budget=self._budget(task),
            unfinished=self.unfinished,
            task=task,
            send=self._attempt,
            look_up=self._look_up,
        )

    # While an answer is awaited, as little as can be is alive of what led there: with many actions at once it is all that
    # the collector goes through.

    def _attempt(self, step: Send, ports: AsyncPorts) -> Awaitable[Exchange[ResponseT]]:
        if tracing.used():
            return self._traced(step, ports)
        return exchange_async(self.library, self.http, **self._request(step, ports))

    async def _traced(self, step: Send, ports: AsyncPorts) -> Exchange[ResponseT]:
        how = self._request(step, ports)
        with tracing.attempt(step) as span:
            sent = await exchange_async(self.library, self.http, **how)
            span.brought(sent.reply, sent.failure, sent.error)
        return sent

    async def _look_up(self, record: Record, ports: AsyncPorts) -> LookedUp:
        operation = ports.task.terms.operation
        return await look_up_async(operation, self.lookup, self.http, self.library, record, self.clock.wall())
