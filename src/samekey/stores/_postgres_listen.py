"""Hears that a row has changed for which somebody waits: one connection per store, made when it is first wanted.

It is a help, never relied upon: who waits looks at the row anyway from time to time, only less often while this works.
"""

import asyncio
import logging
import os
import selectors
import threading
from contextlib import suppress
from typing import Final

import psycopg
from psycopg import AsyncConnection, sql

FIRST_LOOK: Final = 0.01
SLOWEST_LOOK: Final = 0.25
HEARING_LOOK: Final = 2.0
"""Seconds between two looks at a row: the first, the longest without a listener, and the longest with one."""

_RETRY_SECONDS: Final = 1.0

# For descriptors of any number, which `select` is not, and without one of its own, unlike `epoll`.
_Selector: Final = getattr(selectors, "PollSelector", selectors.DefaultSelector)

_log = logging.getLogger("samekey")


def _tell_of(error: Exception) -> None:
    """An error that is not the server's. Nothing depends on the listener, so it is told and not raised."""
    _log.warning(
        "waiting for other processes is slower for now: listening to PostgreSQL failed with %s; it is tried again.",
        type(error).__name__,
        extra={"event": "listening_failed"},
    )


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
        for descriptor in getattr(self, "_pipe", None) or ():
            os.close(descriptor)
        self._heard = threading.Condition()
        self._turn: dict[str, int] = {}
        self._waiting: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._pipe: tuple[int, int] | None = None
        self.hearing: bool = False

    def turn(self, identity: str, *, listen: bool) -> int:
        """How often a change of an identity was heard of, since somebody waits for it."""
        with self._heard:
            self._waiting[identity] = self._waiting.get(identity, 0) + 1
            if listen and self._thread is None:
                try:
                    self._start()
                except (OSError, RuntimeError) as error:  # no descriptor or no thread is left
                    _tell_of(error)
            return self._turn.get(identity, 0)

    def _start(self) -> None:
        pipe = os.pipe()
        thread = threading.Thread(target=self._run, args=(pipe[0],), name="samekey-listen", daemon=True)
        try:
            thread.start()
        except BaseException:
            os.close(pipe[0])
            os.close(pipe[1])
            raise
        self._thread, self._pipe = thread, pipe

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
            pipe, self._pipe = self._pipe, None
        if thread is not None and pipe is not None:
            with suppress(BrokenPipeError):
                os.write(pipe[1], b"\0")  # a forked child may have this end too: closing it would not be seen
            os.close(pipe[1])
            if thread is not threading.current_thread():  # which may be just the one that collects the store
                thread.join()

    def _run(self, reader: int) -> None:
        told = False
        try:
            with _Selector() as events:
                events.register(reader, selectors.EVENT_READ)
                while True:
                    try:
                        if self._listen(events, reader):
                            return
                    except psycopg.Error:
                        pass
                    except Exception as error:  # noqa: BLE001 - it would end the thread, and nobody would learn of it
                        if not told:
                            _tell_of(error)
                        told = True
                    self.hearing = False
                    self.tell(None)  # who waits looks more often from now on
                    if events.select(_RETRY_SECONDS):
                        return
        finally:
            self.hearing = False
            os.close(reader)

    def _listen(self, events: selectors.BaseSelector, reader: int) -> bool:
        """Listens until the end, which is True, or until the connection breaks, which is an error."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            server = events.register(connection.fileno(), selectors.EVENT_READ)
            try:
                self.hearing = True
                self.tell(None)  # what changed before is not announced
                while True:
                    if any(key.fd == reader for key, _ in events.select()):
                        return True
                    for notice in connection.notifies(timeout=0):
                        self.tell(notice.payload)
            finally:
                events.unregister(server.fd)


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
        told = False
        while True:
            try:
                await self._listen()
            except psycopg.Error:
                pass
            except Exception as error:  # noqa: BLE001 - it would end the task, and nobody would learn of it
                if not told:
                    _tell_of(error)
                told = True
            finally:
                self.hearing = False
            self.tell(None)  # who waits looks more often from now on
            await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self) -> None:
        async with await AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
            self.hearing = True
            self.tell(None)
            async for notice in connection.notifies():
                self.tell(notice.payload)
