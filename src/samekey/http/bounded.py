"""Answers are read whole, but not whatever they unpack to: ten megabytes of gzip can be ten gigabytes.

What is too long was not read to its end, so the attempt's outcome is unknown: the effect may well have happened, which the
status that came tells, and a resend under the key, a look-up or a person finds out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from samekey.http.limit import AnswerTooLongError, most_of

if TYPE_CHECKING:
    from samekey.http.library import Library

PIECE_BYTES: Final = 4096
"""Packed bytes that are unpacked at once. The library unpacks what it is given in one go, and a piece of the worst
formats can become ten thousand times as long."""


def send(library: Library[Any, Any], client: Any, request: Any, *, auth: Any) -> Any:
    """Sends a request and reads its answer.

    Raises:
        AnswerTooLongError: it has more bytes than the client takes, decoded.
        Exception: whatever the library raises.
    """
    response = client.send(request, auth=auth, follow_redirects=False, stream=True)
    try:
        _read(library.module, response, most_of(client))
    except BaseException:
        response.close()
        raise
    return response


def _read(module: Any, response: Any, most: int) -> None:
    if hasattr(response, "_content"):  # a double, which has it already
        return
    if "content-encoding" in response.headers:
        response.stream = _pieces(module)(response.stream)
    parts: list[bytes] = []
    left = most
    for part in response.iter_bytes():
        left -= len(part)
        if left < 0:
            raise AnswerTooLongError
        parts.append(part)
    response._content = b"".join(parts)  # noqa: SLF001 (what `read()` leaves there)


class _Pieces:
    """Mixed into the library's own kind of stream, which it asks for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            for start in range(0, len(chunk), PIECE_BYTES):
                yield chunk[start : start + PIECE_BYTES]

    def close(self) -> None:
        self._stream.close()


@cache
def _pieces(module: Any) -> type[Any]:
    return type("Pieces", (_Pieces, module.SyncByteStream), {})
