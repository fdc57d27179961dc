"""What both transports have in common: which request is an action, and what the client above gets back."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar

from samekey._core.keys import Identity
from samekey._drivers.runtime import Clocks
from samekey.ambient import AmbientAction, current_action
from samekey.contracts import Operation, RetryPolicy
from samekey.errors import ActionRejectedError, UsageError
from samekey.groundwork import WRITES, Finished, Groundwork
from samekey.http.guard import build_client
from samekey.http.library import library_named
from samekey.http.limit import MAX_RESPONSE_BYTES, limit_answers
from samekey.http.responses import outward
from samekey.provider import Provider
from samekey.providers import ProviderName, choose
from samekey.settings import Operations, check_choices, check_kind, check_text, secret_of
from samekey.stores import AsyncStore, Keys, Store
from samekey.unpicklable import Unpicklable

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
GroundT = TypeVar("GroundT", bound=Groundwork[Any, Any, Any, Any])

MARK: Final = "samekey"
"""The request extension that marks a write as an action."""

_OPTIONS: Final = frozenset({"verify", "cert", "trust_env", "proxy", "mounts", "limits", "http1", "http2"})
_MARKS: Final = frozenset({"operation", "scope", "correlation_id"})


class Marked:
    """A write that names its action itself, in a request extension."""

    def __init__(self, marks: Any, operations: Operations) -> None:
        if not isinstance(marks, Mapping) or not {"operation", "scope"} <= set(marks) <= _MARKS:
            raise UsageError(
                f"extensions={{'{MARK}': ...}} takes a mapping with operation, scope and, if you like, correlation_id."
            )
        self.operation: Operation = operations.find(marks["operation"])
        self.identity: Identity = operations.identity(self.operation, marks["scope"])
        self.correlation_id: str | None = marks.get("correlation_id")
        if self.correlation_id is not None:
            check_text(f"{MARK}: correlation_id", self.correlation_id)


class Gateway(Unpicklable, Generic[StoreT, GroundT]):
    """What is not waiting of a transport. See `Transport` for the arguments."""

    makes_actions = True
    """What tells a client of ours that one of the two is enough."""

    _asynchronous: bool
    _engine_of: type[Any]
    _clock_of: type[Clocks]

    def __init__(
        self,
        *,
        provider: ProviderName | Provider | None = None,
        window: timedelta | None = None,
        operations: Iterable[Operation] = (),
        store: Any = None,
        retry: RetryPolicy | None = None,
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
        retry = RetryPolicy() if retry is None else retry
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
        self._store: StoreT = self._opened(check_kind(store, asynchronous=self._asynchronous), encryption)
        self._retry = retry
        self._secret = secret_of(secret)
        self._inner = inner
        self._keep: Literal["response", "reference"] = keep
        self._freeze: Literal["request", "nothing"] = freeze
        self._on_unmarked = on_unmarked
        self._max_response = max_response
        self._options = httpx_client_options
        self._engines: dict[str, GroundT] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """What it protects and where it keeps its records; no secret."""
        return (
            f"<{type(self).__name__} provider={self._provider.name!r} store={self._store.location!r} "
            f"actor={self._operations.actor!r}>"
        )

    @property
    def store(self) -> StoreT:
        """Where the records live; `store.location` says where that is."""
        return self._store

    def _opened(self, store: Any, encryption: Keys | None) -> StoreT:
        raise NotImplementedError

    def _action_of(self, request: Any) -> AmbientAction | Marked | None:
        """What the request belongs to; None for one that passes as it is.

        Raises:
            UsageError: a write outside any action.
        """
        method = request.method.upper()
        if method not in WRITES:
            return None
        marks = request.extensions.get(MARK)
        if marks is not None:
            return Marked(marks, self._operations)
        ambient = current_action()
        if ambient is not None:
            return ambient if ambient.takes(method, request.url.path) else None
        if self._on_unmarked == "pass":
            return None
        raise UsageError(
            f"{method} {request.url.path} was sent outside any action, so it would not be protected and was not sent; open "
            f'samekey.action(...) around the call and in its thread, or give the transport on_unmarked="pass".'
        )

    @staticmethod
    def _answer(engine: GroundT, finished: Finished[Any]) -> Any:
        """The response for the client above: a success, or a refusal, which is the vendor's to tell."""
        error = finished.error
        if error is not None and not isinstance(error, ActionRejectedError):
            raise error from finished.cause
        return outward(engine.library.module, finished.response if error is None else error.response)

    @staticmethod
    def _below(engine: GroundT, request: Any) -> Any:
        """The transport that the client below has for this URL: proxies count, nothing else is added."""
        return engine.http._transport_for_url(request.url)  # noqa: SLF001 - no public way

    def _taken_engines(self) -> list[GroundT]:
        with self._lock:
            engines, self._engines = list(self._engines.values()), {}
        return engines

    def _engine_for(self, request: Any) -> GroundT:
        name = sys.modules[type(request).__module__.partition(".")[0]].__name__
        engine = self._engines.get(name)
        if engine is None:
            with self._lock:
                engine = self._engines.get(name) or self._new_engine(name)
                self._engines[name] = engine
        return engine

    def _new_engine(self, name: str) -> GroundT:
        library = library_named(name, asynchronous=self._asynchronous)
        options = dict(self._options)
        if self._inner is not None:
            options["transport"] = self._inner
        http = build_client(library, "", options=options)
        http.headers.clear()
        limit_answers(library.module, http, self._max_response)
        made: GroundT = self._engine_of(
            library=library,
            http=http,
            provider=self._provider,
            window=self._window,
            store=self._store,
            clock=self._clock_of(),
            retry=self._retry,
            secret=self._secret,
            keep=self._keep,
            freeze=self._freeze,
        )
        return made
