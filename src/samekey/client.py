"""The synchronous client."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, overload

import httpx

from samekey._core.keys import Scope
from samekey._core.model import Record
from samekey._core.states import Status
from samekey.actions import Action
from samekey.contracts import Operation, RetryPolicy
from samekey.engine import Engine
from samekey.errors import UsageError
from samekey.http.checks import attempt_seconds
from samekey.http.guard import build_client, check_client
from samekey.http.library import HTTPX, Library, library_of
from samekey.http.urls import origin_of, shown
from samekey.provider import Provider
from samekey.providers import ProviderName, choose
from samekey.providers.facts import span
from samekey.settings import Operations, check_choices, lease_too_short, secret_of
from samekey.stores import Store, open_store

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
        self._library, self._http = _http_client(base_url, http, timeout, httpx_client_options)
        self._owns_http = http is None
        self._owns_store = store is None or isinstance(store, str | os.PathLike)
        self._window = window
        self._store = open_store(store)
        _check_lease(self._store, self._http)
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
        if not self._http.base_url.host:
            raise UsageError(
                "recover: this client has no base_url, so nobody can say which records are its own; give one."
            )
        self._engine.secret()
        records = self._store.find(
            statuses=_LEFT_BEHIND, actor_id=self._operations.actor, origin=origin_of(self._http.base_url), limit=limit
        )
        settled: list[Record] = []
        left: list[Record] = []
        for number, record in enumerate(records):
            if number:
                self._engine.clock.sleep(1 / RECOVERIES_PER_SECOND)
            after = self._recover_one(record)
            (settled if after.settled else left).append(after)
        return Recovery(tuple(settled), tuple(left))

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

    def _recover_one(self, record: Record) -> Record:
        existing = self._store.get(record.identity)
        if existing is None or existing.alive or record.frozen_request is None:
            return record
        if existing.record.generation != record.generation or record.provider != self._provider.name:
            return record
        operation = self._operations.declared.get(record.operation_name)
        if operation is None:
            # Its contract is not at hand, and may ask for caution.
            operation = Operation(record.operation_name, on_server_error="review")
        return self._engine.recover(existing, operation) or record


def _http_client(base_url: Any, http: Any, timeout: Any, options: Mapping[str, Any]) -> tuple[Library[Any, Any], Any]:
    if http is None:
        built: Any = build_client(HTTPX, base_url, timeout, options)
        return HTTPX, built
    if options or timeout is not None:
        names = ", ".join([*options, *(["timeout"] if timeout is not None else [])])
        raise UsageError(f"http= brings its own settings, so {names} would be ignored; set them on that client.")
    check_client(http)
    if str(base_url):
        if str(http.base_url).rstrip("/") not in {"", str(base_url).rstrip("/")}:
            raise UsageError("base_url= and the base_url of http= differ; set it on that client only.")
        http.base_url = base_url
    return library_of(http), http


def _check_lease(store: Store, http: Any) -> None:
    seconds = attempt_seconds(http.timeout.as_dict())
    if store.lease is not None and store.lease.total_seconds() <= seconds:
        raise UsageError(lease_too_short(store.lease, seconds))
