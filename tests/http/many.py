"""A server that many requests can wait for at once, and clients with pools."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from samekey.http.guard import build_client
from samekey.http.library import Library, library_named
from tests.http.conftest import TRUST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER = b"HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Server:
    """Answers nobody until `together` requests wait for an answer.

    Attributes:
        opened: connections so far.
        closed: those of them that the client has closed.
        most: the most that waited at once.
    """

    def __init__(self, together: int, answer: bytes) -> None:
        self.url = ""
        self.answer = answer
        self.opened = self.closed = self.most = 0
        self._waiting = 0
        self._together = together
        self._full = anyio.Event()

    async def handle(self, stream: Any) -> None:
        self.opened += 1
        async with stream:
            try:
                while await stream.receive():
                    self._waiting += 1
                    self.most = max(self.most, self._waiting)
                    if self._waiting == self._together:
                        self._full.set()
                    await self._full.wait()
                    self._waiting -= 1
                    await stream.send(self.answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                self.closed += 1

    def answer_now(self) -> None:
        """From now on nobody waits for others."""
        self._full.set()

    async def has_closed(self, number: int) -> bool:
        """Returns when the client has closed so many; the test's own time-out ends it."""
        while self.closed < number:
            await anyio.lowlevel.checkpoint()
        return True


@asynccontextmanager
async def serving(together: int = 1, answer: bytes = ANSWER) -> AsyncIterator[Server]:
    server = Server(together, answer)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        server.url = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"  # noqa: S610 (anyio, not Django)
        group.start_soon(listener.serve, server.handle)
        yield server
        group.cancel_scope.cancel()


@pytest.fixture
def asynchronous(module: Any) -> Library[Any, Any]:
    return library_named(module.__name__, asynchronous=True)


def built(library: Library[Any, Any], url: str = "", **options: Any) -> Any:
    return build_client(library, url, options={"trust_env": False, "verify": TRUST, **options})


async def many(client: Any, number: int, url: str = "/orders") -> list[int]:
    told: list[int] = []

    async def one() -> None:
        told.append((await client.post(url)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(number):
            group.start_soon(one)
    return told
