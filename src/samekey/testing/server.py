"""`FlakyServer`: the model API behind a real socket."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING, Self, Unpack

from samekey.testing._connection import Connection
from samekey.testing._values import NOT_SENT
from samekey.testing.model import ModelAPI

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from samekey.testing._rules import Behaviour
    from samekey.testing.faults import Fault

_HOST = "127.0.0.1"
_BACKLOG = 512
_JOIN_SECONDS = 10.0


class FlakyServer(ModelAPI):
    """A loopback HTTP/1.1 server that counts effects and fails on demand.

    ```python
    with FlakyServer() as server:
        server.script(Fault.COMMIT_THEN_DROP)
        ...                                # a client that retries, with one key, against server.url
        assert len(server.effects) == 1
    ```

    Each connection has a thread; a client that vanishes, by SIGKILL too, does no harm. What a
    request does is said in `ModelAPI`, which also has the other options: `keys`, `window`,
    `latency` and so on.

    Args:
        port: 0 picks a free one.
        ssl_context: a server context with its certificate loaded; the server then speaks TLS.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        **behaviour: Unpack[Behaviour],
    ) -> None:
        super().__init__(**behaviour)
        self._port = port
        self._ssl_context = ssl_context
        self._state_lock = threading.Lock()
        self._listener: _Listener | None = None
        self._connections: dict[Connection, threading.Thread] = {}

    @property
    def port(self) -> int:
        """The port; the same again after a restart. 0 before the first start, unless given."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{_HOST}:{self._port}"

    def start(self) -> Self:
        """Listen; also again after `close`, on the same port, with ledger and keys as they were.

        Raises:
            RuntimeError: it is running.
            OSError: the port is taken.
        """
        with self._state_lock:
            if self._listener is not None:
                msg = f"the server at {self.url} is running already"
                raise RuntimeError(msg)
            listener = _Listener(self._port, self._adopt)
            self._listener = listener
        self._port = listener.port
        self.resume()
        listener.start()
        return self

    def close(self) -> None:
        """Stop as a server that dies: connections end, held and slow requests have no effect.

        Until the next `start` connections are refused. Closing twice is fine.

        Raises:
            RuntimeError: a request is still being served, probably in an `on_request` that blocks.
        """
        with self._state_lock:
            listener, self._listener = self._listener, None
        if listener is None:
            return
        self.abort()
        listener.stop()
        with self._state_lock:
            connections = dict(self._connections)
        for connection in connections:
            connection.shut_down()
        self._join(list(connections.values()))

    def drop_idle(self) -> int:
        """Close the connections on which no request is under way; return how many those were.

        To a client this is a keep-alive connection that went stale.
        """
        with self._state_lock:
            idle = [connection for connection in self._connections if connection.idle]
        for connection in idle:
            connection.shut_down()
        return len(idle)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "stopped" if self._listener is None else "running"
        return f"<FlakyServer {self.url} {state}, {len(self.effects)} effects>"

    def _check_fault(self, fault: Fault) -> None:
        if fault.wire in NOT_SENT:
            msg = f"{fault} needs FaultTransport; to refuse connections, close() the server"
            raise ValueError(msg)

    def _adopt(self, sock: socket.socket) -> None:
        """Serve an accepted connection in a thread of its own."""
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._ssl_context is not None:
                sock = self._ssl_context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:  # the client has left already
            sock.close()
            return
        connection = Connection(sock, self)
        thread = threading.Thread(target=self._run, args=(connection,), name="FlakyServer connection", daemon=True)
        with self._state_lock:
            self._connections[connection] = thread
        thread.start()

    def _run(self, connection: Connection) -> None:
        try:
            connection.run()
        finally:
            with self._state_lock:
                del self._connections[connection]

    @staticmethod
    def _join(threads: list[threading.Thread]) -> None:
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)
        busy = sum(thread.is_alive() for thread in threads if thread is not threading.current_thread())
        if busy:
            msg = f"{busy} requests were still being served {_JOIN_SECONDS:g} s after close()"
            raise RuntimeError(msg)


class _Listener:
    """Hands accepted connections to `adopt`, in a thread."""

    def __init__(self, port: int, adopt: Callable[[socket.socket], None]) -> None:
        self._adopt = adopt
        self._socket = socket.create_server((_HOST, port), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="FlakyServer accept", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._wake_sender.close()
        self._thread.join()

    def _run(self) -> None:
        with self._socket, self._wake_receiver, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            while all(key.fileobj is not self._wake_receiver for key, _ in selector.select()):
                with contextlib.suppress(OSError):  # the client has left before accept()
                    accepted, _ = self._socket.accept()
                    accepted.setblocking(True)
                    self._adopt(accepted)
