"""The synchronous client."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, overload

import httpx

from samekey import measure
from samekey._core.keys import Scope
from samekey._core.model import Record
from samekey._drivers.runtime import SystemClock
from samekey.actions import Action
from samekey.batch import Batch
from samekey.client_base import RECOVERIES_PER_SECOND, USUAL_RETRY, ClientBase, Recovery
from samekey.contracts import Operation, RetryPolicy
from samekey.engine import Engine
from samekey.provider import Provider
from samekey.providers import ProviderName
from samekey.settings import check_kind, secret_of
from samekey.stores import Keys, Store, encrypted, open_store
from samekey.telemetry.signals import Stats

if TYPE_CHECKING:
    import httpx2
    from typing_extensions import TypeVar

    ResponseT = TypeVar("ResponseT", default=httpx.Response)
else:
    from typing import TypeVar

    ResponseT = TypeVar("ResponseT")


class Client(ClientBase["Engine[Any, ResponseT]"], Generic[ResponseT]):
    """Writes to one HTTP API, each action under one recorded key.

    Thread-safe. Use it as a context manager, or call `close()`.

    Args:
        base_url: as in httpx.
        provider: what the API does with keys: a profile's name (`samekey.providers`) or a `Provider`.
        window: how long the API remembers a key, copied from its documentation. Without a provider it declares an API
            that takes the `Idempotency-Key` header; with one, the stricter of both counts.
        operations: the operations of this client; if there are any, `action()` takes only these by name.
        store: a `Store`, a path, or a URL; else `SAMEKEY_STORE`; else a SQLite file in the user's state directory.
        retry: when to send again within one run.
        actor: names the account on whose behalf it writes; part of every identity.
        secret: what keys are derived from, for a fleet; else `SAMEKEY_SECRET`; else the store's own.
        encryption: the key with which requests and answers are encrypted before they are stored (`samekey[crypto]`), or
            several, the newest first; else `SAMEKEY_ENCRYPTION_KEY`; else they are not.
        http: an `httpx.Client` or `httpx2.Client` to send with, which is not closed; or such a class, for one to be made of.
        keep: whether answers are stored whole ("response") or by reference only.
        freeze: whether requests are stored while unsettled ("request") or not ("nothing").
        timeout: as in httpx; every part must have a limit.
        **httpx_client_options: for the `httpx.Client` (or what `http` says) that is built.

    Raises:
        UsageError: an argument is wrong, or nobody has said what the API does with keys.
    """

    @overload
    def __init__(
        self: Client[httpx.Response],
        base_url: str | httpx.URL = "",
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = ...,
        actor: str = "default",
        secret: str | bytes | None = None,
        encryption: Keys | None = None,
        http: httpx.Client | type[httpx.Client] | None = None,
        keep: Literal["response", "reference"] = "response",
        freeze: Literal["request", "nothing"] = "request",
        timeout: httpx.Timeout | float = ...,
        **httpx_client_options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: Client[httpx2.Response],
        base_url: str | httpx2.URL = "",
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = ...,
        actor: str = "default",
        secret: str | bytes | None = None,
        encryption: Keys | None = None,
        http: httpx2.Client,
        keep: Literal["response", "reference"] = "response",
        freeze: Literal["request", "nothing"] = "request",
    ) -> None: ...
    @overload
    def __init__(
        self: Client[httpx2.Response],
        base_url: str | httpx2.URL = "",
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = ...,
        actor: str = "default",
        secret: str | bytes | None = None,
        encryption: Keys | None = None,
        http: type[httpx2.Client],
        keep: Literal["response", "reference"] = "response",
        freeze: Literal["request", "nothing"] = "request",
        timeout: httpx2.Timeout | float = ...,
        **httpx_client_options: Any,
    ) -> None: ...
    def __init__(
        self,
        base_url: Any = "",
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = USUAL_RETRY,
        actor: str = "default",
        secret: str | bytes | None = None,
        encryption: Keys | None = None,
        http: Any = None,
        keep: Literal["response", "reference"] = "response",
        freeze: Literal["request", "nothing"] = "request",
        timeout: Any = None,
        **httpx_client_options: Any,
    ) -> None:
        """See the class."""
        retry = RetryPolicy() if retry is USUAL_RETRY else retry
        super().__init__(
            base_url,
            provider=provider,
            window=window,
            operations=operations,
            store=store,
            retry=retry,
            actor=actor,
            http=http,
            keep=keep,
            freeze=freeze,
            timeout=timeout,
            options=httpx_client_options,
            asynchronous=False,
        )
        self._engine = Engine(
            library=self._library,
            http=self._http,
            provider=self._provider,
            window=window,
            store=self._checked(encrypted(open_store(check_kind(store, asynchronous=False)), encryption)),
            clock=SystemClock(),
            retry=retry,
            secret=secret_of(secret),
            keep=keep,
            freeze=freeze,
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    @property
    def store(self) -> Store:
        """Where the records live; `store.location` says where that is."""
        return self._engine.store

    def action(
        self, operation: Operation | str, *, scope: Scope, correlation_id: str | None = None
    ) -> Action[ResponseT]:
        """One business action. Nothing is read or written until its write.

        Args:
            operation: an `Operation`, or the name of one of this client's; any name if it has none.
            scope: the fields that make this action this one.
            correlation_id: your own id for logs.

        Raises:
            UsageError: the name is unknown, or the scope does not fit.
        """
        return Action(self._engine, *self._find(operation, scope), correlation_id)

    def batch(self, *, stop_after: int = 5) -> Batch[ResponseT]:
        """For loops: collects what concerns one action, so that the others go on.

        Args:
            stop_after: how many actions in a row may fail to be sent before the loop is ended.

        Raises:
            UsageError: `stop_after` is not a positive int.
        """
        return Batch(self.action, stop_after=stop_after)

    def record(self, operation: Operation | str, *, scope: Scope) -> Record | None:
        """What the store knows about an action; nothing is sent.

        Raises:
            UsageError: the name is unknown, or the scope does not fit.
            StoreError: the store cannot be used.
        """
        _, identity = self._find(operation, scope)
        self._engine.secret()
        existing = self.store.get(identity.digest)
        return existing.record if existing else None

    def recover(self, *, limit: int | None = None) -> Recovery:
        """Finishes what dead processes left at this client's origin under its actor: oldest first, slowly.

        Only frozen requests whose window is open are sent again. Nothing that was never sent is sent. Give the client
        its `operations`, so that their rules count; for an operation it does not know, a 5xx goes to review.

        Args:
            limit: most records to look at.

        Raises:
            UsageError: the client has no base URL.
            StoreError: the store cannot be used.
        """
        settled: list[Record] = []
        left: list[Record] = []
        for number, record in enumerate(self._of_others(limit)):
            if number:
                self._engine.clock.sleep(1 / RECOVERIES_PER_SECOND)
            existing = self._recoverable(record, self.store.get(record.identity))
            after = (existing and self._engine.recover(existing, self._cautious(record))) or record
            (settled if after.settled else left).append(after)
        return Recovery(tuple(settled), tuple(left))

    def recoverable(self, *, limit: int | None = None) -> Recovery:
        """What `recover()` would do now: `settled` has what it would send again, `left` what it would leave.

        Nothing is sent and nothing is written.

        Args:
            limit: most records to look at.

        Raises:
            UsageError: the client has no base URL.
            StoreError: the store cannot be used.
        """
        settled: list[Record] = []
        left: list[Record] = []
        for record in self._of_others(limit):
            existing = self._recoverable(record, self.store.get(record.identity))
            sends = existing is not None and self._engine.would_send(existing, self._cautious(record))
            (settled if sends else left).append(record)
        return Recovery(tuple(settled), tuple(left))

    def recheck(self, record: Record) -> Record:
        """Looks up now what became of an action, with its operation's `reconcile` or the profile's own look-up.

        What that settles is written down; otherwise the record stays as it is, and the evidence goes into its timeline.
        Nothing is sent but the look-up's reads, or, with `reconcile="cancel"`, the cancellation.

        Args:
            record: from `record()`, or from the store; it must be of this client's origin, actor and operations.

        Returns:
            The record as it is then.

        Raises:
            UsageError: it is not this client's, is being worked on, or there is no look-up for it.
            StoreError: the store cannot be used.
        """
        self._engine.secret()
        existing, operation = self._recheckable(record, self.store.get(record.identity))
        if existing.record.settled:
            return existing.record
        return self._engine.recheck(existing, operation) or existing.record

    def stats(self, *, since: datetime | timedelta | None = None, operation: str | None = None) -> Stats:
        """The signals of the store that this client uses, whoever wrote there; nothing is sent.

        Args:
            since: a time, or how long ago; without it all that the store knows counts.
            operation: the name of one operation.

        Raises:
            UsageError: `since` is a time without a time zone.
            StoreError: the store cannot be used.
        """
        self._engine.secret()
        return measure.stats(self.store, since=since, operation=operation)

    def close(self) -> None:
        """Writes what could not be written before, and closes what it opened itself."""
        try:
            self._engine.close()
        finally:
            if self._owns_store:
                self.store.close()
            else:
                self.store.tidy()
            if self._owns_http:
                self._http.close()

    def _of_others(self, limit: int | None) -> list[Record]:
        asked = self._left_behind(limit)
        self._engine.secret()
        return self.store.find(**asked)
