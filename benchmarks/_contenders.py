"""One class per way to make a POST, each used as its own documentation shows it, each in a process of its own.

What each does per action beside the POST is said in its docstring.
"""

import sqlite3
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx
from _common import order

PATH = "/orders"
TIMEOUT = httpx.Timeout(30, connect=5)  # samekey's default, for all


class Contender(Protocol):
    """Makes one action per call."""

    def __call__(self, number: int) -> object:
        """Makes the action of this number."""

    def close(self) -> None:
        """Lets go of everything."""


class Httpx:
    """`httpx.Client.post`, nothing else."""

    def __init__(self, url: str, directory: Path) -> None:
        del directory
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT)

    def __call__(self, number: int) -> object:
        return self.client.post(PATH, json=order(number)).raise_for_status()

    def close(self) -> None:
        self.client.close()


class Bare(Httpx):
    """httpx and the two bare SQLite commits that the promise needs.

    A row that must survive a power loss before the POST (FULL), and the answer over it afterwards (NORMAL); one
    connection in WAL mode, whose pragma is switched. The row has as many bytes as samekey's (see `row_bytes`) and one
    unique key, which is less than any ledger needs: no fingerprint, no check that the key is new, no lock, no record.
    """

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        claimed, settled = row_bytes(url, directory)
        self.first = "x" * claimed
        self.second = "y" * settled
        self.database = sqlite3.connect(directory / "bare.db", isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL").fetchall()
        self.database.execute(
            "CREATE TABLE actions (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, facts TEXT NOT NULL)"
        )

    def __call__(self, number: int) -> object:
        key = str(uuid.uuid4())
        execute = self.database.execute
        execute("PRAGMA synchronous = FULL").fetchall()
        execute("BEGIN IMMEDIATE")
        execute("INSERT INTO actions (key, facts) VALUES (?, ?)", (key, self.first))
        execute("COMMIT")
        response = super().__call__(number)
        execute("PRAGMA synchronous = NORMAL").fetchall()
        execute("BEGIN IMMEDIATE")
        execute("UPDATE actions SET facts = ? WHERE key = ?", (self.second, key))
        execute("COMMIT")
        return response

    def close(self) -> None:
        self.database.close()
        super().close()


class Samekey:
    """samekey over `SQLiteStore`, its window declared: claims (FULL), POSTs, settles with the answer (NORMAL)."""

    def __init__(self, url: str, directory: Path) -> None:
        import samekey
        from samekey.stores import SQLiteStore

        self.store = SQLiteStore(directory / "samekey.db")
        self.client = samekey.Client(url, window=timedelta(days=1), store=self.store)
        self.operation = samekey.Operation("create_order", scope=("customer", "cart"), reference="/id")

    def __call__(self, number: int) -> object:
        with self.client.action(self.operation, scope={"customer": 42, "cart": f"c-{number}"}) as action:
            action.post(PATH, json=order(number))
        assert not action.replayed
        return action.reference

    def close(self) -> None:
        self.client.close()
        self.store.close()


class Tenacity(Httpx):
    """httpx under `tenacity.retry`, with one key per call, which ends with the process. Nothing is written."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        import tenacity

        @tenacity.retry(
            retry=tenacity.retry_if_exception_type(httpx.TransportError),
            wait=tenacity.wait_random_exponential(0.5, max=20),
            stop=tenacity.stop_after_attempt(5),
            reraise=True,
        )
        def post(number: int, key: str) -> httpx.Response:
            headers = {"Idempotency-Key": key}
            return self.client.post(PATH, json=order(number), headers=headers).raise_for_status()

        self.post: Callable[[int, str], httpx.Response] = post

    def __call__(self, number: int) -> object:
        return self.post(number, str(uuid.uuid4()))


class HttpxRetries:
    """httpx over `httpx_retries.RetryTransport` that may retry a POST, with one key per call. Nothing is written."""

    def __init__(self, url: str, directory: Path) -> None:
        del directory
        import httpx_retries

        retry = httpx_retries.Retry(total=5, backoff_factor=0.5, allowed_methods=["POST"])
        self.client = httpx.Client(base_url=url, timeout=TIMEOUT, transport=httpx_retries.RetryTransport(retry=retry))

    def __call__(self, number: int) -> object:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self.client.post(PATH, json=order(number), headers=headers).raise_for_status()

    def close(self) -> None:
        self.client.close()


class Justonce(Httpx):
    """justonce's ledger in SQLite at FULL: claims (FULL), POSTs, stores the decoded answer (FULL), reads it back twice.

    FULL is what its store runs with: it switches to WAL and leaves SQLite's default alone, which is checked here.
    """

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        import justonce
        from justonce.stores.sqlite import SqliteStore

        self.key_of = justonce.operation_key
        self.store = SqliteStore(directory / "justonce.db")
        level = self.store._conn.execute("PRAGMA synchronous").fetchone()[0]  # noqa: SLF001 - it shows it nowhere else
        assert level == 2, f"justonce does not run at FULL but at {level}"
        self.engine = justonce.Idempotent(self.store)

    def __call__(self, number: int) -> object:
        key = self.key_of("create_order", 42, f"c-{number}")
        body = order(number)

        def post() -> Any:
            headers = {"Idempotency-Key": key}
            return self.client.post(PATH, json=body, headers=headers).raise_for_status().json()

        result = self.engine.run(key, post, payload=body)
        assert result.executed
        return result

    def close(self) -> None:
        self.store.close()
        super().close()


class Dbos(Httpx):
    """dbos on SQLite: a workflow, named by the action, with the POST as its one step.

    It writes the workflow's start, the step's result and the workflow's end, each a commit of a rollback journal, which
    is how dbos opens SQLite; its background threads poll the same database.
    """

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        from dbos import DBOS, DBOSConfig, SetWorkflowID

        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{directory / 'dbos.db'}",
            "log_level": "ERROR",
        }
        DBOS(config=config)

        @DBOS.step()
        def post(number: int) -> Any:
            headers = {"Idempotency-Key": DBOS.workflow_id or ""}
            return self.client.post(PATH, json=order(number), headers=headers).raise_for_status().json()

        @DBOS.workflow()
        def create_order(number: int) -> Any:
            return post(number)

        DBOS.launch()
        self.dbos: Any = DBOS
        self.named: Any = SetWorkflowID
        self.create_order: Callable[[int], Any] = create_order

    def __call__(self, number: int) -> object:
        with self.named(f"create_order-42-c-{number}"):
            return self.create_order(number)

    def close(self) -> None:
        self.dbos.destroy()
        super().close()


class ExactlyOnce(Httpx):
    """exactly-once over its SQLite store: claims (NORMAL), POSTs, stores the decoded answer (NORMAL).

    NORMAL is how it opens SQLite, so that a power loss can take the claim of a request that was sent.
    """

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        from exactly_once import Store, current_key, once

        self.store: Any = Store.sqlite(str(directory / "exactly-once.db"))

        @once(
            self.store,
            key=lambda number, **_: f"create_order:42:c-{number}",
            fingerprint=lambda number, **_: order(number),
        )
        def create_order(number: int) -> Any:
            headers = {"Idempotency-Key": current_key() or ""}
            return self.client.post(PATH, json=order(number), headers=headers).raise_for_status().json()

        self.create_order: Callable[[int], Any] = create_order

    def __call__(self, number: int) -> object:
        return self.create_order(number)

    def close(self) -> None:
        self.store.close()
        super().close()


CONTENDERS: dict[str, Callable[[str, Path], Contender]] = {
    "httpx": Httpx,
    "httpx + two commits": Bare,
    "samekey": Samekey,
    "tenacity + httpx": Tenacity,
    "httpx-retries": HttpxRetries,
    "justonce (FULL)": Justonce,
    "dbos (SQLite)": Dbos,
    "exactly-once (NORMAL)": ExactlyOnce,
}


def row_bytes(url: str, directory: Path) -> tuple[int, int]:
    """How many bytes samekey's row of such an action has, when it is claimed and when it is settled."""
    scratch = directory / "row"
    scratch.mkdir()
    made = Samekey(url, scratch)
    made(0)
    path = made.store.location
    made.close()
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    row = dict(database.execute("SELECT * FROM actions").fetchone())
    database.close()
    settled = sum(len(str(value) if not isinstance(value, bytes) else value) for value in row.values())
    answer = len(row["response_body"]) + len(row["response_headers"])
    request = httpx.Request("POST", url + PATH, json=order(0))
    return settled - answer + len(request.content), settled
