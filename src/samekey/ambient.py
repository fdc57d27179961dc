"""Actions for vendor SDKs: open around a call, and found by the transport below it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from samekey.actions import Known, conclude
from samekey.errors import ActionRejectedError, SamekeyError, UsageError
from samekey.settings import check_text

if TYPE_CHECKING:
    from anyio import Lock

    from samekey._core.keys import Identity, Scope
    from samekey.async_engine import AsyncEngine
    from samekey.contracts import Operation
    from samekey.engine import Engine
    from samekey.groundwork import Finished, Groundwork
    from samekey.http.outgoing import Prepared
    from samekey.settings import Operations

_current: ContextVar[AmbientAction | None] = ContextVar("samekey_action", default=None)


def action(
    operation: Operation | str, *, scope: Scope, correlation_id: str | None = None, match: str | None = None
) -> AmbientAction:
    """One business action around a call of a vendor's SDK whose HTTP client has a `samekey.Transport` or `samekey.AsyncTransport`.

    Tasks that are begun inside inherit it. Threads do not: where an SDK sends from a thread of its own, run that thread in
    a copy of the context
    (`contextvars.copy_context().run`).

    Args:
        operation: an `Operation`, or the name of one.
        scope: the fields that make this action this one.
        correlation_id: your own id for logs.
        match: `"POST /v1/charges"` pins the write that is the action; other writes then pass as they are, such as an
            SDK's refresh of a token.

    Raises:
        UsageError: `match` is not a method and a path.
    """
    return AmbientAction(operation, scope, correlation_id, match)


def current_action() -> AmbientAction | None:
    """The action that is open here."""
    return _current.get()


class AmbientAction(Known[Any]):
    """One business action, made by `samekey.action`; used as a context manager around the SDK's call.

    Its attributes are facts of this object and cost no I/O. Before the write they are None, 0, False or "".
    """

    def __init__(self, operation: Operation | str, scope: Scope, correlation_id: str | None, match: str | None) -> None:
        super().__init__()
        if correlation_id is not None:
            check_text("correlation_id=", correlation_id)
        self.operation = operation
        self.scope = scope
        self.correlation_id = correlation_id
        self._match = _matcher(match)
        self._label = operation if isinstance(operation, str) else operation.name
        self._token: Token[AmbientAction | None] | None = None
        self._used = False
        self._refused: SamekeyError | None = None
        self._print: str | None = None
        self._written = self._passed = ""
        self._lock = threading.Lock()
        self._async_lock: Lock | None = None

    def __enter__(self) -> Self:
        """Opens the action; an outer one is restored at the end."""
        if self._used:
            raise UsageError(f"{self._label}: this action was opened before; make another one.")
        self._used = True
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the action. What leaves the block leaves it, but our verdict goes before a vendor's wrapper of it.

        Raises:
            UsageError: nothing in the block went through a `samekey.Transport`, or not what `match` says, so nothing was
                protected.
            SamekeyError: the action's verdict, where an SDK has wrapped it.
        """
        assert self._token is not None
        _current.reset(self._token)
        if error is not None:
            conclude(self._label, self._finished, self._error or self._refused, error)
        elif self._print is None:
            raise UsageError(f"{self._label}: {self._nothing_made()}")

    def _nothing_made(self) -> str:
        """Why the action has not been made, and what to do next."""
        if self._match is None or not self._passed:
            return (
                "nothing in this block went through a samekey.Transport, so it was not protected; give the SDK's HTTP client "
                "the transport, and make its call inside the block and in this thread."
            )
        return (
            f"no write in this block was {' '.join(self._match)}, as match= has it, so the action was not made, and "
            f"{self._passed} was sent without protection; look what became of it, then correct match=."
        )

    async def __aenter__(self) -> Self:
        """As `__enter__`."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `__exit__`."""
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        """The action and what is known of it."""
        return self._shown("AmbientAction", self._label)

    def takes(self, method: str, path: str) -> bool:
        """Whether a write is this action's."""
        taken = self._match is None or self._match == (method, path)
        if not taken:
            self._passed = f"{method} {path}"
        return taken

    def perform(self, engine: Engine[Any, Any], operations: Operations, request: Any) -> Finished[Any]:
        """Makes the action's one write, or tells again what became of it: an SDK's own retry is no second write.

        Raises:
            UsageError: it is a second write, or cannot be an action.
            StoreError: the store could not even be opened.
        """
        with self._lock, self._refusals():
            operation, identity = self._named(operations)
            prepared = engine.adopt(identity, operation, request)
            engine.secret()
            self._check_write(engine, operation, prepared)
            if self._finished is None or self._turned_away():
                self._finished = self._error = None
                self._ended(engine.run(identity, operation, prepared, self.correlation_id))
            return self._known()

    async def perform_async(self, engine: AsyncEngine[Any, Any], operations: Operations, request: Any) -> Finished[Any]:
        """As `perform`, for event loops."""
        if self._async_lock is None:
            from anyio import Lock

            self._async_lock = Lock()
        async with self._async_lock:
            with self._refusals():
                operation, identity = self._named(operations)
                prepared = await engine.adopt(identity, operation, request)
                await engine.secret()
                self._check_write(engine, operation, prepared)
                if self._finished is None or self._turned_away():
                    self._finished = self._error = None
                    self._ended(await engine.run(identity, operation, prepared, self.correlation_id))
                return self._known()

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except SamekeyError as error:
            self._refused = error
            raise

    def _named(self, operations: Operations) -> tuple[Operation, Identity]:
        operation = operations.find(self.operation)
        identity = operations.identity(operation, self.scope)
        self._label = identity.label
        return operation, identity

    def _ended(self, finished: Finished[Any]) -> None:
        self._finished, self._error = finished, finished.error

    def _known(self) -> Finished[Any]:
        assert self._finished is not None
        return self._finished

    def _turned_away(self) -> bool:
        """In front of the API, and nothing happened: an SDK may have mended the cause, such as an old token."""
        return isinstance(self._error, ActionRejectedError) and self._error.retry_safe is True

    def _check_write(self, engine: Groundwork[Any, Any, Any, Any], operation: Operation, prepared: Prepared) -> None:
        print_, name = (
            engine.fingerprint(operation, prepared),
            f"{prepared.outgoing.method} {prepared.url.path}",
        )
        if self._print not in {None, print_}:
            raise UsageError(
                f"{self._label}: this action has made its one write, {self._written}; open a second action for {name}, or pin "
                f'this one with match="{self._written}".'
            )
        self._print, self._written = print_, name


def _matcher(match: str | None) -> tuple[str, str] | None:
    if match is None:
        return None
    method, _, path = match.partition(" ")
    if not method.isupper() or not path.startswith("/"):
        raise UsageError(f'match={match!r} is not a method and a path; give for example "POST /v1/charges".')
    return method, path
