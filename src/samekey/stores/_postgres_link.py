"""Performs the generators of the PostgreSQL store over a pool of connections, once for threads and once for event loops.

What both decide alike is in `Trouble`: whether a statement whose connection broke is asked again, and what its loss means.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

import anyio
import psycopg
from psycopg import AsyncRawCursor, RawCursor
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from samekey.errors import StoreError
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._postgres_address import CONNECT_SECONDS, Address
from samekey.stores._postgres_direct import Session
from samekey.stores._postgres_errors import AGAIN, key_of_another, translated
from samekey.stores._postgres_verbs import Ask, KeyOfAnotherError, Verb

T = TypeVar("T")

MOST_UNDONE: Final = 20
"""How often a transaction is tried that the server undoes itself; each time another one has got through."""

ASK_AGAIN_SECONDS: Final = 1.0
"""After so long without a connection the pool is asked anew: by itself it would wait longer from try to try."""

# Pools that a child inherited. They are the parent's: never used, never closed, so never collected.
_inherited: Final[list[object]] = []


class Trouble:
    """What went wrong so far with one verb, and what to make of it.

    Args:
        address: where the store is.
        so: what a failure means for the caller.
    """

    def __init__(self, address: Address, so: str) -> None:
        self._address = address
        self._so = so
        self._broken = 0
        self._undone = 0
        self._uncertain = False
        self.pool_is_stale: bool = False
        """Whether the pool's other connections are to be looked at first: they broke at the same time."""

    def again(self, error: psycopg.Error, ask: Ask | None, *, closed: bool) -> bool:
        """Takes note of an error; says whether the whole verb is to be tried again.

        Args:
            error: what was raised.
            ask: the statement that it was; None where there was no connection yet.
            closed: whether the connection is gone.
        """
        self.pool_is_stale = closed
        if isinstance(error, AGAIN) and self._undone < MOST_UNDONE:
            self._undone += 1
            return True
        if ask is None or not closed:
            return False
        self._uncertain = self._uncertain or ask.commits
        self._broken += 1
        return self._broken == 1 and (ask.again or not ask.commits)

    def told(self, error: Exception) -> StoreError:
        """The exception for the caller."""
        if isinstance(error, psycopg.Error):
            address = self._address
            return translated(error, address.location, so=self._so, uncertain=self._uncertain, secret=address.password)
        return key_of_another(self._address.location, self._so)


class Failed(Exception):  # noqa: N818 - caught a few lines further on
    """A statement failed."""

    def __init__(self, error: psycopg.Error, ask: Ask, *, closed: bool) -> None:
        super().__init__()
        self.error = error
        self.ask = ask
        self.closed = closed


class Link:
    """For threads.

    Args:
        address: where the store is.
        size: most connections.
    """

    def __init__(self, address: Address, size: int) -> None:
        self.address = address
        self._size = size
        self._direct = False
        self.after_fork()

    def after_fork(self) -> None:
        """A child has no pool yet; its parent's threads and connections stay the parent's."""
        _inherited.append(getattr(self, "_pool", None))
        self._lock = threading.Lock()
        self._pool: ConnectionPool[Session] | None = None

    def first(self, make: Callable[[], Verb[T]]) -> T:
        """Performs a verb on a connection of its own, which tells why there is none, as a pool does not."""
        trouble = Trouble(self.address, NOTHING_SENT)
        try:
            with psycopg.connect(self.address.conninfo, **self.address.options(RawCursor)) as connection:
                answer = _perform(connection, make())
                self._direct = _is_direct(connection, connection.execute(_PID).fetchone())
                return answer
        except Failed as failed:
            raise trouble.told(failed.error) from failed.error
        except psycopg.Error as error:
            raise trouble.told(error) from error

    def run(self, make: Callable[[], Verb[T]], so: str = NOTHING_SENT) -> T:
        """Performs a verb on a connection of the pool; once more if that turns out to be broken."""
        trouble = Trouble(self.address, so)
        pool = self._pool or self._open()
        while True:
            try:
                if trouble.pool_is_stale:
                    pool.check()
                connection = self._borrow(pool)
            except psycopg.Error as error:
                raise trouble.told(error) from error
            try:
                return _perform(connection, make())
            except Failed as failed:
                if not trouble.again(failed.error, failed.ask, closed=failed.closed):
                    raise trouble.told(failed.error) from failed.error
            except KeyOfAnotherError as error:
                raise trouble.told(error) from None
            finally:
                _leave(connection)
                pool.putconn(connection)

    def _borrow(self, pool: ConnectionPool[Session]) -> Session:
        """A connection of the pool. If it has none for long, one of our own tells why; a pool does not."""
        until = monotonic() + CONNECT_SECONDS
        while True:
            try:
                return pool.getconn(ASK_AGAIN_SECONDS)
            except PoolTimeout:
                if monotonic() > until:
                    raise
                psycopg.connect(self.address.conninfo).close()

    def _open(self) -> ConnectionPool[Session]:
        with self._lock:
            if self._pool is None:
                pool = ConnectionPool(
                    self.address.conninfo,
                    connection_class=Session,
                    kwargs=self.address.options(RawCursor, direct=self._direct),
                    min_size=0,
                    max_size=self._size,
                    reconnect_timeout=ASK_AGAIN_SECONDS,
                    name="samekey",
                    open=False,
                )
                pool.open()
                self._pool = pool
            return self._pool

    def close(self) -> None:
        """Closes the pool; a later verb opens another."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _perform(connection: "psycopg.Connection[Any]", verb: Verb[T]) -> T:
    try:
        ask = next(verb)
        while True:
            try:
                rows = _rows(connection, ask)
            except psycopg.Error as error:
                _close_if_useless(connection, error)
                raise Failed(error, ask, closed=connection.closed) from error
            ask = verb.send(rows)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        verb.close()


def _rows(connection: "psycopg.Connection[Any]", ask: Ask) -> list[Any]:
    if ask.counted and connection.prepare_threshold is not None and isinstance(connection, Session):
        count = connection.count(ask.text, ask.values)
        if count is not None:
            return [()] * count
    cursor = connection.execute(ask.text, ask.values or None, binary=True)
    return cursor.fetchall() if cursor.description is not None else []


_PID: Final = "SELECT pg_backend_pid()"


def _is_direct(connection: Any, row: Any) -> bool:
    """Whether the session is the server's own: a pooler announces another process than the one that answers."""
    return row is not None and connection.info.backend_pid == row[0]


