"""Jobs of several threads in one commit: each stands or falls alone, and a caller who has left is not served."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from samekey._core.verbs import Claim, Claimed
from samekey.errors import StoreUnavailableError
from samekey.stores._connection import Connection, connect
from samekey.stores._engine import Engine
from samekey.stores._files import Files
from samekey.stores._jobs import Job
from samekey.stores._running import Running
from samekey.stores._transactions import claim_row
from tests.stores.builders import record

Work = Callable[[Connection], Any]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(Files.of(tmp_path / "samekey.db"), connect)
    engine.secret(None)
    yield engine
    engine.close()


def put(name: str) -> Work:
    return lambda connection: connection.execute("INSERT INTO meta (name, value) VALUES (?, 'x')", (name,)).rowcount


def put_and_fail(name: str, error: Exception) -> Work:
    def work(connection: Connection) -> None:
        put(name)(connection)
        raise error

    return work


def names(engine: Engine) -> set[str]:
    rows = engine.read(lambda connection: connection.execute("SELECT name FROM meta").fetchall())
    return {name for (name,) in rows if name.startswith("job-")}


def together(engine: Engine, works: list[Work], *, full: int | None = None) -> list[Any]:
    """Lets them all wait before the first may begin; returns what each brought or raised. One of them may be FULL."""
    brought: list[Any] = [None] * len(works)

    def call(number: int) -> None:
        try:
            brought[number] = engine.write(works[number], full=number == full)
        except Exception as error:  # noqa: BLE001 - it is what the job brought
            brought[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(works))]
    with engine._mutex:
        for thread in threads:
            thread.start()
        while len(engine._queue) < len(works):
            time.sleep(0)
    for thread in threads:
        thread.join()
    return brought


def test_a_job_that_fails_takes_no_other_with_it_and_leaves_nothing(engine: Engine) -> None:
    error = ValueError("no")
    one, failed, two = together(engine, [put("job-1"), put_and_fail("job-2", error), put("job-3")])
    assert (one, failed, two) == (1, error, 1)
    assert names(engine) == {"job-1", "job-3"}


def test_a_caller_who_was_interrupted_while_he_waited_is_not_served(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        """A mutex whose wait ends with Ctrl-C, once."""

        def __init__(self, mutex: Any) -> None:
            self.mutex, self.times = mutex, 0

        def __enter__(self) -> None:
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt
            self.mutex.acquire()

        def __exit__(self, *_: object) -> None:
            self.mutex.release()

    monkeypatch.setattr(engine, "_mutex", Interrupted(engine._mutex))
    with pytest.raises(KeyboardInterrupt):
        engine.write(put("job-left"), full=True)
    engine.write(put("job-stayed"), full=True)
    assert names(engine) == {"job-stayed"}


def test_a_shared_commit_is_as_durable_as_its_most_demanding_job(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listening:
        def __init__(self, uri: str) -> None:
            self._connection = connect(uri)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._connection, name)

        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
            heard.append(sql)
            return self._connection.execute(sql, parameters)

    engine = Engine(Files.of(tmp_path / "samekey.db"), Listening)
    engine.secret(None)
    for turn in range(6):  # who leads is luck; the one FULL job must count wherever it stands
        engine.write(put(f"job-{turn}"), full=False)
        heard.clear()
        together(engine, [put(f"job-{turn}-{number}") for number in range(8)], full=turn)
        before_first_commit = heard[: heard.index("COMMIT")]
        assert [sql for sql in before_first_commit if "synchronous" in sql] == ["PRAGMA synchronous = FULL"]
        assert heard.count("COMMIT") == 1
        assert not [sql for sql in heard if "SAVEPOINT" in sql], "each page is copied"
    engine.close()


def test_what_sqlite_rolled_back_is_acknowledged_to_nobody(engine: Engine) -> None:
    def full_disk(connection: Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite itself may do
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    brought = together(engine, [put("job-1"), full_disk, put("job-2")])
    stored = names(engine)
    # Whoever stood behind it in the queue may have had a commit of his own.
    assert {f"job-{number}" for number, each in ((1, brought[0]), (2, brought[2])) if each == 1} == stored
    assert isinstance(brought[1], StoreUnavailableError)
    assert all(each == 1 or isinstance(each, StoreUnavailableError) for each in brought)


def in_one_commit(engine: Engine, works: list[Work]) -> list[Job[Any]]:
    """Runs them in this order."""
    jobs = [Job(work, "so nothing was sent", full=True) for work in works]
    with engine._mutex:
        engine._transact(jobs)
    return jobs


def claiming(engine: Engine, cart: str) -> Work:
    store: Any = SimpleNamespace(holder="me")
    return partial(claim_row, Running(), engine.scope_names, Claim(record(store, cart)))


def operations(engine: Engine) -> list[str]:
    return [name for (name,) in engine.read(lambda c: c.execute("SELECT name FROM operations").fetchall())]


def test_each_job_before_and_after_one_that_fails_is_run_to_its_end(engine: Engine) -> None:
    works = [put("job-1"), put_and_fail("job-2", ValueError("no")), put("job-3"), put_and_fail("job-4", KeyError("no"))]
    jobs = in_one_commit(engine, works)
    assert [type(job.error) for job in jobs] == [type(None), ValueError, type(None), KeyError]
    assert [job.answer for job in jobs] == [1, None, 1, None]
    assert names(engine) == {"job-1", "job-3"}


def test_who_cannot_begin_again_has_done_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        """A connection that another program is faster than, between two transactions."""

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
            begun.append(sql)
            if begun.count("BEGIN IMMEDIATE") == 2:
                monkeypatch.undo()
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorname = "SQLITE_BUSY"
                raise error
            return inner.execute(sql, parameters)

    begun: list[str] = []
    inner: Any = engine._connection
    monkeypatch.setattr(engine, "_connection", Busy())
    jobs = in_one_commit(engine, [put("job-1"), put_and_fail("job-2", ValueError("no")), put("job-3")])
    assert [type(job.error) for job in jobs] == [StoreUnavailableError] * 3
    assert not any(isinstance(job.error, StoreUnavailableError) and job.error.uncertain for job in jobs)
    assert names(engine) == set()
    assert engine.write(put("job-4"), full=True) == 1


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_was_rolled_back_for_want_of_memory_is_acknowledged_to_nobody(engine: Engine, at: int) -> None:
    """Python raises what is no error of SQLite then."""

    def greedy(connection: Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite itself does
        raise MemoryError

    works = [put("job-1"), put("job-2")]
    works.insert(at, greedy)
    jobs = in_one_commit(engine, works)
    assert isinstance(jobs[at].error, MemoryError)
    others = [job.error for number, job in enumerate(jobs) if number != at]
    assert all(isinstance(error, StoreUnavailableError) and "so nothing was sent" in str(error) for error in others)
    assert names(engine) == set()
    assert engine.write(put("job-3"), full=True) == 1


def test_what_an_undone_transaction_has_read_is_forgotten(engine: Engine) -> None:
    """The second claim finds the scope names that the first has written, in a transaction that comes to nothing."""
    failing = put_and_fail("job", ValueError("no"))
    one, two, _ = in_one_commit(engine, [claiming(engine, "a"), claiming(engine, "b"), failing])
    assert isinstance(one.answer, Claimed)
    assert isinstance(two.answer, Claimed)
    assert operations(engine) == ["create_order"]


def test_what_a_failed_commit_has_read_is_forgotten(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        """A connection whose next commit fails, as on a disk with errors."""

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
            if sql == "COMMIT":
                monkeypatch.undo()
                raise sqlite3.OperationalError("disk I/O error")
            return inner.execute(sql, parameters)

    inner: Any = engine._connection
    monkeypatch.setattr(engine, "_connection", Failing())
    jobs = in_one_commit(engine, [claiming(engine, "a"), claiming(engine, "b")])
    assert all(isinstance(job.error, StoreUnavailableError) and job.error.uncertain for job in jobs)
    assert operations(engine) == []
    (again,) = in_one_commit(engine, [claiming(engine, "c")])
    assert isinstance(again.answer, Claimed)
    assert operations(engine) == ["create_order"]
