"""What was erased from a row is erased from the files, and the log does not grow without end."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from samekey._core.model import Result
from samekey._core.states import UNSETTLED, Move, Status
from samekey.stores import SQLiteStore, _keeper, _sql
from samekey.stores._keeper import Extent, Keeper
from tests.stores.builders import BODY, claimed, done, everything, settlement
from tests.stores.children import output_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = """
import shutil
from samekey._core.states import Move
store = SQLiteStore(path)
for number in range(20):
    done(store, str(number), Move.NOT_SENT if number % 2 else Move.SUCCESS)
{end}
"""


@pytest.mark.parametrize(
    "end",
    [
        "store.close()",
        "store.tidy(); os.kill(os.getpid(), 0); os._exit(0)",
        "",  # a script that forgets to close
    ],
)
def test_no_payload_is_left_in_any_file(tmp_path: Path, end: str) -> None:
    output_of(SCRIPT.format(end=end), tmp_path / "samekey.db")
    files = everything(tmp_path)
    assert "samekey.db" in files
    assert not [name for name, data in files.items() if BODY in data or b"4242-4242" in data]


def test_until_then_it_is_kept_for_a_resend(tmp_path: Path) -> None:
    output_of("claimed(SQLiteStore(path))", tmp_path / "samekey.db")
    assert BODY in everything(tmp_path)["samekey.db"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    yield store
    store._engine.emptier.rest()  # no keeper does it where a test did the keeper's work
    store.close()


def log_size(store: SQLiteStore) -> int:
    return os.stat(f"{store.location}-wal").st_size


def test_the_keeper_empties_the_log_after_a_settlement(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 0.01)
    emptied = threading.Event()
    work = store._engine.keeper._work

    def watched(extent: Extent) -> int | None:
        result = work(extent)
        emptied.set()
        return result

    store._engine.keeper._work = watched
    done(store)
    assert emptied.wait(60)
    assert log_size(store) == 0


def test_the_keeper_begins_the_log_of_a_busy_store_anew() -> None:
    """A store that is never quiet for long must not keep erased bytes in its log."""
    asked: list[Extent] = []

    def work(extent: Extent) -> int | None:
        asked.append(extent)
        return 1 if len(asked) > 1 else None

    keeper = Keeper(work, lambda: None)
    keeper._pages = 1
    keeper._look()  # the first look sees a write
    assert asked == []
    for tries in (1, 2):  # the first time a reader is in the way
        keeper._pages += _keeper.MANY_PAGES * tries  # however much is written
        keeper._begun = long_ago = time.monotonic() - _keeper.LONGEST
        keeper._look()
        assert asked == [Extent.REST] * tries
        assert keeper._owes()
        assert (keeper._begun == long_ago) == (tries == 1)
    keeper._look()
    assert (asked, keeper._owes()) == ([Extent.REST, Extent.REST, Extent.CUT], False)


def test_a_long_log_is_begun_anew_and_cut_when_the_store_is_quiet() -> None:
    asked: list[Extent] = []

    def work(extent: Extent) -> int:
        asked.append(extent)
        return 1_000

    keeper = Keeper(work, lambda: None)
    keeper._pages = _keeper.MANY_PAGES
    keeper._look()
    assert (asked, keeper._owes()) == ([Extent.ANEW], True)
    begun = keeper._begun
    keeper._pages = _keeper.MANY_PAGES
    keeper._look()
    assert asked == [Extent.ANEW] * 2
    assert keeper._begun == begun, "it does not put off what is due after some seconds"
    keeper._look()
    assert (asked, keeper._owes()) == ([Extent.ANEW, Extent.ANEW, Extent.CUT], False)


@pytest.mark.parametrize(
    ("noted", "had", "many"),
    [
        (1_000, 250, 4_000),  # rows that share commits share pages
        (1_500, 6_000, 250),  # other processes write too
        (1_000, 1, 8_000),
        (1_000, 10**6, 125),
        (1_000, -1, 1_000),  # somebody else was at it
        (999, 250, 1_000),  # too little to judge by
    ],
)
def test_how_long_the_log_has_become_is_learnt_from_each_emptying(noted: int, had: int, many: int) -> None:
    keeper = Keeper(lambda _extent: had, lambda: None)
    keeper._pages = noted
    keeper._begun = time.monotonic() - _keeper.LONGEST
    keeper._look()
    assert keeper._many == many
    keeper._ensure = lambda: asked.append(keeper._pages)  # type: ignore[method-assign]
    asked: list[int] = []
    for pages in range(many // 5, many + 1, many // 5):
        assert asked == []
        keeper.note(many // 5, erased=False)
        assert keeper._pages == pages
    assert asked == [many]


def test_nothing_is_learnt_from_an_emptying_that_has_failed_before() -> None:
    """The log has the pages of both times then."""
    answers = iter([None, 4_000, 4_000])
    keeper = Keeper(lambda _extent: next(answers), lambda: None)
    many = []
    for _ in range(3):
        keeper._pages = 1_000
        keeper._begun = time.monotonic() - _keeper.LONGEST
        keeper._look()
        many.append(keeper._many)
    assert many == [1_000, 1_000, 250]


def test_a_log_that_is_begun_anew_keeps_its_length(store: SQLiteStore) -> None:
    for number in range(20):
        done(store, str(number))
    assert store._engine.emptier.empty(Extent.REST) is not None
    length = log_size(store)
    assert length > 100_000
    done(store, "over the beginning")
    assert log_size(store) == length
    assert store._engine.emptier.empty(Extent.CUT) is not None
    assert log_size(store) == 0


def test_one_thread_serves_all_settlements_and_ends_when_there_is_nothing_to_do(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 0.001)
    monkeypatch.setattr(_keeper, "IDLE_ROUNDS", 2)
    done(store, "first")
    thread = store._engine.keeper._thread
    assert thread is None or thread.daemon
    for number in range(20):
        done(store, str(number))
        assert sum(thread.name == "samekey-store" for thread in threading.enumerate()) <= 1
    thread = store._engine.keeper._thread
    if thread is not None:
        thread.join(60)
        assert not thread.is_alive()
    assert store._engine.emptier.connection is None
    done(store, "again")


def test_a_long_log_is_emptied_without_waiting(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)
    emptied = threading.Event()
    work = store._engine.keeper._work

    def watched(extent: Extent) -> int | None:
        result = work(extent)
        emptied.set()
        return result

    store._engine.keeper._work = watched
    for number in range(5):
        claimed(store, str(number), frozen_request=b"x" * 1_000_000)
    assert emptied.wait(60)


def test_work_that_fails_is_tried_again() -> None:
    results = iter([None, OSError("no"), 1])
    tried = threading.Semaphore(0)

    def work(_extent: Extent) -> int | None:
        result = next(results)
        tried.release()
        if isinstance(result, OSError):
            raise result
        return result

    keeper = Keeper(work, lambda: None)
    keeper.note(_keeper.MANY_PAGES, erased=True)
    for _ in range(3):
        assert tried.acquire(timeout=60)
        keeper._wake.set()
    keeper.stop()


def plan(store: SQLiteStore, text: str) -> str:
    engine = store._engine
    parameters = (None,) * text.count("?")
    return " | ".join(
        str(row[3]) for row in engine.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall())
    )


def test_what_is_open_is_found_without_reading_what_is_done(store: SQLiteStore) -> None:
    for newest_first in (False, True):
        assert "USING INDEX actions_open" in (steps := plan(store, _sql.FIND["unsettled", newest_first]))
        assert "SCAN" not in steps
        assert "USING INDEX sqlite_autoindex_actions_1" in plan(store, _sql.FIND["key", newest_first])
    assert "USING INDEX actions_guarded" in plan(store, _sql.DUPLICATE)
    assert store.find(statuses=UNSETTLED) == []


@pytest.mark.parametrize("move", [Move.SUCCESS, Move.REFUSAL, Move.NOT_SENT, Move.NO_ANSWER])
def test_the_room_that_a_claim_keeps_is_given_up_at_the_settlement(store: SQLiteStore, move: Move) -> None:
    row = claimed(store, "roomy")

    def room() -> object:
        text = "SELECT room FROM actions WHERE identity = ?"
        return store._engine.read(lambda c: c.execute(text, (row.identity,)).fetchone()[0])

    assert room() == bytes(_sql.ROOM)
    store.settle(settlement(row, move))
    assert room() is None


def test_an_answer_of_usual_size_stays_on_the_page_of_its_claim(store: SQLiteStore) -> None:
    def pages() -> int:
        count: int = store._engine.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        return count

    for number in range(30):
        row = claimed(store, f"page {number}")
        before = pages()
        store.settle(settlement(row, result=Result(201, (), b"x" * _sql.ROOM, "ord_9")))
        assert pages() == before


def test_an_identity_is_found_by_its_index(store: SQLiteStore) -> None:
    for text in (_sql.HIGHEST, _sql.GENERATIONS, _sql.VERSION_OF):
        found = store._engine.read(
            lambda c, text=text: c.execute(f"EXPLAIN QUERY PLAN {text}", ("x",)).fetchall()  # type: ignore[misc]
        )
        assert "sqlite_autoindex_actions_2 (identity=?)" in str(found)


def test_a_refusal_is_erased_too(store: SQLiteStore) -> None:
    row = done(store, move=Move.REFUSAL)
    assert (row.status, row.frozen_request) == (Status.REJECTED, None)
    assert settlement(row).holder is None


def test_where_the_system_gives_no_thread_what_was_written_stands_and_closing_empties_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        assert done(store, "one").status is Status.SUCCEEDED
    threads = [store._engine.keeper._thread]
    assert done(store, "two").status is Status.SUCCEEDED
    threads.append(store._engine.keeper._thread)
    assert [thread is None for thread in threads] == [True, False]
    store.close()
    assert not (tmp_path / "samekey.db-wal").exists()
