"""The transport that gives any httpx or httpx2 client, and the vendor SDK above it, the same guarantee."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import httpx

from samekey._drivers.runtime import SystemClock
from samekey.engine import Engine
from samekey.gateway import Gateway, Marked
from samekey.stores import Keys, Store, encrypted, open_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Literal

    import httpx2

    from samekey.contracts import Operation, RetryPolicy
    from samekey.provider import Provider
    from samekey.providers import ProviderName

    class _Base(httpx.BaseTransport, httpx2.BaseTransport):
        @overload
        def handle_request(self, request: httpx.Request) -> httpx.Response: ...
        @overload
        def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...
        def handle_request(self, request: Any) -> Any: ...
else:
    _Base = httpx.BaseTransport  # httpx2 asks for its methods, not for its class


class Transport(Gateway[Store, Engine[Any, Any]], _Base):
    """A transport for `httpx.Client(transport=...)` and `httpx2.Client(transport=...)`.

    Writes (POST, PUT, PATCH, DELETE) become the action that is open around them (`samekey.action`), or that their
    request extension names: `extensions={"samekey": {"operation": "create_order", "scope": {"cart": "c-9"}}}`. A key
    header that the client above has made up is replaced by the action's. Reads pass.

    The answer to a write is read whole, also where the caller streams it. A refusal is handed on as the vendor's own
    response; every other verdict is raised as in `samekey.Client`.

    Args:
        provider: what the API does with keys: a profile's name (`samekey.providers`) or a `Provider`.
        window: how long the API remembers a key, copied from its documentation.
        operations: as for `Client`.
        store: as for `Client`.
        retry: when to send again within one call. Switch the SDK's own retries off: they only repeat the verdict.
        actor: names the account on whose behalf it writes.
        secret: as for `Client`.
        encryption: as for `Client`.
        inner: the transport that sends; None for one that honours the proxy environment.
        keep: whether answers are stored whole ("response") or by reference only.
        freeze: whether requests are stored while unsettled ("request") or not ("nothing").
        on_unmarked: what becomes of a write outside any action: "raise" a `UsageError`, or let it "pass" unprotected.
        max_response: most bytes of an answer that are read, packed or unpacked; a longer one has an unknown outcome.
        **httpx_client_options: for the client below: verify, cert, trust_env, proxy, mounts, limits, http1, http2.

    Raises:
        UsageError: an argument is wrong, or nobody has said what the API does with keys.
    """

    _asynchronous = False
    _engine_of = Engine
    _clock_of = SystemClock

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            provider: ProviderName | Provider | None = None,
            window: timedelta | None = None,
            operations: Iterable[Operation] = (),
            store: Store | str | os.PathLike[str] | None = None,
            retry: RetryPolicy = ...,
            actor: str = "default",
            secret: str | bytes | None = None,
            encryption: Keys | None = None,
            inner: Any = None,
            keep: Literal["response", "reference"] = "response",
            freeze: Literal["request", "nothing"] = "request",
            on_unmarked: Literal["raise", "pass"] = "raise",
            max_response: int = ...,
            **httpx_client_options: Any,
        ) -> None:
            """See the class."""

    def _opened(self, store: Any, encryption: Keys | None) -> Store:
        return encrypted(open_store(store), encryption)

    @overload
    def handle_request(self, request: httpx.Request) -> httpx.Response: ...
    @overload
    def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...
    def handle_request(self, request: Any) -> Any:
        """Sends a read as it is, and a write as the action that it belongs to.

        Raises:
            UsageError: a write outside any action, or one that cannot be an action.
            SamekeyError: the action's verdict, unless it is a success or a refusal.
        """
        engine = self._engine_for(request)
        action = self._action_of(request)
        if action is None:
            return self._below(engine, request).handle_request(request)
        if isinstance(action, Marked):
            prepared = engine.adopt(action.identity, action.operation, request)
            finished = engine.run(action.identity, action.operation, prepared, action.correlation_id)
        else:
            finished = action.perform(engine, self._operations, request)
        return self._answer(engine, finished)

    def close(self) -> None:
        """Writes what could not be written before, and closes the clients below and the store it opened itself."""
        try:
            for engine in self._taken_engines():
                engine.close()
                engine.http.close()
        finally:
            if self._owns_store:
                self._store.close()
            else:
                self._store.tidy()
