"""Hears that a row has changed for which somebody waits: one connection per store, made when it is first wanted.

It is a help, never relied upon: who waits looks at the row anyway from time to time, only less often while this works.
"""

import asyncio
import os
import select
import threading
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, Connection, sql

FIRST_LOOK: Final = 0.01
SLOWEST_LOOK: Final = 0.25
HEARING_LOOK: Final = 2.0
"""Seconds between two looks at a row: the first, the longest without a listener, and the longest with one."""

_RETRY_SECONDS: Final = 1.0


class Listener:
    """For threads: a thread of its own, which ends with `close`.

    Args:
        conninfo: a direct connection; a pooler would lend the session to somebody else.
        channel: where changes are announced.
    """

    def __init__(self, conninfo: str, channel: str) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self.after_fork()

    def after_fork(self) -> None:
        """A child has no thread."""
        self._heard = threading.Condition()
        self._turn: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._stop: int | None = None
        self.hearing: bool = False

    def turn(self, identity: str, *, listen: bool) -> int:
        """How often a change of an identity was heard of, since somebody waits for it."""
        with self._heard:
            self._waiting[identity] = self._waiting.get(identity, 0) + 1
            if listen and self._thread is None:
                reader, self._stop = os.pipe()
                self._thread = threading.Thread(target=self._run, args=(reader,), name="samekey-listen", daemon=True)
                self._thread.start()
            return self._turn.get(identity, 0)

    def wait(self, identity: str, turn: int, seconds: float) -> int:
        """Returns when more was heard than `turn`, at the latest after `seconds`."""
        with self._heard:
            self._heard.wait_for(lambda: self._turn.get(identity, 0) != turn, seconds)
            return self._turn.get(identity, 0)

    def leave(self, identity: str) -> None:
        """Says that one less waits."""
        with self._heard:
            self._waiting[identity] -= 1
            if not self._waiting[identity]:
                del self._waiting[identity]
                self._turn.pop(identity, None)

    def tell(self, identity: str | None) -> None:
        """Wakes those who wait for an identity, or everybody."""
        with self._heard:
            for name in list(self._waiting) if identity is None else [identity] if identity in self._waiting else []:
                self._turn[name] = self._turn.get(name, 0) + 1
            self._heard.notify_all()

    def close(self) -> None:
        """Ends the thread and its connection."""
        with self._heard:
            thread, self._thread = self._thread, None
            stop, self._stop = self._stop, None
        if thread is not None and stop is not None:
            os.close(stop)
            thread.join()

    def _run(self, reader: int) -> None:
        try:
            while True:
                with suppress(psycopg.Error), psycopg.connect(self._conninfo, autocommit=True) as connection:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    self.hearing = True
                    self.tell(None)  # what changed before is not announced
                    if self._hear(connection, reader):
                        return
                self.hearing = False
                if select.select([reader], [], [], _RETRY_SECONDS)[0]:
                    return
        finally:
            self.hearing = False
            os.close(reader)

    def _hear(self, connection: "Connection[Any]", reader: int) -> bool:
        """Listens until the end, which is True, or until the connection breaks, which is an error."""
        while True:
            if reader in select.select([reader, connection.fileno()], [], [])[0]:
                return True
            for notice in connection.notifies(timeout=0):
                self.tell(notice.payload)


class AsyncListener:
    """For event loops: a task, which ends with `close`."""

    def __init__(self, conninfo: str, channel: str) -> None:
        self._conninfo = conninfo
        self._channel = channel
        self.after_fork()

    def after_fork(self) -> None:
        """A child has no task."""
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self.hearing: bool = False

    def join(self, identity: str, *, listen: bool) -> asyncio.Event:
        """What is set when a change of an identity is heard of; `listen` for changes by other processes."""
        event = asyncio.Event()
        self._waiting.setdefault(identity, set()).add(event)
        loop = asyncio.get_running_loop()
        if listen and (self._task is None or self._task.done() or self._task.get_loop() is not loop):
            self._task = loop.create_task(self._run())
        return event

    def leave(self, identity: str, event: asyncio.Event) -> None:
        """Says that one less waits."""
        self._waiting[identity].discard(event)
        if not self._waiting[identity]:
            del self._waiting[identity]

    def tell(self, identity: str | None) -> None:
        """Wakes those who wait for an identity, or everybody."""
        for name in list(self._waiting) if identity is None else [identity]:
            for event in self._waiting.get(name, ()):
                event.set()

    async def close(self) -> None:
        """Ends the task and its connection."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            while True:
                with suppress(psycopg.Error):
                    async with await AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                        await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                        self.hearing = True
                        self.tell(None)
                        async for notice in connection.notifies():
                            self.tell(notice.payload)
                self.hearing = False
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self.hearing = False
