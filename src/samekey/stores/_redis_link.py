"""Connections to a Redis server: one for threads, one for event loops, and what both decide alike.

redis-py brings the connections and their options (TLS, users, time-outs). Its pools and its own repetitions are not
used: a call is made again once, on a fresh connection, and only because a call that was made finds itself done.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from samekey.errors import StoreError, UsageError
from samekey.stores._redis_calls import Call
from samekey.stores._redis_server import refused, shown, understood, unreachable

TIMEOUT_SECONDS: Final = 5.0
"""How long to wait for the server, unless the options say otherwise."""
TRIES: Final = 2
MOST_MOVES: Final = 5
"""How often in one call a cluster may name another node."""


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError('a Redis store needs redis-py; pip install "samekey[redis]".') from error


class Target:
    """Where a server is, and how connections to it are made.

    Args:
        spec: a URL, or the arguments of `redis.Redis`.
        package: `redis` or `redis.asyncio`.
    """

    def __init__(self, spec: str | Mapping[str, Any], package: str) -> None:
        library = _library(package)
        self.errors = _library("redis.exceptions")
        retry = _library(f"{package}.retry").Retry(_library("redis.backoff").NoBackoff(), 0)
        try:
            if isinstance(spec, str):
                pool = library.ConnectionPool.from_url(understood(spec))
                self.location = shown(spec)
            else:
                pool = library.Redis(**spec).connection_pool
                self.location = _location(pool.connection_kwargs)
            self._make: Callable[..., Any] = pool.connection_class
            given = {name: value for name, value in pool.connection_kwargs.items() if name not in _OURS}
            self._options: dict[str, Any] = {
                "socket_timeout": TIMEOUT_SECONDS,
                "socket_connect_timeout": given.get("socket_timeout") or TIMEOUT_SECONDS,
                **{name: value for name, value in given.items() if value is not None},
                "decode_responses": False,
                "health_check_interval": 0,
                "protocol": 2,
                "retry": retry,
            }
            self.connection()  # which looks at the options, and not at the server
        except (TypeError, ValueError, self.errors.RedisError) as error:
            # Without its text, which may have a value in it, and so a password.
            raise UsageError(
                f"the Redis store was given an option that redis-py does not take ({type(error).__name__}); see the "
                "arguments of redis.Redis, which are also those of the URL."
            ) from None

    def connection(self) -> Any:
        """A connection that is not yet open."""
        return self._make(**self._options)

    def move(self, host: str, port: int) -> None:
        """Says that another node of the cluster has the store."""
        self._options.update(host=host, port=port)

    def lost(self, error: BaseException) -> bool:
        """Whether the connection failed, and not the call."""
        return isinstance(error, (self.errors.ConnectionError, self.errors.TimeoutError, OSError)) and not isinstance(
            error, (self.errors.AuthenticationError, self.errors.AuthorizationError, self.errors.BusyLoadingError)
        )

    def translated(self, error: BaseException, so: str, *, sent: bool) -> StoreError:
        """What to raise for an error of redis-py."""
        if self.lost(error):
            return unreachable(error, self.location, so, sent=sent)
        code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
        known = {"AuthenticationError": "WRONGPASS", "BusyLoadingError": "LOADING", "ReadOnlyError": "READONLY"}
        code = known.get(type(error).__name__, code)
        code = {"OutOfMemoryError": "OOM", "NoPermissionError": "NOPERM"}.get(type(error).__name__, code)
        return refused(code, str(error) or type(error).__name__, self.location, so)


_OURS: Final = frozenset(
    {
        "decode_responses",
        "encoding",
        "event_dispatcher",
        "health_check_interval",
        "maint_notifications_config",
        "maint_notifications_pool_handler",
        "oss_cluster_maint_notifications_handler",
        "protocol",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
    }
)


def _location(options: Mapping[str, Any]) -> str:
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if any(name.startswith("ssl") for name in options) else "redis"
    return f"{scheme}://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db') or 0}"


class _Attempts:
    """One call, made until it has an answer or must be given up."""

    def __init__(self, target: Target, call: Call, so: str) -> None:
        self._target = target
        self._call = call
        self._so = so
        self._tries = self._moves = 0
        self._sent = False

    def command(self) -> bytes:
        """What to send. From here on the server may have done it."""
        self._sent = self._sent or self._call.script is not None
        return self._call.packed(whole=False)

    def failed(self, error: Exception) -> None:
        """Decides after an error: returns if the call is to be made again, on a fresh connection.

        Raises:
            StoreUnavailableError, StoreFormatError: it is not.
        """
        if isinstance(error, self._target.errors.AskError):
            self._moves += 1
            if self._moves <= MOST_MOVES:
                self._target.move(error.host, error.port)
                return
        self._tries += 1
        if self._tries >= TRIES or not self._target.lost(error):
            raise self._target.translated(error, self._so, sent=self._sent) from error


class Link:
    """Makes calls on the calling thread. Any thread may use it."""

    def __init__(self, spec: str | Mapping[str, Any]) -> None:
        self.target = Target(spec, "redis")
        self.forget()

    def forget(self) -> None:
        """Leaves the connections to the parent, in a forked child."""
        self._idle: list[Any] = []

    def ask(self, call: Call, so: str) -> Any:
        """The server's answer.

        Raises:
            StoreUnavailableError: there was none; `uncertain` if the server may have done it.
            StoreFormatError: what is there is not ours.
        """
        attempts = _Attempts(self.target, call, so)
        while True:
            connection = self._take()
            try:
                connection.connect()
                connection.send_packed_command([attempts.command()])
                try:
                    reply = connection.read_response()
                except self.target.errors.NoScriptError:
                    connection.send_packed_command([call.packed(whole=True)])
                    reply = connection.read_response()
            except self.target.errors.RedisError as error:
                self._drop(connection)
                self.close()
                attempts.failed(error)
            except BaseException:
                self._drop(connection)  # an answer may still be on its way
                raise
            else:
                self._idle.append(connection)
                return reply

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self.target.connection()

    def _drop(self, connection: Any) -> None:
        with suppress(Exception):
            connection.disconnect()

    def close(self) -> None:
        """Closes the connections that are not in use."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)


class AsyncLink:
    """The same for an event loop of asyncio; the tasks of one loop at a time may use it."""

    def __init__(self, spec: str | Mapping[str, Any]) -> None:
        self.target = Target(spec, "redis.asyncio")
        self.forget()

    def forget(self) -> None:
        """Leaves the connections to the parent, in a forked child."""
        self._idle: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self, call: Call, so: str) -> Any:
        """The server's answer; see `Link.ask`."""
        attempts = _Attempts(self.target, call, so)
        while True:
            connection = self._take()
            try:
                await connection.connect()
                await connection.send_packed_command([attempts.command()])
                try:
                    reply = await connection.read_response()
                except self.target.errors.NoScriptError:
                    await connection.send_packed_command([call.packed(whole=True)])
                    reply = await connection.read_response()
            except self.target.errors.RedisError as error:
                await self._drop(connection)
                await self.aclose()
                attempts.failed(error)
            except BaseException:
                await self._drop(connection)  # an answer may still be on its way
                raise
            else:
                self._idle.append(connection)
                return reply

    def _take(self) -> Any:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._idle, self._loop = [], loop  # those of a loop that has ended cannot be used
        return self._idle.pop() if self._idle else self.target.connection()

    async def _drop(self, connection: Any) -> None:
        with suppress(Exception):
            await connection.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Closes the connections that are not in use."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._drop(connection)
