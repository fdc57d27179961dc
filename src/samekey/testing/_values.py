"""What the model API takes in and gives out: values, without I/O."""

from __future__ import annotations

import dataclasses
import enum
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITE_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Headers = tuple[tuple[str, str], ...]


class Commit(enum.Enum):
    """When the effect of a request happens."""

    NOW = "now"
    NEVER = "never"
    LATE = "late"
    """Not before `ModelAPI.run_late` is called: a request that was on its way for long."""


class Wire(enum.Enum):
    """What happens on the connection once the request was handled."""

    ANSWER = "answer"
    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"
    TRUNCATE = "truncate"
    GARBAGE = "garbage"
    REFUSE = "refuse"
    """The connection is refused: no byte of the request leaves the client."""
    TIME_OUT_CONNECT = "time out connect"


NOT_SENT = frozenset({Wire.REFUSE, Wire.TIME_OUT_CONNECT})


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the model API, before it is put on a wire.

    Attributes:
        status: the HTTP status.
        body: the exact bytes of the body.
        headers: name and value pairs, without Content-Length and Date.
    """

    status: int
    body: bytes = b""
    headers: Headers = ()

    @classmethod
    def json(cls, status: int, value: Mapping[str, Any], headers: Headers = ()) -> Reply:
        """Return a reply with `value` as its JSON body."""
        body = json.dumps(value).encode()
        return cls(status, body, (("Content-Type", "application/json"), *headers))

    def with_headers(self, *headers: tuple[str, str]) -> Reply:
        """Return the same reply with more headers."""
        return dataclasses.replace(self, headers=(*self.headers, *headers))

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, whatever its case, or None."""
        return find_header(self.headers, name)


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """What an adapter (server or transport) has to do with one request.

    Attributes:
        wire: what happens on the connection.
        reply: the answer; None where `wire` needs none.
        sent: how many bytes of the body leave; the declared length stays that of the whole.
    """

    wire: Wire
    reply: Reply | None = None
    sent: int | None = None


def find_header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header `name`, whatever its case, or None."""
    wanted = name.lower()
    for known, value in headers:
        if known.lower() == wanted:
            return value
    return None


def path_of(target: str) -> str:
    """Return the path of a request target, without query; absolute forms are understood."""
    path = target.partition("?")[0]
    if path.startswith("/") or "://" not in path:
        return path
    return "/" + path.partition("://")[2].partition("/")[2]
