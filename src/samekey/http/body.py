"""The body of a request, whole and in memory, so that the same bytes can be sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from samekey.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from samekey.http.library import Library

MAX_FROZEN_BYTES: Final = 1024 * 1024
"""What is kept of a body while its action is unsettled (design, section 4)."""

# What httpx raises on values that it did not expect. Not OSError: a file that cannot be read is no wrong call.
UNBUILDABLE: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError
)  # fmt: skip

_UNFREEZABLE = (
    'cannot be kept for a rerun; build the client with freeze="nothing", and give fingerprint= text that is the same '
    "whenever the body is the same."
)


def read_body(library: Library[Any, Any], request: Any, options: Mapping[str, Any], freeze: str) -> bytes | None:
    """The exact bytes of the body, now held by the request; None for a stream that a fingerprint stands for.

    Raises:
        UsageError: the body cannot be frozen, or cannot be read.
    """
    limit = MAX_FROZEN_BYTES if freeze == "request" else None
    fingerprinted = options.get("fingerprint") is not None
    content = options.get("content")
    if content is not None and not isinstance(content, (str, bytes, bytearray, memoryview)):
        if limit is not None:
            raise UsageError(f"the body is a stream, which {_UNFREEZABLE}")
        if not fingerprinted:
            raise UsageError("the body is a stream, which can be read once; give fingerprint= text that stands for it.")
        return None
    if options.get("files"):
        # As large as a disk, perhaps. With a fingerprint it is sent from where it is.
        if _announced(request) > MAX_FROZEN_BYTES and limit is None and fingerprinted:
            return None
        _load_parts(library, request, limit)
    body = bytes(request.content)
    if limit is not None and len(body) > limit:
        raise UsageError(_too_large(len(body)))
    _frame(request, body)
    return body


def hold_body(library: Library[Any, Any], request: Any, freeze: str) -> bytes:
    """The exact bytes of a request that somebody else has built, now held by it.

    Raises:
        UsageError: the body is larger than what is frozen, or is an asynchronous stream.
    """
    limit = _limit_for(request, freeze)
    if not hasattr(request.stream, "__iter__"):
        raise UsageError("the body is an asynchronous stream, which a synchronous transport cannot read.")
    return _held(library, request, _joined(request.stream, limit))


async def hold_body_async(library: Library[Any, Any], request: Any, freeze: str) -> bytes:
    """As `hold_body`, for a request of an asynchronous client."""
    limit = _limit_for(request, freeze)
    if not hasattr(request.stream, "__aiter__"):
        raise UsageError("the body is a synchronous stream, which an asynchronous transport cannot read.")
    joint = _Joint(limit)
    async for chunk in request.stream:
        joint.add(chunk)
    return _held(library, request, joint.whole())


def _limit_for(request: Any, freeze: str) -> int | None:
    limit = MAX_FROZEN_BYTES if freeze == "request" else None
    if limit is not None and _announced(request) > limit:
        raise UsageError(_too_large(_announced(request)))
    return limit


def _held(library: Library[Any, Any], request: Any, body: bytes) -> bytes:
    request.stream = library.module.ByteStream(body)
    request.read()
    _frame(request, body)
    return body


def _announced(request: Any) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _load_parts(library: Library[Any, Any], request: Any, limit: int | None) -> None:
    """Render a multipart body into memory, unless it is announced or turns out to be too large."""
    if limit is not None and _announced(request) > limit:
        raise UsageError(_too_large(_announced(request)))
    try:
        body = _joined(request.stream, limit)
    except UsageError:
        raise
    except UNBUILDABLE as error:
        raise UsageError(f"files= cannot be read ({type(error).__name__}).") from None
    request.stream = library.module.ByteStream(body)
    request.read()


def _joined(stream: Iterable[bytes], limit: int | None) -> bytes:
    joint = _Joint(limit)
    for chunk in stream:
        joint.add(chunk)
    return joint.whole()


class _Joint:
    """The parts of a body, up to a limit."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0

    def add(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._limit is not None and self._size > self._limit:
            raise UsageError(_too_large(self._size))
        self._chunks.append(chunk)

    def whole(self) -> bytes:
        return b"".join(self._chunks)


def _too_large(size: int) -> str:
    return f"the body has {size:,} bytes, and more than {MAX_FROZEN_BYTES:,} {_UNFREEZABLE}"


def _frame(request: Any, body: bytes) -> None:
    """Give the body a length, whatever it was built from, as a resend will have it."""
    if "transfer-encoding" in request.headers:
        del request.headers["transfer-encoding"]
        request.headers["content-length"] = str(len(body))
    elif request.headers.get("content-length", "0") != str(len(body)):
        raise UsageError("the Content-Length header is not the length of the body; leave it out.")
