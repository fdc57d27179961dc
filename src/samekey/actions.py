"""One action of a client: one write, one key, one truth."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypedDict, Unpack

from samekey._core.keys import Identity
from samekey._core.model import Record
from samekey._core.states import Status
from samekey._drivers.ports import had_succeeded
from samekey.contracts import Operation
from samekey.errors import ActionRejectedError, NotSentError, SamekeyError, UsageError
from samekey.settings import check_text
from samekey.unpicklable import Unpicklable

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Mapping

    import httpx
    from typing_extensions import TypeVar

    from samekey.engine import Engine
    from samekey.groundwork import Finished, Groundwork
    from samekey.http.outgoing import Prepared

    ResponseT = TypeVar("ResponseT", default=httpx.Response)
else:
    from typing import TypeVar

    ResponseT = TypeVar("ResponseT")


class WriteOptions(TypedDict, total=False):
    """What a verb takes beside the URL: httpx's own options, and `fingerprint`.

    `fingerprint` is text that stands for a body which cannot be read twice (with `freeze="nothing"`).
    """

    content: str | bytes | Iterable[bytes] | AsyncIterable[bytes]
    data: Mapping[str, Any]
    files: Any
    json: Any
    params: Any
    headers: Any
    cookies: Any
    auth: Any
    timeout: Any
    extensions: Mapping[str, Any]
    fingerprint: str


class Known(Unpicklable, Generic[ResponseT]):
    """What is known of an action: facts of this object, without I/O. Before the write they are None, 0, False or ""."""

    def __init__(self) -> None:
        self._finished: Finished[ResponseT] | None = None
        self._error: SamekeyError | None = None

    def _shown(self, kind: str, label: str) -> str:
        record = self.record
        if record is None:
            return f"<{kind} {label} not sent>"
        marks = "".join(f" {name}" for name in ("replayed", "recovered") if getattr(self, name))
        return f"<{kind} {label} {record.status.value} attempts={record.attempts}{marks} key={record.idempotency_key[:8]}…>"

    @property
    def record(self) -> Record | None:
        """The record as this object last knew it."""
        return self._finished.record if self._finished else None

    @property
    def key(self) -> str | None:
        """The idempotency key."""
        return self.record.idempotency_key if self.record else self._error.key if self._error else None

    @property
    def status(self) -> Status | None:
        """What is known about the action."""
        return self.record.status if self.record else None

    @property
    def attempts(self) -> int:
        """Sends permitted so far, over all runs."""
        return self.record.attempts if self.record else 0

    @property
    def replayed(self) -> bool:
        """Whether the result came from the record, without a request."""
        return bool(self._finished and self._finished.replayed)

    @property
    def recovered(self) -> bool:
        """Whether this run took over what an earlier one had left."""
        return bool(self._finished and self._finished.recovered)

    @property
    def reference(self) -> str:
        """The object's id at the API, as `Operation(reference=…)` found it; "" if there is none."""
        return (self.record.response_reference if self.record else None) or ""


class OneWrite(Known[ResponseT]):
    """What both kinds of an action have in common: the rules of its block, and what its write has brought."""

    def __init__(
        self,
        ground: Groundwork[Any, Any, Any, ResponseT],
        operation: Operation,
        identity: Identity,
        correlation_id: str | None,
    ) -> None:
        super().__init__()
        if correlation_id is not None:
            check_text("correlation_id=", correlation_id)
        self._ground = ground
        self._operation = operation
        self._identity = identity
        self._correlation_id = correlation_id
        self._open = False
        self._written: tuple[object, object] | None = None

    def __repr__(self) -> str:
        """The action, what is known, and the beginning of the key."""
        return self._shown(type(self).__name__, self._identity.label)

    def _enter(self) -> None:
        if self._open or self._written:
            raise UsageError(f"{self._identity.label}: this action was opened before; make another one.")
        self._open = True

    def _leave(self, error: BaseException | None) -> None:
        self._open = False
        if error is not None:
            conclude(self._identity.label, self._finished, self._error, error)

    def _begin(self, method: str, url: Any, options: WriteOptions) -> Prepared:
        """The request of the one write, if it may be made."""
        if not self._open:
            raise UsageError(f"{self._identity.label}: the action is not open; write inside its 'with' block.")
        if self._written:
            raise UsageError(
                f"{self._identity.label}: this action has made its one write, {_named(*self._written)}; open a second "
                f"action for {_named(method, url)}."
            )
        prepared = self._ground.prepare(self._identity, self._operation, method, url, options)
        self._written = method, url
        return prepared

    def _ended(self, finished: Finished[ResponseT]) -> ResponseT:
        self._finished = finished
        if finished.error is not None:
            self._error = finished.error
            raise self._error from finished.cause
        return finished.response


