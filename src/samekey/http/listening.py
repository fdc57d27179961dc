"""Connections of asyncio that are listened to all the time.

anyio has the loop listen to a connection when somebody waits for data, and no more when they have come: for each answer two
calls of the system, before each of which Python lets go of the interpreter. While the store's thread waits for that, each
such call wakes it in vain, which takes many times as long as the call. So the connections that our pools open go on being
listened to. What comes although nobody has asked for it is in memory then, where it is looked for, and not in the system.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final

MOST_PIECES: Final = 4
"""So many pieces wait in memory before the connection is listened to no more, until somebody has read them; asyncio takes
up to 256 KiB at once."""


def go_on(stream: Any) -> Callable[[], bool] | None:
    """Has a connection go on being listened to.

    Args:
        stream: httpcore's.

    Returns:
        A function that tells whether something has come that nobody has read, its end included; None for a connection
        that is not built as we know it, and stays as it is.
    """
    below = getattr(stream, "_stream", None)
    transport: Any = getattr(below, "_transport", None)
    protocol: Any = getattr(below, "_protocol", None)
    # An anyio that does not know of a connection's end by itself would wait for it in vain.
    known = hasattr(protocol, "is_at_eof") and vars(protocol).keys() >= _KNOWN
    if type(transport).__name__ != "_SelectorSocketTransport" or not known:
        return None
    kind: Any = type(protocol)
    protocol.__class__ = _bounded(kind)
    protocol.transport = transport
    transport.pause_reading = _go_on
    # The loop holds on to what it listens to, also when a client is forgotten that nobody has closed.
    weakref.finalize(below, _abandon, asyncio.get_running_loop(), transport).atexit = False
    has_come: Callable[[], bool] = protocol.read_event.is_set
    return has_come


def behind_tls(stream: Any, has_come: Callable[[], bool]) -> Callable[[], bool]:
    """The same for what TLS is spoken over: a piece that has come may have more in it than was read.

    Args:
        stream: httpcore's, with TLS.
        has_come: whether something has come below it.
    """
    tls = getattr(stream, "_stream", None)
    packed, unpacked = getattr(tls, "_read_bio", None), getattr(tls, "_ssl_object", None)
    if packed is None or unpacked is None:
        return has_come
    return lambda: has_come() or packed.pending > 0 or unpacked.pending() > 0


def _abandon(loop: asyncio.AbstractEventLoop, transport: Any) -> None:
    with suppress(RuntimeError):  # the loop has ended, and listens to nothing any more
        loop.call_soon_threadsafe(transport.abort)


def _go_on() -> None:
    """In place of what makes a connection be listened to no more."""


_KNOWN: Final = frozenset({"read_queue", "read_event"})


@cache
def _bounded(kind: Any) -> type[Any]:
    """What anyio has for a connection, which keeps what has come until somebody reads it; it does so within bounds."""

    def data_received(self: Any, data: bytes) -> None:
        kind.data_received(self, data)
        if len(self.read_queue) >= MOST_PIECES:
            # The transport's own; whoever waits for more has it undone.
            type(self.transport).pause_reading(self.transport)

    return type(kind.__name__, (kind,), {"data_received": data_received})
