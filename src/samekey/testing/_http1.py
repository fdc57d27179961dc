"""HTTP/1.1 as a server sees it: read one request from a socket, write one reply to it."""

from __future__ import annotations

import dataclasses
import http
from typing import TYPE_CHECKING

from samekey.testing._values import Headers, Reply, find_header

if TYPE_CHECKING:
    import socket

_CHUNK_BYTES = 65_536
_MAX_HEAD_BYTES = 65_536
BODILESS = frozenset({204, 304})
REASONS = {status.value: status.phrase for status in http.HTTPStatus}
GARBAGE = b"\x16\x03\x01 this is not HTTP \xff\xfe\r\n\r\n"


class BadRequestError(Exception):
    """The client sent what we do not take; `status` says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ClientLeftError(Exception):
    """The client closed the connection in the middle of a request."""


@dataclasses.dataclass(frozen=True, slots=True)
class ParsedRequest:
    """One complete request; `keep_alive`: the client expects to send more."""

    method: str
    target: str
    headers: Headers
    body: bytes
    keep_alive: bool


class RequestReader:
    """Reads requests from one connection, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()

    def wait(self) -> bool:
        """Wait for the first byte of the next request; False if the client left instead."""
        if self._buffer:
            return True
        try:
            self._fill()
        except ClientLeftError:
            return False
        return True

    def read(self) -> ParsedRequest:
        """Read one request, with its whole body.

        Raises:
            BadRequestError: it is not HTTP/1.x, or too much.
            ClientLeftError: it ended in the middle.
            OSError: the connection failed.
        """
        method, target, version, headers = _parse_head(self._read_head())
        connection = (find_header(headers, "Connection") or "").lower()
        keep_alive = connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive")
        if (find_header(headers, "Expect") or "").lower() == "100-continue":
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return ParsedRequest(method, target, headers, self._read_body(headers), keep_alive)

    def _read_head(self) -> bytes:
        head = self._read_until(b"\r\n\r\n").lstrip(b"\r\n")
        return head or self._read_until(b"\r\n\r\n")

    def _read_body(self, headers: Headers) -> bytes:
        coding = find_header(headers, "Transfer-Encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise BadRequestError(501, f"transfer coding {coding!r} is not supported")
            return self._read_chunks()
        length = find_header(headers, "Content-Length") or "0"
        if not (length.isascii() and length.isdigit()):
            raise BadRequestError(400, f"Content-Length is {length!r}")
        return self._read_exactly(int(length))

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := self._read_chunk_size():
            body += self._read_exactly(size)
            if self._read_exactly(2) != b"\r\n":
                raise BadRequestError(400, "a chunk is longer than its size says")
        while self._read_until(b"\r\n"):
            pass
        return bytes(body)

    def _read_chunk_size(self) -> int:
        text = self._read_until(b"\r\n").partition(b";")[0].strip()
        try:
            size = int(text, 16)
        except ValueError:
            size = -1
        if size < 0:
            raise BadRequestError(400, f"chunk size is {text!r}")
        return size

    def _read_until(self, end: bytes) -> bytes:
        start = 0
        while (index := self._buffer.find(end, start)) < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise BadRequestError(431, f"no end of the head within {_MAX_HEAD_BYTES} bytes")
            start = max(0, len(self._buffer) - len(end) + 1)
            self._fill()
        found = bytes(self._buffer[:index])
        del self._buffer[: index + len(end)]
        return found

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        found = bytes(self._buffer[:size])
        del self._buffer[:size]
        return found

    def _fill(self) -> None:
        data = self._sock.recv(_CHUNK_BYTES)
        if not data:
            raise ClientLeftError
        self._buffer += data


def declared_length(reply: Reply, sent: int | None) -> int:
    """Return the Content-Length of a reply; it is a lie where not all of it is `sent`."""
    return len(reply.body) if sent is None else max(len(reply.body), sent + 1)


def encode(reply: Reply, *, keep_alive: bool, head_only: bool = False, sent: int | None = None) -> bytes:
    """Return the bytes of a reply.

    Args:
        reply: what to say.
        keep_alive: False adds `Connection: close`.
        head_only: leave the body out (the answer to HEAD).
        sent: leave out all but so many bytes of the body; its declared length stays, and is at
            least one more than what is sent.
    """
    lines = [f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, '')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    bodiless = reply.status in BODILESS
    if not bodiless:
        lines.append(f"Content-Length: {declared_length(reply, sent)}")
    if not keep_alive:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head if head_only or bodiless else head + reply.body[:sent]


def _parse_head(head: bytes) -> tuple[str, str, str, Headers]:
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequestError(400, f"request line is {first[:200]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadRequestError(400, f"header line is {line[:200]!r}")
        headers.append((name, value.strip(" \t")))
    return parts[0], parts[1], parts[2], tuple(headers)
