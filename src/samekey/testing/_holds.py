"""Holding a request in mid-flight until a test lets it go on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from samekey.testing._choice import Match
    from samekey.testing.ledger import Seen

Point = Literal["before_effect", "before_reply"]


class AbortedError(Exception):
    """The server was closed while this request was under way."""


class Hold:
    """Keeps requests at one point of their way; made by `ModelAPI.hold`.

    A context manager: leaving it lets everything go on.
    """

    def __init__(
        self,
        where: Point,
        match: Match,
        limit: int | None,
        closing: threading.Event,
        on_exit: Callable[[Hold], None],
    ) -> None:
        self._where = where
        self._match = match
        self._limit = limit
        self._closing = closing
        self._on_exit = on_exit
        self._condition = threading.Condition()
        self._arrived: list[Seen] = []
        self._released = False

    @property
    def arrived(self) -> list[Seen]:
        """The requests that were held so far, released ones too."""
        with self._condition:
            return list(self._arrived)

    def wait_for(self, count: int = 1, *, timeout: float = 10.0) -> list[Seen]:
        """Wait until `count` requests have arrived here.

        Args:
            count: how many requests, counted since the hold was made.
            timeout: seconds to wait.

        Returns:
            The requests that have arrived.

        Raises:
            TimeoutError: they did not arrive in time.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: len(self._arrived) >= count, timeout):
                msg = f"{len(self._arrived)} of {count} requests arrived at {self._where!r} within {timeout} s"
                raise TimeoutError(msg)
            return list(self._arrived)

    def release(self) -> None:
        """Let the held requests go on, and later ones pass."""
        with self._condition:
            self._released = True
            self._condition.notify_all()

    def park(self, where: Point, seen: Seen) -> None:
        """Keep the calling thread here if this hold is meant for it.

        Raises:
            AbortedError: the server was closed meanwhile.
        """
        with self._condition:
            if where != self._where or not self._match(seen.method, seen.path):
                return
            if self._released or len(self._arrived) == self._limit:
                return
            self._arrived.append(seen)
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._released or self._closing.is_set())
            if not self._released:
                raise AbortedError

    def wake(self) -> None:
        """Let the held requests see that the server is closing; they then end."""
        with self._condition:
            self._condition.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
        self._on_exit(self)
