"""The transport that gives any httpx or httpx2 client, and the vendor SDK above it, the same guarantee."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, overload

import httpx

from samekey.ambient import current_action
from samekey.contracts import Operation, RetryPolicy
from samekey.engine import WRITES, Engine, Finished
from samekey.errors import ActionRejectedError, UsageError
from samekey.http.guard import build_client
from samekey.http.library import library_named
from samekey.http.limit import MAX_RESPONSE_BYTES, limit_answers
from samekey.http.responses import outward
from samekey.provider import Provider
from samekey.providers import ProviderName, choose
from samekey.settings import Operations, check_choices, secret_of
from samekey.stores import Keys, Store, encrypted, open_store

if TYPE_CHECKING:
    import httpx2

    class _Base(httpx.BaseTransport, httpx2.BaseTransport):
        @overload
        def handle_request(self, request: httpx.Request) -> httpx.Response: ...
        @overload
        def handle_request(self, request: httpx2.Request) -> httpx2.Response: ...
        def handle_request(self, request: Any) -> Any: ...
else:
    _Base = httpx.BaseTransport  # httpx2 asks for its methods, not for its class

MARK: Final = "samekey"
"""The request extension that marks a write as an action."""

_OPTIONS: Final = frozenset({"verify", "cert", "trust_env", "proxy", "mounts", "limits", "http1", "http2"})
_MARKS: Final = frozenset({"operation", "scope", "correlation_id"})
_USUAL: Any = object()


class Transport(_Base):
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

    makes_actions = True
    """What tells `samekey.Client` that one of the two is enough."""

    def __init__(
        self,
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Store | str | os.PathLike[str] | None = None,
        retry: RetryPolicy = _USUAL,
        actor: str = "default",
        secret: str | bytes | None = None,
        encryption: Keys | None = None,
        inner: Any = None,
        keep: Literal["response", "reference"] = "response",
        freeze: Literal["request", "nothing"] = "request",
        on_unmarked: Literal["raise", "pass"] = "raise",
        max_response: int = MAX_RESPONSE_BYTES,
        **httpx_client_options: Any,
    ) -> None:
        """See the class."""
        retry = RetryPolicy() if retry is _USUAL else retry
        check_choices(keep=keep, freeze=freeze, actor=actor, retry=retry, window=window)
        if on_unmarked not in {"raise", "pass"}:
            raise UsageError(f'on_unmarked={on_unmarked!r} is unknown; give "raise" or "pass".')
        unknown = sorted(set(httpx_client_options) - _OPTIONS)
        if unknown:
            raise UsageError(
                f"{', '.join(unknown)}: the client above has these; a transport takes {', '.join(sorted(_OPTIONS))}."
            )
        self._provider = choose(provider, window, "")
        self._operations = Operations(operations, actor)
        self._window = window
        self._owns_store = store is None or isinstance(store, str | os.PathLike)
        self._store = encrypted(open_store(store), encryption)
        self._retry = retry
        self._secret = secret_of(secret)
        self._inner = inner
        self._keep: Literal["response", "reference"] = keep
        self._freeze: Literal["request", "nothing"] = freeze
        self._on_unmarked = on_unmarked
        self._max_response = max_response
        self._options = httpx_client_options
        self._engines: dict[str, Engine[Any, Any]] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """What it protects and where it keeps its records; no secret."""
        return f"<Transport provider={self._provider.name!r} store={self._store.location!r} actor={self._operations.actor!r}>"

    @property
    def store(self) -> Store:
        """Where the records live; `store.location` says where that is."""
        return self._store

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
        method = request.method.upper()
        marks = request.extensions.get(MARK)
        if method not in WRITES:
            return self._pass(engine, request)
        if marks is not None:
            return self._perform_marked(engine, request, marks)
        ambient = current_action()
        if ambient is not None:
            if not ambient.takes(method, request.url.path):
                return self._pass(engine, request)
            return self._answer(engine, ambient.perform(engine, self._operations, request))
        if self._on_unmarked == "pass":
            return self._pass(engine, request)
        raise UsageError(
            f"{method} {request.url.path} was sent outside any action, so it would not be protected and was not sent; open "
            f'samekey.action(...) around the call and in its thread, or give the transport on_unmarked="pass".'
        )

    def close(self) -> None:
        """Writes what could not be written before, and closes the clients below and the store it opened itself."""
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        try:
            for engine in engines:
                engine.close()
                engine.http.close()
        finally:
            if self._owns_store:
                self._store.close()
            else:
                self._store.tidy()

    def _perform_marked(self, engine: Engine[Any, Any], request: Any, marks: Any) -> Any:
        if not isinstance(marks, Mapping) or not {"operation", "scope"} <= set(marks) <= _MARKS:
            raise UsageError(
                f"extensions={{'{MARK}': ...}} takes a mapping with operation, scope and, if you like, correlation_id."
            )
        operation = self._operations.find(marks["operation"])
        identity = self._operations.identity(operation, marks["scope"])
        prepared = engine.adopt(identity, operation, request)
        return self._answer(engine, engine.run(identity, operation, prepared, marks.get("correlation_id")))

    @staticmethod
    def _answer(engine: Engine[Any, Any], finished: Finished[Any]) -> Any:
        """The response for the client above: a success, or a refusal, which is the vendor's to tell."""
        error = finished.error
        if error is not None and not isinstance(error, ActionRejectedError):
            raise error from finished.cause
        return outward(engine.library.module, finished.response if error is None else error.response)

    @staticmethod
    def _pass(engine: Engine[Any, Any], request: Any) -> Any:
        """Straight to the transport that the client below has for this URL: proxies count, nothing else is added."""
        return engine.http._transport_for_url(request.url).handle_request(request)  # noqa: SLF001 - no public way

    def _engine_for(self, request: Any) -> Engine[Any, Any]:
        name = sys.modules[type(request).__module__.partition(".")[0]].__name__
        engine = self._engines.get(name)
        if engine is None:
            with self._lock:
                engine = self._engines.get(name) or self._new_engine(name)
                self._engines[name] = engine
        return engine

    def _new_engine(self, name: str) -> Engine[Any, Any]:
        library = library_named(name)
        options = dict(self._options)
        if self._inner is not None:
            options["transport"] = self._inner
        http = build_client(library, "", options=options)
        http.headers.clear()
        limit_answers(library.module, http, self._max_response)
        return Engine(
            library=library,
            http=http,
            provider=self._provider,
            window=self._window,
            store=self._store,
            retry=self._retry,
            secret=self._secret,
            keep=self._keep,
            freeze=self._freeze,
        )