def _leave(connection: "psycopg.Connection[Any]") -> None:
    """Ends what a verb has left open, however it ended."""
    if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
        with suppress(psycopg.Error):
            connection.rollback()


def _close_if_useless(connection: Any, error: psycopg.Error) -> None:
    # After a failover: the next connection finds the primary, if the address names several hosts.
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        connection.pgconn.finish()


class AsyncLink:
    """For event loops: the same, waiting otherwise."""

    def __init__(self, address: Address, size: int) -> None:
        self.address = address
        self._size = size
        self._direct = False
        self.after_fork()

    def after_fork(self) -> None:
        """A child has no pool yet."""
        _inherited.append(getattr(self, "_pool", None))
        self._pool: AsyncConnectionPool[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def first(self, make: Callable[[], Verb[T]]) -> T:
        """See `Link.first`."""
        trouble = Trouble(self.address, NOTHING_SENT)
        try:
            options = self.address.options(AsyncRawCursor)
            async with await psycopg.AsyncConnection.connect(self.address.conninfo, **options) as connection:
                answer = await _perform_async(connection, make())
                self._direct = _is_direct(connection, await (await connection.execute(_PID)).fetchone())
                return answer
        except Failed as failed:
            raise trouble.told(failed.error) from failed.error
        except psycopg.Error as error:
            raise trouble.told(error) from error

    async def run(
        self, make: Callable[[], Verb[T]], so: str = NOTHING_SENT, undo: Callable[[T], None] | None = None
    ) -> T:
        """See `Link.run`. Who is cancelled waits for what was begun; `undo` is told the answer that nobody gets then."""
        trouble = Trouble(self.address, so)
        pool = await self._open()
        while True:
            try:
                if trouble.pool_is_stale:
                    await pool.check()
                connection = await self._borrow(pool)
            except psycopg.Error as error:
                raise trouble.told(error) from error
            try:
                return await _whole(_perform_and_give_back(pool, connection, make()), undo)
            except Failed as failed:
                if not trouble.again(failed.error, failed.ask, closed=failed.closed):
                    raise trouble.told(failed.error) from failed.error
            except KeyOfAnotherError as error:
                raise trouble.told(error) from None

    async def _borrow(self, pool: AsyncConnectionPool[Any]) -> "psycopg.AsyncConnection[Any]":
        """See `Link._borrow`."""
        until = monotonic() + CONNECT_SECONDS
        while True:
            try:
                borrowed: psycopg.AsyncConnection[Any] = await pool.getconn(ASK_AGAIN_SECONDS)
                return borrowed
            except PoolTimeout:
                if monotonic() > until:
                    raise
                await (await psycopg.AsyncConnection.connect(self.address.conninfo)).close()

    async def _open(self) -> AsyncConnectionPool[Any]:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            # Of a loop that has ended nothing can be closed any more.
            _inherited.append(self._pool)
            self._loop = loop
            pool = self._pool = AsyncConnectionPool(
                self.address.conninfo,
                kwargs=self.address.options(AsyncRawCursor, direct=self._direct),
                min_size=0,
                max_size=self._size,
                reconnect_timeout=ASK_AGAIN_SECONDS,
                name="samekey",
                open=False,
            )
            await pool.open()
        return self._pool

    async def close(self) -> None:
        """Closes the pool; a later verb opens another."""
        pool, self._pool = self._pool, None
        if pool is not None and self._loop is asyncio.get_running_loop():
            await pool.close()


async def _perform_async(connection: "psycopg.AsyncConnection[Any]", verb: Verb[T]) -> T:
    try:
        ask = next(verb)
        while True:
            try:
                cursor = await connection.execute(ask.text, ask.values or None, binary=True)
                rows = await cursor.fetchall() if cursor.description is not None else []
            except psycopg.Error as error:
                _close_if_useless(connection, error)
                raise Failed(error, ask, closed=connection.closed) from error
            ask = verb.send(rows)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    finally:
        verb.close()


async def _whole(work: Coroutine[Any, Any, T], undo: Callable[[T], None] | None) -> T:
    """Ends what was begun before it lets a cancellation go on: a statement that was left alone might still commit."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        if undo is not None and not task.cancelled() and task.exception() is None:
            undo(task.result())
        raise


async def _perform_and_give_back(
    pool: AsyncConnectionPool[Any], connection: "psycopg.AsyncConnection[Any]", verb: Verb[T]
) -> T:
    """One piece for `_whole`: were the connection given back after it, a cancellation just then would hide the answer."""
    try:
        return await _perform_async(connection, verb)
    finally:
        if not connection.closed and connection.info.transaction_status is not TransactionStatus.IDLE:
            with suppress(psycopg.Error):
                await connection.rollback()
        await pool.putconn(connection)
