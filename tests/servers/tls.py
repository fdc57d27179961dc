"""TLS before a server that speaks none: the wheels' servers are built without it, their clients are not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from types import TracebackType
from typing import Self

_ASKS_FOR_TLS = (80877103).to_bytes(4, "big")
"""PostgreSQL's SSLRequest; its other request of this length asks for GSSAPI, and is answered with no."""


class TlsRelay:
    """Takes TLS connections and forwards what is in them.

    Args:
        port: the server's.
        context: with the certificate to show.
        on_request: whether clients first ask for TLS, as those of PostgreSQL do.
    """

    def __init__(self, port: int, context: ssl.SSLContext, *, on_request: bool) -> None:
        self._server_port = port
        self._context = context
        self._on_request = on_request
        self._started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self.port = 0
        self.forwarded = 0
        """Bytes that came out of TLS."""

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        context = None if self._on_request else self._context
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._ended.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await self._forward(reader, writer)
            finally:
                writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._on_request:
            while (await reader.readexactly(8))[4:] != _ASKS_FOR_TLS:
                writer.write(b"N")
            writer.write(b"S")
            await writer.start_tls(self._context)
        behind, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        answers = asyncio.create_task(self._pump(behind, writer))
        try:
            await self._pump(reader, to_server, count=True)
        finally:
            to_server.close()
            answers.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await answers

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, count: bool = False) -> None:
        while data := await reader.read(65536):
            self.forwarded += len(data) if count else 0
            writer.write(data)
            await writer.drain()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
