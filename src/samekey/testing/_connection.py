"""One connection of a `FlakyServer`, in a thread of its own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING

from samekey.testing._holds import AbortedError
from samekey.testing._http1 import (
    GARBAGE,
    BadRequestError,
    ClientLeftError,
    ParsedRequest,
    RequestReader,
    encode,
)
from samekey.testing._values import Delivery, Reply, Wire

if TYPE_CHECKING:
    from samekey.testing.model import ModelAPI

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST


class Connection:
    """Serves the requests of one client until either side has enough.

    Args:
        sock: an accepted socket; with TLS, before its handshake. It is closed by `run`.
        api: what answers.
    """

    def __init__(self, sock: socket.socket, api: ModelAPI) -> None:
        self._sock = sock
        self._api = api
        self._reader = RequestReader(sock)
        self.idle = False
        """No request is under way."""

    def run(self) -> None:
        """Serve until the connection ends. A client that vanished is no error."""
        try:
            while (request := self._receive()) is not None:
                line = (request.method, request.target, request.headers, request.body)
                delivery = self._api.handle(*line, self._api.next_fault(*line))
                if not self._deliver(request, delivery):
                    return
        except AbortedError:
            pass  # the server is being closed: the client learns nothing more
        finally:
            self._sock.close()

    def shut_down(self) -> None:
        """End the connection from another thread; what is under way is cut off."""
        with contextlib.suppress(OSError):
            # Of the plain class: SSLSocket.shutdown() drops the TLS state under the other thread.
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _receive(self) -> ParsedRequest | None:
        """Return the next request, or None if there will be none."""
        try:
            self.idle = True
            if isinstance(self._sock, ssl.SSLSocket):
                self._sock.do_handshake()  # a no-op once it was done
            more = self._reader.wait()
            self.idle = False
            return self._reader.read() if more else None
        except BadRequestError as error:
            self._refuse(error)
        except (OSError, ClientLeftError):
            pass  # nobody is there to be told
        return None

    def _refuse(self, error: BadRequestError) -> None:
        reply = Reply(error.status, str(error).encode(), (("Content-Type", "text/plain"),))
        with contextlib.suppress(OSError):
            self._sock.sendall(encode(reply, keep_alive=False))

    def _deliver(self, request: ParsedRequest, delivery: Delivery) -> bool:
        """Do what the delivery says; return whether the connection can go on."""
        try:
            return self._perform(request, delivery)
        except OSError:
            return False  # the client has left: its effect stays, its answer is lost

    def _perform(self, request: ParsedRequest, delivery: Delivery) -> bool:
        if delivery.wire is Wire.RESET:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        elif delivery.wire is Wire.GARBAGE:
            self._sock.sendall(GARBAGE)
        elif delivery.wire is Wire.STALL:
            while self._sock.recv(4096):
                pass
        elif delivery.wire in {Wire.ANSWER, Wire.TRUNCATE} and delivery.reply is not None:
            keep_alive = request.keep_alive and delivery.wire is Wire.ANSWER
            head_only = request.method == "HEAD"
            data = encode(delivery.reply, keep_alive=request.keep_alive, head_only=head_only, sent=delivery.sent)
            self._sock.sendall(data)
            return keep_alive
        return False
