"""Answers that are longer than anybody should hold in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""Largest answer to a write that is read into memory, in bytes: as they come over the wire, and decoded."""

_most: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class AnswerTooLongError(Exception):
    """An answer was not read to its end. Never leaves this package: the attempt's outcome is unknown."""


def limit_answers(module: Any, client: Any, most: int) -> None:
    """Ends an answer of which more than `most` bytes came over the wire."""
    _most[client] = most
    asynchronous = isinstance(client, module.AsyncClient)

    def limit(response: Any) -> None:
        response.stream = _limited(module, asynchronous=asynchronous)(response.stream, most)

    async def limit_async(response: Any) -> None:
        limit(response)

    hooks: dict[str, list[Callable[..., Any]]] = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks["response"], limit_async if asynchronous else limit]}


def most_of(client: Any) -> int:
    """How many bytes of an answer a client takes."""
    return _most.get(client, MAX_RESPONSE_BYTES)


class _Limited:
    """Mixed into the library's own kind of stream, which it asks for."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._left = most

    def _count(self, chunk: bytes) -> bytes:
        self._left -= len(chunk)
        if self._left < 0:
            raise AnswerTooLongError
        return chunk

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            yield self._count(chunk)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield self._count(chunk)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def elapsed(self) -> Any:
        """How long it took, which responses of httpx2 ask their stream for."""
        return self._stream.elapsed


@cache
def _limited(module: Any, *, asynchronous: bool) -> type[Any]:
    return type("Limited", (_Limited, module.AsyncByteStream if asynchronous else module.SyncByteStream), {})
