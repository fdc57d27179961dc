"""TLS before a server that speaks none: the wheels' servers are built without it, their clients are not."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from contextlib import closing, suppress
from types import TracebackType
from typing import Self

_ASKS_FOR_TLS = (80877103).to_bytes(4, "big")
"""PostgreSQL's SSLRequest; its other request of this length asks for GSSAPI, and is answered with no."""


class TlsRelay:
    """Takes TLS connections and forwards what is in them. A thread for each, and none is left at the end.

    Args:
        port: the server's.
        context: with the certificate to show.
        on_request: whether clients first ask for TLS, as those of PostgreSQL do.
    """

    def __init__(self, port: int, context: ssl.SSLContext, *, on_request: bool) -> None:
        self._server_port = port
        self._context = context
        self._on_request = on_request
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept)
        self._open: dict[threading.Thread, socket.socket] = {}
        self.port: int = self._listening.getsockname()[1]
        self.forwarded = 0
        """Bytes that came out of TLS."""

    def after_all_have_left(self) -> int:
        """What `forwarded` is once the clients are through that have closed their connections: what they said last may come late."""
        for thread in list(self._open):
            thread.join()
        return self.forwarded

    def _accept(self) -> None:
        with self._listening, suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                thread = threading.Thread(target=self._relay, args=(client,))
                self._open[thread] = client
                thread.start()

    def _relay(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            if self._on_request:
                while (asked := client.recv(8, socket.MSG_WAITALL))[4:] != _ASKS_FOR_TLS:
                    if not asked:
                        return
                    client.sendall(b"N")
                client.sendall(b"S")
            # A copy: whoever ends this from outside shuts the original down, which `wrap_socket` would take away.
            with (
                self._context.wrap_socket(client.dup(), server_side=True) as inside,
                socket.create_connection(("127.0.0.1", self._server_port)) as server,
            ):
                self._forward(inside, server)

    def _forward(self, client: ssl.SSLSocket, server: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [])
            for source, target in ((client, server), (server, client)):
                if source not in ready:
                    continue
                data = source.recv(65536)
                while source is client and client.pending():
                    data += client.recv(65536)
                if not data:
                    return
                self.forwarded += len(data) if source is client else 0
                target.sendall(data)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        for thread, client in self._open.items():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            thread.join()
