"""The usual action's request (`Prepared.alone`) leaves in one write: its head waits for its body.

httpcore writes the head, then the body: two packets, and for an event loop two turns. So the connections of the pools that
we build hold the head of such a request back until its body is there. Both are in memory, and nothing is awaited in
between, so that the last look at the clock is still the last thing before the first byte leaves. Whatever else goes over
these connections is written as it comes.

For threads a second write costs next to nothing, and lets the server wake up while it is made; there it stays.
"""

from __future__ import annotations

import select
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from samekey.http import listening

ALONE: Final = "samekey_alone"
"""The extension of a request whose body is in memory, and which goes out as it is and once (see `Prepared.alone`)."""

_poll: Final[Callable[[], Any] | None] = getattr(select, "poll", None)


class OneWrite:
    """What opens the connections of a transport that has one request at a time; it does so as the one below does."""

    def __init__(self, below: Any) -> None:
        self._below: Any = below
        self.holding: bool = False

    def next_is(self, extensions: Mapping[str, Any]) -> None:
        """The next request, which is about to be sent, has these."""
        self.holding = ALONE in extensions

    async def connect_tcp(self, *arguments: Any, **options: Any) -> Any:
        """A connection over TCP."""
        return self._opened(await self._below.connect_tcp(*arguments, **options))

    async def connect_unix_socket(self, *arguments: Any, **options: Any) -> Any:
        """A connection over a Unix socket."""
        return self._opened(await self._below.connect_unix_socket(*arguments, **options))

    def _opened(self, below: Any) -> Any:
        return _Stream(self, below, listening.go_on(below) or _never)

    async def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        await self._below.sleep(seconds)


def install(transport: Any) -> OneWrite:
    """Has a transport's future connections do it; one that is not built as we know it stays as it is."""
    pool: Any = getattr(transport, "_pool", None)
    made = OneWrite(getattr(pool, "_network_backend", None))
    if hasattr(pool, "_network_backend"):
        # httpcore has an option for it, which httpx does not hand on.
        pool._network_backend = made  # noqa: SLF001 (there is no public way to it)
    return made


def _never() -> bool:
    """What has come is not known here; the system knows."""
    return False


class _Stream:
    """A connection."""

    def __init__(self, opener: OneWrite, below: Any, has_come: Callable[[], bool]) -> None:
        self._opener = opener
        self._below = below
        self._has_come = has_come
        self._head = b""
        self._socket: Any = None
        self._poll: Any = None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's signature
        if self._opener.holding:
            self._opener.holding = False
            self._head = buffer
            return
        if self._head:
            buffer, self._head = self._head + buffer, b""
        await self._below.write(buffer, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> Awaitable[bytes]:
        read: Awaitable[bytes] = (self._read_after_all if self._head else self._below.read)(max_bytes, timeout)
        return read

    async def _read_after_all(self, max_bytes: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - as above
        """For requests without a last write; httpcore makes one for each, if need be an empty one."""
        await self.write(b"", timeout)
        data: bytes = await self._below.read(max_bytes, timeout)
        return data

    async def aclose(self) -> None:
        await self._below.aclose()

    async def start_tls(self, *arguments: Any, **options: Any) -> Any:
        below = await self._below.start_tls(*arguments, **options)
        return _Stream(self._opener, below, listening.behind_tls(below, self._has_come))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            if self._has_come():
                return True
            if self._opener.holding:
                return self._is_readable()
        return self._below.get_extra_info(info)

    def _is_readable(self) -> bool:
        """Whether the server has closed the connection, or sent what nobody has asked for.

        anyio asks the system for all addresses of a connection each time that it is asked for its socket.
        """
        if self._socket is None:
            self._socket = self._below.get_extra_info("socket")
        descriptor = -1 if self._socket is None else self._socket.fileno()
        if descriptor < 0 or _poll is None:
            return bool(self._below.get_extra_info("is_readable"))
        if self._poll is None:
            self._poll = _poll()
            self._poll.register(descriptor, select.POLLIN)
        return bool(self._poll.poll(0))
