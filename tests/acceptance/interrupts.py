"""An exception at any executed line of samekey, and what must be true afterwards."""

from __future__ import annotations

import gc
import linecache
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import httpcore
import httpx

import samekey
from samekey._drivers.runtime import BUDGETS
from samekey.http import short
from samekey.stores import SQLiteStore
from samekey.stores._locks import FileLock
from samekey.testing import FlakyServer, Seen
from tests.acceptance.one_action import connect, create_order

SOURCE = str(Path(samekey.__file__).parent) + "/"
KIT = SOURCE + "testing/"
PATIENCE = 30.0


@dataclass
class Injection:
    """Counts executed lines of samekey's own source, and raises `error` at the `at`-th."""

    error: BaseException | None
    at: int = 0
    lines: int = 0
    where: str = "nowhere"

    @contextmanager
    def active(self) -> Iterator[None]:
        """While it is, this thread is watched. No garbage is collected, for finalizers have lines too."""
        gc.disable()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(None)
            gc.enable()

    def _enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(SOURCE) or name.startswith(KIT):
            return None
        inside: set[int] = set()

        def step(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line" and self._may_come(name, frame.f_lineno, inside):
                self._count(f"{name.removeprefix(SOURCE)}:{frame.f_lineno}")
            return step

        return step

    @staticmethod
    def _may_come(name: str, line: int, inside: set[int]) -> bool:
        """A tracer stops where Python handles no signal: at `try`, and at `with` once more on the way out of it,
        before the lock is released."""
        text = linecache.getline(name, line).lstrip()
        if text.startswith("with "):
            inside.symmetric_difference_update({line})
            return line in inside
        return not text.startswith("try:")

    def _count(self, where: str) -> None:
        self.lines += 1
        if self.lines == self.at and self.error is not None:
            self.where = where
            raise self.error


class CountingStream(httpcore.NetworkStream):
    """Counts the requests that were written to the last byte, whatever the writer came to know of it."""

    def __init__(self, stream: httpcore.NetworkStream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)
        self._wire.written += buffer.count(b'"order"')

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class CountingBackend(httpcore.NetworkBackend):
    """Makes connections that count."""

    def __init__(self, wire: Wire) -> None:
        self._backend = httpcore.SyncBackend()
        self._wire = wire

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        return CountingStream(self._backend.connect_tcp(*arguments, **options), self._wire)


@dataclass
class Wire:
    """Between the clients and the server: what was written has arrived once `settle_down` returns."""

    server: FlakyServer
    written: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def transport(self) -> httpx.HTTPTransport:
        """A transport whose requests are counted."""
        transport = httpx.HTTPTransport(verify=False)
        transport._pool = httpcore.ConnectionPool(network_backend=CountingBackend(self))
        short.install(transport)
        return transport

    def arrived(self, _seen: Seen) -> None:
        with self.changed:
            self.changed.notify_all()

    def settle_down(self) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.server.requests) >= self.written, PATIENCE)
        self.server.wait_idle()


@dataclass
class Bench:
    """A client with its store and server, on which one action after the other is interrupted."""

    wire: Wire
    store: SQLiteStore
    keyless: bool

    def __post_init__(self) -> None:
        self.others = set(threading.enumerate())
        self._transport = self.wire.transport()
        self.client = connect(self.wire.server.url, self.store, keyless=self.keyless, transport=self._transport)

    def close(self) -> None:
        self.client.close()
        self.store.close()

    def post(self, order: str) -> str:
        with self.client.action(create_order, scope={"order": order}) as action:
            action.post("/orders", json={"order": order})
        return action.reference

    def interrupted(self, order: str, injection: Injection) -> BaseException | None:
        """Runs the action under the injection; returns what reached the caller."""
        caught: BaseException | None = None
        self._forget_what_is_busy()
        with injection.active():
            try:
                self.post(order)
            except BaseException as error:  # noqa: BLE001 - that is the question
                caught = error
        self.wire.settle_down()
        return caught

    def _forget_what_is_busy(self) -> None:
        """An exception out of the trace can leave a connection, and its request, that the pool takes for busy.

        Without them the next request takes the short way to the connection that is left, as it usually does.
        """
        pool: Any = self._transport._pool
        pool._requests.clear()
        for connection in pool.connections:
            if not connection.is_idle():
                pool._connections.remove(connection)
                connection.close()

    def effects(self, order: str) -> list[str]:
        return [effect.reference for effect in self.wire.server.effects if f'"{order}"'.encode() in effect.body]

    def check_record(self, order: str) -> samekey.Status | None:
        """The record is legal and true."""
        record = self.client.record(create_order, scope={"order": order})
        effects = self.effects(order)
        assert len(effects) <= 1
        if record is None:
            assert not effects
            return None
        existing = self.store.get(record.identity)
        assert existing is not None
        assert not existing.alive, "a task is left running"
        match record.status:
            case samekey.Status.SUCCEEDED:
                assert effects == [record.response_reference]
            case samekey.Status.PENDING:
                assert not effects
                assert record.open_attempts == 0
            case samekey.Status.IN_FLIGHT | samekey.Status.UNKNOWN:
                assert record.open_attempts >= 1
            case samekey.Status.NEEDS_REVIEW:
                assert self.keyless
            case _:
                raise AssertionError(f"{record.status} is not what happened")
        held = record.status in {
            samekey.Status.IN_FLIGHT,
            samekey.Status.UNKNOWN,
            samekey.Status.NEEDS_REVIEW,
        }
        assert (record.frozen_request is not None) == held
        return record.status

    def check_nothing_is_left(self) -> None:
        """No lock is held, no thread runs that was not there."""
        engine = self.store._engine
        for lock in (engine._mutex, engine.keeper._guard, BUDGETS.lock, self.client._engine.unfinished.lock):
            assert lock.acquire(timeout=PATIENCE), "a lock is left held"
            lock.release()
        assert not engine._lock.held
        if Path(engine.files.directory).exists():
            other = FileLock(engine.files.lock)
            other.acquire()  # blocks, until the test's time is over, if somebody holds it
            other.close()
        names = {thread.name for thread in set(threading.enumerate()) - self.others} - {"samekey-store"}
        assert not [name for name in names if not name.startswith("FlakyServer")], names

    def check_next_run(self, order: str) -> bool:
        """The next run goes on from there. Returns whether it could: a keyless action may need a person."""
        try:
            reference = self.post(order)
        except samekey.NeedsReviewError:
            assert self.keyless
            assert len(self.effects(order)) <= 1
            return False
        assert self.effects(order) == [reference]
        return True
