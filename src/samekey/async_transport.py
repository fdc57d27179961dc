"""The transport for asynchronous clients; see `transport.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import httpx
from anyio import CancelScope

from samekey._drivers.runtime import AsyncSystemClock
from samekey.async_engine import AsyncEngine
from samekey.gateway import Gateway, Marked
from samekey.stores import AsyncStore, Keys, encrypted, open_async_store

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import Literal

    import httpx2

    from samekey.contracts import Operation, RetryPolicy
    from samekey.provider import Provider
    from samekey.providers import ProviderName

    class _Base(httpx.AsyncBaseTransport, httpx2.AsyncBaseTransport):
        @overload
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...
        @overload
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response: ...
        async def handle_async_request(self, request: Any) -> Any: ...
else:
    _Base = httpx.AsyncBaseTransport  # httpx2 asks for its methods, not for its class


class AsyncTransport(Gateway[AsyncStore, AsyncEngine[Any, Any]], _Base):
    """A transport for `httpx.AsyncClient(transport=...)` and `httpx2.AsyncClient(transport=...)`, on asyncio and on trio.

    All else is as in `samekey.Transport`: writes become the action around them (`samekey.action`, also with `async with`) or
    the one that their request extension names, and reads pass.

    Args:
        provider: what the API does with keys: a profile's name (`samekey.providers`) or a `Provider`.
        window: how long the API remembers a key, copied from its documentation.
        operations: as for `AsyncClient`.
        store: as for `AsyncClient`.
        retry: when to send again within one call. Switch the SDK's own retries off: they only repeat the verdict.
        actor: names the account on whose behalf it writes.
        secret: as for `AsyncClient`.
        encryption: as for `AsyncClient`.
        inner: the asynchronous transport that sends; None for one that honours the proxy environment.
        keep: whether answers are stored whole ("response") or by reference only.
        freeze: whether requests are stored while unsettled ("request") or not ("nothing").
        on_unmarked: what becomes of a write outside any action: "raise" a `UsageError`, or let it "pass" unprotected.
        max_response: most bytes of an answer that are read, packed or unpacked; a longer one has an unknown outcome.
        **httpx_client_options: for the client below: verify, cert, trust_env, proxy, mounts, limits, http1, http2.

    Raises:
        UsageError: an argument is wrong, or nobody has said what the API does with keys.
    """

    _asynchronous = True
    _engine_of = AsyncEngine
    _clock_of = AsyncSystemClock

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            provider: ProviderName | Provider | None = None,
            window: timedelta | None = None,
            operations: Iterable[Operation] = (),
            store: AsyncStore | str | os.PathLike[str] | None = None,
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

    def _opened(self, store: Any, encryption: Keys | None) -> AsyncStore:
        return encrypted(open_async_store(store), encryption)

    @overload
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response: ...
    @overload
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response: ...
    async def handle_async_request(self, request: Any) -> Any:
        """Sends a read as it is, and a write as the action that it belongs to.

        Raises:
            UsageError: a write outside any action, or one that cannot be an action.
            SamekeyError: the action's verdict, unless it is a success or a refusal.
        """
        engine = self._engine_for(request)
        action = self._action_of(request)
        if action is None:
            return await self._below(engine, request).handle_async_request(request)
        if isinstance(action, Marked):
            prepared = await engine.adopt(action.identity, action.operation, request)
            finished = await engine.run(action.identity, action.operation, prepared, action.correlation_id)
        else:
            finished = await action.perform_async(engine, self._operations, request)
        return self._answer(engine, finished)

    async def aclose(self) -> None:
        """Writes what could not be written before, and closes the clients below and the store it opened itself."""
        try:
            for engine in self._taken_engines():
                with CancelScope(shield=True):
                    await engine.close()
                await engine.http.aclose()
        finally:
            with CancelScope(shield=True):
                await (self._store.aclose() if self._owns_store else self._store.tidy())
