"""Answers are read whole, but not whatever they unpack to: ten megabytes of gzip can be ten gigabytes.

What is too long was not read to its end, so the attempt's outcome is unknown: the effect may well have happened, which the
status that came tells, and a resend under the key, a look-up or a person finds out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from samekey.http.limit import AnswerTooLongError, most_of

if TYPE_CHECKING:
    from samekey.http.library import Library

PIECE_BYTES: Final = 4096
"""Packed bytes that are unpacked at once. The library unpacks what it is given in one go, and a piece of the worst
formats can become ten thousand times as long."""


def send(library: Library[Any, Any], client: Any, request: Any, *, auth: Any, alone: bool = False) -> Any:
    """Sends a request and reads its answer.

    Args:
        library: the client's library.
        client: the client that sends it.
        request: the native request.
        auth: as for `client.send`.
        alone: `Prepared.alone`: there is no authentication to go through, no hook to call and no redirect to follow, which
            is all that `client.send` has around the one statement that sends.

    Raises:
        AnswerTooLongError: it has more bytes than the client takes, decoded.
        Exception: whatever the library raises.
    """
    if alone and not client.is_closed:
        response = client._send_single_request(request)  # noqa: SLF001 (there is no public way to it)
    else:
        response = client.send(request, auth=auth, follow_redirects=False, stream=True)
    try:
        if alone:
            _come_back(library.module, client, request, response)
        _read(library.module, response, most_of(client))
    except BaseException:
        response.close()
        raise
    return response


async def send_async(library: Library[Any, Any], client: Any, request: Any, *, auth: Any, alone: bool = False) -> Any:
    """As `send`, for an asynchronous client."""
    if alone and not client.is_closed:
        response = await client._send_single_request(request)  # noqa: SLF001 (as above)
    else:
        response = await client.send(request, auth=auth, follow_redirects=False, stream=True)
    try:
        if alone:
            _come_back(library.module, client, request, response)
        await _read_async(library.module, response, most_of(client))
    except BaseException:
        await response.aclose()
        raise
    return response


def _come_back(module: Any, client: Any, request: Any, response: Any) -> None:
    """Leaves on a response what `client.send` would, unless its redirect goes nowhere: the answer is there all the same."""
    response.history = []
    if response.has_redirect_location:
        with suppress(module.RemoteProtocolError):
            response.next_request = client._build_redirect_request(request, response)  # noqa: SLF001 (as above)


def _read(module: Any, response: Any, most: int) -> None:
    if hasattr(response, "_content"):  # a double has it already
        return
    answer = _Answer(module, response, most, asynchronous=False)
    try:
        for part in response.stream if answer.plain else response.iter_bytes():
            answer.add(part)
        response.close()
    except module.RequestError as error:
        error.request = response.request
        raise
    answer.leave()


async def _read_async(module: Any, response: Any, most: int) -> None:
    if hasattr(response, "_content"):
        return
    answer = _Answer(module, response, most, asynchronous=True)
    try:
        async for part in response.stream if answer.plain else response.aiter_bytes():
            answer.add(part)
        await response.aclose()
    except module.RequestError as error:
        error.request = response.request
        raise
    answer.leave()


class _Answer:
    """What has been read so far.

    Attributes:
        plain: whether the bytes of the stream are those of the answer. The library's own way to read an answer takes
            them through a decoder and two cutters besides, which is a tenth of a whole POST.
    """

    def __init__(self, module: Any, response: Any, most: int, *, asynchronous: bool) -> None:
        self._module = module
        self._response = response
        self._left = most
        self._parts: list[bytes] = []
        self.plain = type(response) is module.Response and not response.is_stream_consumed and not response.is_closed
        if any(name.lower() == b"content-encoding" for name, _ in response.headers.raw):
            self.plain = False
            response.stream = _pieces(module, asynchronous=asynchronous)(response.stream)
        if self.plain:
            response.is_stream_consumed = True

    def add(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise AnswerTooLongError
        self._parts.append(part)

    def leave(self) -> None:
        """Puts it where the library's own `read()` would."""
        response = self._response
        content = response._content = b"".join(self._parts)  # noqa: SLF001 (there is no public way to it)
        if self.plain:
            response._num_bytes_downloaded = len(content)  # noqa: SLF001 (the same)
        if hasattr(response.stream, "_response"):
            # httpx's stream and response hold each other, and all that belongs to the attempt, until the next collection.
            response.stream = _nothing_more(self._module)


@cache
def _nothing_more(module: Any) -> Any:
    return module.ByteStream(b"")


class _Pieces:
    """Mixed into the library's own kind of stream, which it asks for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield from _cut(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            for piece in _cut(chunk):
                yield piece

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def elapsed(self) -> Any:
        """How long it took, which responses of httpx2 ask their stream for."""
        return self._stream.elapsed


def _cut(chunk: bytes) -> Iterator[bytes]:
    for start in range(0, len(chunk), PIECE_BYTES):
        yield chunk[start : start + PIECE_BYTES]


@cache
def _pieces(module: Any, *, asynchronous: bool) -> type[Any]:
    return type("Pieces", (_Pieces, module.AsyncByteStream if asynchronous else module.SyncByteStream), {})
