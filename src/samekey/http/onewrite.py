"""An action's request leaves in one write: its head waits for its body.

httpcore writes the head, then the body: two packets, and for an event loop two turns. So the connections of the pools that
we build hold the first bytes of such a request back until its next ones are there. Both are in memory, and nothing is
awaited in between, so that the last look at the clock is still the last thing before the first byte leaves. Whatever else
goes over these connections is written as it comes.

For threads a second write costs next to nothing, and lets the server wake up while it is made; there it stays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class _Piece:
    """The bytes of one request that wait for its next ones; None before its first."""

    def __init__(self) -> None:
        self.head: bytes | None = None


_piece: ContextVar[_Piece | None] = ContextVar("samekey_one_write", default=None)


@contextmanager
def one_write() -> Iterator[None]:
    """The one request that is sent in here has its whole body in memory."""
    token = _piece.set(_Piece())
    try:
        yield
    finally:
        _piece.reset(token)


def install(transport: Any) -> None:
    """Has a transport's future connections do it; one that is not built as we know it stays as it is."""
    pool: Any = getattr(transport, "_pool", None)
    if hasattr(pool, "_network_backend"):
        # httpcore has an option for it, which httpx does not hand on.
        pool._network_backend = _Backend(pool._network_backend)  # noqa: SLF001 (there is no public way to it)


class _Backend:
    """Opens connections as the one below does."""

    def __init__(self, below: Any) -> None:
        self._below = below

    async def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
        return _Stream(await self._below.connect_tcp(*arguments, **options))

    async def connect_unix_socket(self, *arguments: Any, **options: Any) -> Any:
        return _Stream(await self._below.connect_unix_socket(*arguments, **options))

    async def sleep(self, seconds: float) -> None:
        await self._below.sleep(seconds)


class _Stream:
    """A connection."""

    def __init__(self, below: Any) -> None:
        self._below = below

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        piece = _piece.get()
        if piece is not None:
            if piece.head is None:
                piece.head = buffer
                return
            buffer, piece.head = piece.head + buffer, b""
        await self._below.write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> Awaitable[bytes]:
        piece = _piece.get()
        waits = piece is not None and piece.head
        read: Awaitable[bytes] = (self._read_after_all if waits else self._below.read)(max_bytes, timeout)
        return read

    async def _read_after_all(self, max_bytes: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - as above
        """For requests without a last write; httpcore makes one for each, if need be an empty one."""
        await self.write(b"", timeout)
        data: bytes = await self._below.read(max_bytes, timeout)
        return data

    async def aclose(self) -> None:
        await self._below.aclose()

    async def start_tls(self, *arguments: Any, **options: Any) -> Any:
        return _Stream(await self._below.start_tls(*arguments, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._below.get_extra_info(info)
