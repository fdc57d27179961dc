"""Tasks of one loop on a store whose commits can be held up."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from samekey._core.verbs import Claim, Claimed, Settled
from samekey.stores import AsyncSQLiteStore
from samekey.stores._connection import connect
from tests.stores.apsw_adapter import Syncs
from tests.stores.builders import record, settlement


class Threads(Syncs):
    """Also remembers which threads waited for the disk."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.waited: set[int] = set()

    def synced(self) -> None:
        self.waited.add(threading.get_ident())


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[AsyncSQLiteStore]:
    store = AsyncSQLiteStore(path / "samekey.db", **options)
    await store.secret(None)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()


async def together(*verbs: Callable[[], Awaitable[object]]) -> list[Any]:
    """What each brought or raised."""
    brought: list[Any] = [None] * len(verbs)

    async def call(number: int) -> None:
        try:
            brought[number] = await verbs[number]()
        except Exception as error:  # noqa: BLE001 - it is what the verb brought
            brought[number] = error

    async with anyio.create_task_group() as group:
        for number in range(len(verbs)):
            group.start_soon(call, number)
    return brought


async def act(store: AsyncSQLiteStore, name: str) -> None:
    row = record(store, name)  # type: ignore[arg-type] # it only needs the holder
    assert isinstance(await store.claim(Claim(row)), Claimed)
    await anyio.lowlevel.checkpoint()
    assert isinstance(await store.settle(settlement(row)), Settled)


class Gate:
    """A connection whose synced commits wait until they are let through, once it is shut."""

    def __init__(self, uri: str) -> None:
        self._connection = connect(uri)
        self._level = ""
        self.commits: list[tuple[str, int]] = []
        self.free = threading.Event()
        self.free.set()
        self.reached = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        if "synchronous" in sql:
            self._level = sql.rpartition(" ")[2]
        if sql == "COMMIT":
            self.commits.append((self._level, threading.get_ident()))
            if self._level == "FULL":
                self.reached.set()
                assert self.free.wait(60)
        return self._connection.execute(sql, parameters)


@asynccontextmanager
async def gated(path: Path) -> AsyncIterator[tuple[AsyncSQLiteStore, Gate]]:
    gates: list[Gate] = []

    def open_gate(uri: str) -> Gate:
        gates.append(Gate(uri))
        return gates[-1]

    async with opened(path, _connect=open_gate) as store:
        gate = gates[-1]
        await act(store, "first")
        gate.commits.clear()
        gate.reached.clear()
        try:
            yield store, gate
        finally:
            gate.free.set()


async def reached(gate: Gate) -> None:
    while not gate.reached.is_set():
        await anyio.lowlevel.checkpoint()
