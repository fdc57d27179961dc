"""A small HTTP server in a process of its own: it answers every POST with one JSON object and keeps nothing.

Blocking sockets and a thread per connection: with the few connections of a benchmark nothing in Python answers faster,
so that what is measured is the client.
"""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

ANSWER_BYTES = 1024
"""About the size of an API's answer to a create."""


def answer(number: int) -> bytes:
    """One whole answer."""
    body = json.dumps({"id": f"ord_{number:012}", "status": "created"}).encode()
    filler = json.dumps("x" * (ANSWER_BYTES - len(body) - len(', "note": ""'))).encode()
    body = body[:-1] + b', "note": ' + filler + b"}"
    head = f"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"request-id: req_0123456789abcdef\r\n\r\n" + body


def body_length(head: bytes) -> int:
    """How long the body is, by the head of the request."""
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def _serve(connection: socket.socket, numbers: Iterator[int]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    with connection:
        while True:
            head, found, rest = data.partition(b"\r\n\r\n")
            if found and len(rest) >= (length := body_length(head)):
                data = rest[length:]
                connection.sendall(answer(next(numbers)))
                continue
            try:
                received = connection.recv(65536)
            except ConnectionError:
                return
            if not received:
                return
            data += received


def _main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    numbers = count(1)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, numbers), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()  # ends with the process that started this one, however that one ends
    os._exit(0)


@contextmanager
def server() -> Iterator[str]:
    """Runs the server in a child process and gives its base URL."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.stdin.close()
            child.wait(10)


if __name__ == "__main__":
    _main()