class Action(OneWrite[ResponseT]):
    """One business action. Made by `Client.action`; used as a context manager around its one write.

    Its attributes are facts of this object and cost no I/O. Before the write they are None, 0, False or "".
    """

    def __init__(
        self, engine: Engine[Any, ResponseT], operation: Operation, identity: Identity, correlation_id: str | None
    ) -> None:
        super().__init__(engine, operation, identity, correlation_id)
        self._engine = engine

    def __enter__(self) -> Self:
        """Opens the action; nothing is read or written yet."""
        self._enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the action. What leaves the block leaves it; see `conclude` for what is added."""
        self._leave(error)

    def request(self, method: str, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """Makes the action's one write, or returns its stored result.

        Args:
            method: POST, PUT, PATCH or DELETE.
            url: absolute, or relative to the client's `base_url`.
            **options: as for httpx; `fingerprint` stands for a streamed body.

        Returns:
            The response: this run's, or the stored one.

        Raises:
            UsageError: the call is wrong, or the action has made its write. Nothing was sent.
            ConflictError: other data under the same action, a live holder, or a duplicate. Nothing was sent.
            ActionRejectedError: the API refused; nothing happened.
            NotSentError: nothing was done.
            OutcomeUnknownError: it may have happened; run it again.
            NeedsReviewError: it may have happened; a person has to look.
            ActionAbandonedError: a person closed it.
            StoreError: the store cannot be used.
        """
        prepared = self._begin(method, url, options)
        try:
            finished = self._engine.run(self._identity, self._operation, prepared, self._correlation_id)
        except SamekeyError as error:
            self._error = error
            raise
        return self._ended(finished)

    def post(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("POST", …)`."""
        return self.request("POST", url, **options)

    def put(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("PUT", …)`."""
        return self.request("PUT", url, **options)

    def patch(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("PATCH", …)`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: Any, **options: Unpack[WriteOptions]) -> ResponseT:
        """`request("DELETE", …)`."""
        return self.request("DELETE", url, **options)


def conclude(label: str, finished: Finished[Any] | None, verdict: SamekeyError | None, error: BaseException) -> None:
    """What leaving a block with a foreign exception adds: a note, or our own verdict over it.

    Raises:
        SamekeyError: the action's verdict, where it is neither success nor rejection and somebody wrapped it.
    """
    if error is verdict or isinstance(error, SamekeyError):
        return
    if verdict is None:
        if finished is not None:
            error.add_note(had_succeeded(label))
        return
    if isinstance(verdict, ActionRejectedError):
        error.add_note(f"{label}: the API had refused it before this error, and nothing happened.")
        return
    if isinstance(error, Exception):
        # A vendor's wrapper has our verdict as its cause: the copy keeps the chain from biting its own tail.
        raise _copy(verdict) from error
    what = "nothing was sent" if isinstance(verdict, NotSentError) else str(verdict)
    error.add_note(f"{label}: {what}")


def _copy(error: SamekeyError) -> SamekeyError:
    rebuild, arguments, state = error.__reduce__()
    copy: SamekeyError = rebuild(*arguments)
    copy.__dict__.update(state)
    return copy


def _named(method: object, url: object) -> str:
    """A write for people: method and path."""
    text = str(url).partition("?")[0].partition("#")[0]
    path = (
        text
        if text.startswith("/") or "://" not in text
        else "/" + text.split("/", 3)[-1]
        if text.count("/") > 2
        else "/"
    )
    return f"{str(method).upper()} {path}"
