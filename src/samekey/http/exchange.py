"""One attempt: send once, and say what is known afterwards. What is known, `watch.py` tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from samekey._core.model import Failure, Reply
from samekey._core.values import fixed
from samekey.http import bounded
from samekey.http.outgoing import fields
from samekey.http.veto import Veto
from samekey.http.watch import Reused, Watch

if TYPE_CHECKING:
    from samekey._core.model import Headers
    from samekey.http.library import Library

T = TypeVar("T")


@fixed
class Exchange(Generic[T]):
    """What one attempt brought: a reply or a failure.

    Attributes:
        reply: the complete answer, as facts.
        failure: why there is none.
        native: the library's own response, read, where there is a reply.
        error: what was raised, not yet scrubbed. With a reply it is an interruption that came when the answer was
            complete: settle first, then raise it.
    """

    reply: Reply | None
    failure: Failure | None
    native: T | None = field(default=None, repr=False)
    error: BaseException | None = field(default=None, repr=False)


def exchange(
    library: Library[Any, T],
    client: Any,
    request: Any,
    *,
    auth: Any,
    clock: Callable[[], datetime],
    not_after: datetime,
    timeout: float | None = None,
    fresh_connection: bool = False,
    alone: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Exchange[T]:
    """Send a request once. Never raises: an exception of whatever kind is part of the answer.

    Args:
        library: the client's library.
        client: the client that sends it.
        request: from `prepare` or `thaw`.
        auth: `Prepared.auth`, or the library's `USE_CLIENT_DEFAULT`.
        clock: the wall clock; read once more in the last statement before the first byte is written (R2).
        not_after: no byte is written at or after this time.
        timeout: seconds left; no single time-out of the request is longer.
        fresh_connection: whether to refuse connections that were used before. HTTP/1.1 only.
        alone: `Prepared.alone`: it is sent by the shortest way, and when its answer has begun, there is nothing more to watch.
        meanwhile: something to do when the request is out and the answer is awaited. It must not raise.
    """
    watch = Watch(request, clock, not_after, fresh=fresh_connection, alone=alone, meanwhile=meanwhile)
    late = watch.begin(timeout)
    if late is not None:
        return Exchange(None, late)
    response = None
    try:
        while True:
            try:
                response = bounded.send(library, client, request, auth=auth, alone=alone)
            except Reused:
                watch.again()
            else:
                return Exchange(reply_of(response), None, response)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the caller needs to know what it means)
        return _ended(watch, library, client, auth, response, error)
    finally:
        watch.end()


async def exchange_async(
    library: Library[Any, T],
    client: Any,
    request: Any,
    *,
    auth: Any,
    clock: Callable[[], datetime],
    not_after: datetime,
    timeout: float | None = None,  # noqa: ASYNC109 - shrinks those of httpx
    fresh_connection: bool = False,
    alone: bool = False,
    meanwhile: Callable[[], None] | None = None,
) -> Exchange[T]:
    """As `exchange`, for an asynchronous client. A cancellation too is part of the answer, for the caller to go on with."""
    watch = Watch(request, clock, not_after, fresh=fresh_connection, alone=alone, meanwhile=meanwhile)
    late = watch.begin(timeout, watch.told)
    if late is not None:
        return Exchange(None, late)
    response = None
    try:
        while True:
            try:
                response = await bounded.send_async(library, client, request, auth=auth, alone=alone)
            except Reused:
                watch.again()
            else:
                return Exchange(reply_of(response), None, response)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the caller needs to know what it means)
        return _ended(watch, library, client, auth, response, error)
    finally:
        watch.end()


def _ended(
    watch: Watch, library: Library[Any, T], client: Any, auth: Any, response: Any, error: BaseException
) -> Exchange[T]:
    """What an attempt brought that an exception ended, be it that its answer was complete."""
    if response is not None:
        return Exchange(reply_of(response), None, response, error)
    return Exchange(
        None,
        watch.failure(library, client, auth, error),
        None,
        None if isinstance(error, Veto) else error,
    )


def reply_of(response: Any) -> Reply:
    """The facts of a response that has been read."""
    headers = fields(response)
    framed = not response.http_version.startswith("HTTP/1") or response.status_code in {204, 304}
    return Reply(response.status_code, headers, response.content, framed=framed or _framed(headers))


def _framed(headers: Headers) -> bool:
    """Whether the end of the body was marked, so that a cut one would have been noticed (RFC 9112 section 6.3)."""
    for name, value in headers:  # noqa: SIM110 (a generator would be most of it)
        if name == "content-length" or (name == "transfer-encoding" and "chunked" in value.lower()):
            return True
    return False
