"""The synchronous client."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, overload

import httpx

from samekey._core.keys import Scope
from samekey._core.model import Record
from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.actions import Action
from samekey.batch import Batch
from samekey.contracts import Operation, RetryPolicy
from samekey.engine import Engine
from samekey.errors import UsageError
from samekey.http.urls import origin_of, shown
from samekey.provider import Provider
from samekey.providers import ProviderName, choose
from samekey.providers.facts import span
from samekey.reconcile import looks_up
from samekey.settings import Operations, check_choices, check_lease, http_client, secret_of
from samekey.stores import Keys, Store, encrypted, open_store

if TYPE_CHECKING:
    import httpx2
    from typing_extensions import TypeVar

    ResponseT = TypeVar("ResponseT", default=httpx.Response)
else:
    from typing import TypeVar

    ResponseT = TypeVar("ResponseT")

RECOVERIES_PER_SECOND: Final = 10
"""How fast `recover()` sends: a backlog must not become a storm."""

_USUAL: Any = object()  # stands for `RetryPolicy()`: making one validates, which no import has to wait for

_LEFT_BEHIND: Final = (Status.IN_FLIGHT, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover()` did.

    Attributes:
        settled: records whose outcome is known now.
        left: records that are still open: held by a live process, their window closed, or still without an answer.
    """

    settled: tuple[Record, ...]
    left: tuple[Record, ...]


class Client(Generic[ResponseT]):
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
        http: an `httpx.Client` or `httpx2.Client` to send with. It is not closed.
        keep: whether answers are stored whole ("response") or by reference only.
        freeze: whether requests are stored while unsettled ("request") or not ("nothing").
        timeout: as in httpx; every part must have a limit.
        **httpx_client_options: for the `httpx.Client` that is built.

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
        http: httpx.Client | None = None,
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
    def __init__(
        self,
        base_url: Any = "",
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = _USUAL,
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
        retry = RetryPolicy() if retry is _USUAL else retry
        check_choices(keep=keep, freeze=freeze, actor=actor, retry=retry, window=window)
        self._operations = Operations(operations, actor)
        self._provider = choose(provider, window, str(base_url or getattr(http, "base_url", "")))
        self._library, self._http = http_client(base_url, http, timeout, httpx_client_options)
        self._owns_http = http is None
        self._owns_store = store is None or isinstance(store, str | os.PathLike)
        self._window = window
        self._store = encrypted(open_store(store), encryption)
        check_lease(self._store, self._http)
        self._engine: Engine[Any, ResponseT] = Engine(
            library=self._library,
            http=self._http,
            provider=self._provider,
            window=window,
            store=self._store,
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

    def __repr__(self) -> str:
        """Where it writes to and where it keeps its records; no secret."""
        seconds = self._engine.profile.window_seconds
        if self._window is not None:
            seconds = min(filter(None, (seconds, self._window.total_seconds())))
        window = f" window={span(seconds)}" if seconds else ""
        return (
            f"<Client {shown(self._http.base_url)} provider={self._provider.name!r}{window} "
            f"store={self._store.location!r} actor={self._operations.actor!r}>"
        )

    @property
    def http(self) -> Any:
        """The HTTP client below, for reads."""
        return self._http

    @property
    def store(self) -> Store:
        """Where the records live; `store.location` says where that is."""
        return self._store

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations it was given."""
        return tuple(self._operations.declared.values())

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
        operation = self._operations.find(operation)
        return Action(self._engine, operation, self._operations.identity(operation, scope), correlation_id)

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
        identity = self._operations.identity(self._operations.find(operation), scope)
        self._engine.secret()
        existing = self._store.get(identity.digest)
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
        for number, record in enumerate(self._left_behind(limit)):
            if number:
                self._engine.clock.sleep(1 / RECOVERIES_PER_SECOND)
            after = self._recover_one(record)
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
        for record in self._left_behind(limit):
            existing = self._recoverable(record)
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
        operation = self._operations.declared.get(record.operation_name)
        existing = self._store.get(record.identity)
        if operation is None:
            raise UsageError(
                f"{record.label}: this client's operations= has no {record.operation_name!r}, so no look-up."
            )
        if (
            existing is None
            or record.actor_id != self._operations.actor
            or record.origin != origin_of(self._http.base_url)
        ):
            raise UsageError(f"{record.label}: belongs to {record.actor_id!r} at {record.origin}, not to {self!r}.")
        if existing.record.settled:
            return existing.record
        if self._is_held(existing) or existing.record.status is Status.PENDING:
            raise UsageError(
                f"{record.label}: is being sent or was not sent, so there is nothing to look up; run it again."
            )
        if not looks_up(operation, self._provider.lookup):
            raise UsageError(f"{record.label}: has no look-up; give the operation reconcile=, see samekey.lookups.")
        return self._engine.recheck(existing, operation) or existing.record

    def close(self) -> None:
        """Writes what could not be written before, and closes what it opened itself."""
        try:
            self._engine.close()
        finally:
            if self._owns_store:
                self._store.close()
            else:
                self._store.tidy()
            if self._owns_http:
                self._http.close()

    def _left_behind(self, limit: int | None) -> list[Record]:
        if not self._http.base_url.host:
            raise UsageError(
                "recover: this client has no base_url, so nobody can say which records are its own; give one."
            )
        self._engine.secret()
        origin = origin_of(self._http.base_url)
        return self._store.find(statuses=_LEFT_BEHIND, actor_id=self._operations.actor, origin=origin, limit=limit)

    def _recover_one(self, record: Record) -> Record:
        existing = self._recoverable(record)
        return record if existing is None else self._engine.recover(existing, self._cautious(record)) or record

    def _recoverable(self, record: Record) -> Existing | None:
        """The record with its holder, if a recovery may touch it."""
        existing = self._store.get(record.identity)
        if existing is None or self._is_held(existing) or record.frozen_request is None:
            return None
        same = existing.record.generation == record.generation and record.provider == self._provider.name
        return existing if same else None

    def _is_held(self, existing: Existing) -> bool:
        """Whether somebody may be at work on it: of a process of another boot or host only the lease tells (R5b)."""
        lease = existing.record.lease_expires_at
        return existing.alive and lease is not None and self._engine.clock.wall() <= lease

    def _cautious(self, record: Record) -> Operation:
        """The record's operation; where its contract is not at hand, one that asks for caution, as it might."""
        known = self._operations.declared.get(record.operation_name)
        return known or Operation(record.operation_name, on_server_error="review")
