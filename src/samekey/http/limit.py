"""Answers that are longer than anybody should hold in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary

MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""Largest answer to a write that is read into memory, in bytes: as they come over the wire, and decoded."""

_most: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class AnswerTooLongError(Exception):
    """An answer was not read to its end. Never leaves this package: the attempt's outcome is unknown."""


def limit_answers(module: Any, client: Any, most: int) -> None:
    """Ends an answer of which more than `most` bytes came over the wire. For a synchronous client."""
    _most[client] = most

    def limit(response: Any) -> None:
        response.stream = _limited(module)(response.stream, most)

    hooks: dict[str, list[Callable[..., Any]]] = client.event_hooks
    client.event_hooks = {**hooks, "response": [*hooks["response"], limit]}


def most_of(client: Any) -> int:
    """How many bytes of an answer a client takes."""
    return _most.get(client, MAX_RESPONSE_BYTES)


class _Limited:
    """Mixed into the library's own kind of stream, which it asks for."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._most = most

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._stream:
            size += len(chunk)
            if size > self._most:
                raise AnswerTooLongError
            yield chunk

    def close(self) -> None:
        self._stream.close()


@cache
def _limited(module: Any) -> type[Any]:
    return type("Limited", (_Limited, module.SyncByteStream), {})
