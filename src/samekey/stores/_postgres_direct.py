"""The shortest way of a statement to the server, for the two that every action makes.

It asks libpq itself, without a cursor, which takes a third of the time. For statements of which only the number of
rows is wanted, on sessions that are the server's own, for threads.
"""

import select
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

USES_BEFORE: Final = 2
"""How often a session is asked a statement before it prepares it: that is a round trip of its own."""


class Session(Connection[Any]):
    """A connection that knows what it has prepared."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._uses: dict[str, int] = {}
        self._names: dict[str, bytes] = {}
        self._events: select.poll | None = None

    def count(self, text: str, values: Sequence[Any]) -> int | None:
        """Runs a statement and returns how many rows it had; None, without asking it, while it is not worth it.

        Raises:
            psycopg.Error: as `execute` does.
        """
        name = self._names.get(text)
        if name is None:
            uses = self._uses[text] = self._uses.get(text, 0) + 1
            if uses <= USES_BEFORE:
                return None
            name = b"samekey_%d" % len(self._names)
            self._done(lambda: self.pgconn.send_prepare(name, text.encode()), ExecStatus.COMMAND_OK)
            self._names[text] = name
        wire = [None if value is None else _WIRE[type(value)](value) for value in values]
        formats = [Format.BINARY if type(value) is bytes else Format.TEXT for value in values]
        return self._done(lambda: self.pgconn.send_query_prepared(name, wire, formats), ExecStatus.TUPLES_OK)

    def _done(self, send: Callable[[], None], expected: ExecStatus) -> int:
        pgconn = self.pgconn
        try:
            send()
            self._wait()
            result = last = pgconn.get_result()
            while last is not None:  # of a connection that was cut the second one tells that it is gone
                self._wait()
                last = pgconn.get_result()
        except psycopg.Error:
            raise
        except BaseException:
            pgconn.finish()  # Ctrl-C: the answer is still to come, and what was asked may have happened
            raise
        if result is None or result.status != expected:
            if result is None:
                raise psycopg.OperationalError("the server gave no answer")
            raise error_from_result(result, self.info.encoding)
        return result.ntuples

    def _wait(self) -> None:
        pgconn = self.pgconn
        events = self._events
        if events is None:
            events = self._events = select.poll()
            events.register(pgconn.socket, select.POLLIN)
        if pgconn.flush():
            events.modify(pgconn.socket, select.POLLIN | select.POLLOUT)
            while pgconn.flush():
                events.poll()
                pgconn.consume_input()
            events.modify(pgconn.socket, select.POLLIN)
        while pgconn.is_busy():
            events.poll()  # which Ctrl-C ends
            pgconn.consume_input()


_WIRE: Final[dict[type, Callable[[Any], bytes]]] = {
    str: str.encode,
    bytes: bytes,
    bool: lambda value: b"t" if value else b"f",
    int: lambda value: b"%d" % value,
    float: lambda value: repr(value).encode(),
    datetime: lambda value: value.isoformat().encode(),
}
"""Values as text that the server reads, except bytes, which go as they are."""
