"""One class per way to make a POST from an event loop, each in a process of its own."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import httpx
import httpx2
from _common import order
from _contenders import PATH, TIMEOUT, Contender, Httpx, Samekey

SLOW_FSYNC = 0.002
"""Seconds by which the contender with a slow disk delays each commit that waits for it."""


class AsyncContender(Protocol):
    """Makes one action per call."""

    async def __call__(self, number: int) -> object:
        """Makes the action of this number."""

    def counts(self) -> tuple[int, int]:
        """Rows written so far, and commits that waited for the disk."""

    async def aclose(self) -> None:
        """Lets go of everything."""


class AsyncHttpx:
    """`AsyncClient.post` of a plain client, nothing else."""

    def __init__(self, url: str, directory: Path, *, library: Any = httpx) -> None:
        del directory
        self.client = self._built(library, url, library.Timeout(**TIMEOUT.as_dict()))

    def _built(self, library: Any, url: str, timeout: Any) -> Any:
        return library.AsyncClient(base_url=url, timeout=timeout)

    async def __call__(self, number: int) -> object:
        return (await self.client.post(PATH, json=order(number))).raise_for_status()

    def counts(self) -> tuple[int, int]:
        return 0, 0

    async def aclose(self) -> None:
        await self.client.aclose()


class Pooled(AsyncHttpx):
    """The same over the transport that samekey's own client has: many small pools."""

    def _built(self, library: Any, url: str, timeout: Any) -> Any:
        from samekey.http.guard import build_client
        from samekey.http.library import library_named

        return build_client(library_named(library.__name__, asynchronous=True), url, timeout)


@cache  # the texts are constant; looking at each would be a part of what is measured
def _kind_of(sql: str) -> str:
    if sql.lstrip().startswith(("INSERT", "UPDATE")):
        return "row"
    return "level" if sql.startswith("PRAGMA synchronous = ") else "commit" if sql == "COMMIT" else ""


class Counted:
    """A connection that counts what is written and which commits wait for the disk, and can make these slower."""

    def __init__(self, uri: str, slower: float, counts: list[int]) -> None:
        from samekey.stores._connection import connect

        self._inner = connect(uri)
        self._slower = slower
        self._counts = counts
        self._full = False

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        kind = _kind_of(sql)
        if kind == "row":
            self._counts[0] += 1
        elif kind == "level":
            self._full = not sql.endswith("NORMAL")
        elif kind == "commit" and self._full:
            self._counts[1] += 1
            if self._slower:
                time.sleep(self._slower)  # without the GIL, as the real one
        return self._inner.execute(sql, parameters)

    def close(self) -> None:
        self._inner.close()


def _hear_syncs(slower: float, counts: list[int]) -> None:
    """Counts, and makes slower, what the stores of this process sync themselves."""
    from samekey.stores._log import OwnSync

    sync = OwnSync.sync

    def heard(self: OwnSync) -> None:
        counts[1] += 1
        if slower:
            time.sleep(slower)
        sync(self)

    OwnSync.sync = heard  # type: ignore[method-assign]


class AsyncSamekey:
    """samekey over `AsyncSQLiteStore`: claims (FULL), POSTs, settles with the answer (NORMAL)."""

    def __init__(
        self, url: str, directory: Path, *, library: Any = None, made: Any = None, slower: float = 0.0
    ) -> None:
        import samekey
        from samekey.stores import AsyncSQLiteStore

        self._counts = [0, 0]
        connect = partial(Counted, slower=slower, counts=self._counts)
        _hear_syncs(slower, self._counts)
        self.store = AsyncSQLiteStore(directory / "samekey.db", _connect=connect)
        http: Any = AsyncHttpx(url, directory, library=library).client if library else None
        self.http = http
        self.client: Any = samekey.AsyncClient(
            "" if library else url, window=timedelta(days=1), store=self.store, http=http or made
        )
        self.operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")

    async def __call__(self, number: int) -> object:
        async with self.client.action(self.operation, scope={"customer": 42, "cart": f"c-{number}"}) as action:
            await action.post(PATH, json=order(number))
        assert not action.replayed
        return action.reference

    def counts(self) -> tuple[int, int]:
        return self._counts[0], self._counts[1]

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.store.aclose()
        if self.http is not None:
            await self.http.aclose()


class Sync:
    """A synchronous contender, for the lone action; it has the loop for itself."""

    def __init__(self, url: str, directory: Path, *, of: Callable[[str, Path], Contender]) -> None:
        self._contender = of(url, directory)

    async def __call__(self, number: int) -> object:
        return self._contender(number)

    def counts(self) -> tuple[int, int]:
        return 0, 0

    async def aclose(self) -> None:
        self._contender.close()


CONTENDERS: dict[str, Callable[[str, Path], AsyncContender]] = {
    "httpx (sync)": partial(Sync, of=Httpx),
    "samekey (sync)": partial(Sync, of=Samekey),
    "httpx, default": AsyncHttpx,
    "httpx, in pools": Pooled,
    "httpx2, default": partial(AsyncHttpx, library=httpx2),
    "httpx2, in pools": partial(Pooled, library=httpx2),
    "samekey, httpx": AsyncSamekey,
    "samekey, httpx2": partial(AsyncSamekey, made=httpx2.AsyncClient),
    "samekey, a given httpx": partial(AsyncSamekey, library=httpx),
    "samekey, a given httpx2": partial(AsyncSamekey, library=httpx2),
    "samekey, httpx, fsync + 2 ms": partial(AsyncSamekey, slower=SLOW_FSYNC),
    "samekey, httpx2, fsync + 2 ms": partial(AsyncSamekey, made=httpx2.AsyncClient, slower=SLOW_FSYNC),
}
