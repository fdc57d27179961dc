"""Small servers and proxies that do what they are told, on real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20.0
"""Seconds after which a test server gives up waiting; never reached when all is well."""


class Peer:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, server: Server, number: int) -> None:
        self.sock = sock
        self.server = server
        self.number = number
        self._rest = b""

    def read_head(self) -> bytes:
        """A request's head; b"" if the client closed without one."""
        return self._until(b"\r\n\r\n")

    def read_request(self) -> bytes:
        """A whole request, noted in `server.requests`; b"" if the client closed without one."""
        head = self.read_head()
        if not head:
            return b""
        body = b""
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = self._until(b"0\r\n\r\n")
        elif b"content-length: " in lower:
            length = int(lower.split(b"content-length: ")[1].split(b"\r\n")[0])
            while len(body) < length and (chunk := self._more()):
                body += chunk
        self.server.requests.append(head + body)
        return head + body

    def _until(self, end: bytes) -> bytes:
        data = b""
        while end not in data and (chunk := self._more()):
            data += chunk
        if end not in data:
            return b""
        head, _, self._rest = data.partition(end)
        return head + end

    def _more(self) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def answer(
        self,
        body: bytes = b'{"id": 7}',
        status: str = "200 OK",
        headers: tuple[str, ...] = ("Content-Type: application/json",),
    ) -> None:
        lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_for_end(self) -> None:
        """Until the client is gone."""
        while self._more():
            pass


class Server:
    """Runs `handler(peer)` for each connection, in a thread, until the test is over."""

    def __init__(
        self, handler: Callable[[Peer], None], *, tls: ssl.SSLContext | None = None, backlog: int = 16
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Event()
        self._peers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_args: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._peers:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers.append(sock)
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._peers.append(sock)
            self._handler(Peer(sock, self, number))
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            self.closed.set()


def answering(peer: Peer) -> None:
    """A well-behaved server."""
    while peer.read_request():
        peer.answer()


@contextlib.contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections, held so that nobody else listens on it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
