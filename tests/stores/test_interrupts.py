"""Ctrl-C at any line of a verb: what it was doing is done or undone, and the next verb finds everything free."""

from __future__ import annotations

import fcntl
import gc
import linecache
import os
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import samekey.stores
from samekey._core.model import Event
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim
from samekey.stores import MemoryStore, SQLiteStore
from samekey.stores._keeper import Keeper
from tests.stores.builders import at, claimed, done, record, renewal, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from samekey.stores import Store

# Interrupted between SQLite's return and the assignment, a connection is left to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

SOURCE = str(Path(samekey.stores.__file__).parent)


@pytest.fixture(autouse=True)
def _no_garbage() -> Iterator[None]:
    """A store of another test that is collected just now would be interrupted in place of this one."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def interrupted(work: Callable[[], object], line: int) -> bool:
    """Runs `work` with a KeyboardInterrupt before the given line of the stores' code. False: there was none.

    A tracer stops where no signal is ever handled: once more at `with` on the way out of its block, before the lock is
    released, and at `try`, which does nothing. Those stops are left out.
    """
    left = line

    def enter(frame: FrameType, _event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        entered: set[int] = set()

        def step(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            here = frame.f_lineno
            if event != "line":
                return step
            text = linecache.getline(name, here).lstrip()
            if text.startswith("try:"):
                return step
            if text.startswith("with "):
                entered.symmetric_difference_update({here})
                if here not in entered:
                    return step
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return step

        return step if name.startswith(SOURCE) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def assert_free(store: Store) -> None:
    """No lock is held, and no transaction is open."""
    if isinstance(store, SQLiteStore):
        descriptor = os.open(f"{store.location}.lock", os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
        engine = store._engine
        assert not engine._mutex.locked()
        assert engine._connection is None or not engine._connection.in_transaction


def assert_usable(store: Store, name: str) -> None:
    """All is free, and an action can be done."""
    assert_free(store)
    assert done(store, name).status is Status.SUCCEEDED


@pytest.fixture(autouse=True)
def _no_keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread takes the writers' lock now and then, and would be taken for one that was left held."""
    monkeypatch.setattr(Keeper, "note", lambda *_, **__: None)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    done(store, "warm")
    yield store
    store.close()


def every_line(store: Store, attempt: Callable[[str], Callable[[], object]]) -> None:
    """Interrupts the work that `attempt` prepares at one line after the other."""
    for line in count():
        work = attempt(str(line))
        if not interrupted(work, line):
            break
        assert_usable(store, f"next-{line}")
    assert line > 10


def test_a_claim(store: Store) -> None:
    def attempt(name: str) -> Callable[[], object]:
        asked = Claim(record(store, name), event=Event(at(0), "conflict"))
        return lambda: store.claim(asked)

    def assert_nothing_runs(name: str) -> None:
        found = store.get(f"identity-{name}")
        assert found is None or not found.own

    for line in count():
        if not interrupted(attempt(str(line)), line):
            break
        assert_usable(store, f"next-{line}")
        store.release(f"identity-{line}", 1, 1)
        assert_nothing_runs(str(line))
    assert line > 10


def test_a_settlement(store: Store) -> None:
    def attempt(name: str) -> Callable[[], object]:
        asked = settlement(claimed(store, name), event=Event(at(1), "replay"))
        return lambda: store.settle(asked)

    for line in count():
        row_name = str(line)
        if not interrupted(attempt(row_name), line):
            break
        assert_usable(store, f"next-{line}")
        row = stored(store, row_name)
        assert row.status in {Status.IN_FLIGHT, Status.SUCCEEDED}
        assert (row.frozen_request is None) is (row.status is Status.SUCCEEDED)
        # Said again it is settled, and once.
        store.settle(settlement(record(store, row_name), event=Event(at(1), "replay")))
        assert stored(store, row_name).status is Status.SUCCEEDED
        # Memory has no transactions: there the line may be missing, but never twice.
        assert len(store.events(row.idempotency_key)) in ({1} if isinstance(store, SQLiteStore) else {0, 1})
    assert line > 10


def test_a_renewal(store: Store) -> None:
    def attempt(name: str) -> Callable[[], object]:
        asked = renewal(claimed(store, name), store)
        return lambda: store.renew(asked)

    every_line(store, attempt)


def test_a_note(store: Store) -> None:
    row = done(store, "noted")
    every_line(store, lambda _: lambda: store.note(row, Event(at(9), "replay")))


@pytest.mark.parametrize("verb", ["get", "find", "events"])
def test_a_reading_verb(store: Store, verb: str) -> None:
    claimed(store, "open")
    works: dict[str, Callable[[], object]] = {
        "get": lambda: store.get("identity-open"),
        "find": lambda: store.find(key_prefix="key-open"),
        "events": lambda: store.events("key-open-1"),
    }
    for line in count():
        if not interrupted(works[verb], line):
            break
        assert_free(store)
        works[verb]()


def test_opening_and_closing(tmp_path: Path) -> None:
    """A store per line, for the first opening has more lines than any later one; so not each line, but a sample."""
    for line in count(0, 11):
        store = SQLiteStore(tmp_path / str(line) / "samekey.db")

        def work(store: SQLiteStore = store) -> None:
            store.secret(None)
            done(store, "first", Move.REFUSAL)
            store.close()

        hit = interrupted(work, line)
        assert store.secret(None)
        if os.path.exists(f"{store.location}.lock"):
            assert_usable(store, "after")
        store.close()
        if not hit:
            break
    assert line > 50


def test_tidying(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    done(store, "warm")
    every_line(store, lambda _: store.tidy)
    store.close()
