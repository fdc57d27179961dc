"""Real processes on one store: who is alive, who waits, who is killed, who forks."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Existing, Renewed, Settled
from samekey.stores import SQLiteStore, _boot, _holders
from tests.stores.builders import claimed, done, record, renewal, settlement, stored
from tests.stores.children import child, line_of, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator

CLAIM_AND_STAY = """
store = SQLiteStore(path)
row = claimed(store)
say(store.holder)
for line in sys.stdin:
    if line.strip() == "settle":
        store.settle(settlement(row))
        store.close()
        say("settled")
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    yield store
    store.close()


def existing(store: SQLiteStore) -> Existing:
    found = store.get("identity-c-9")
    assert found is not None
    return found


def test_a_holder_is_alive_until_it_is_killed(store: SQLiteStore, tmp_path: Path) -> None:
    with child(CLAIM_AND_STAY, store.location) as process:
        holder = line_of(process)
        found = existing(store)
        assert (found.record.holder, found.alive, found.own) == (holder, True, False)
        waiter = threading.Thread(target=store.wait, args=(found, 120))
        waiter.start()
        os.kill(process.pid, signal.SIGKILL)
        waiter.join(60)
        assert not waiter.is_alive()
    found = existing(store)
    assert not found.alive
    assert not (tmp_path / "samekey.db.holders" / holder).exists()
    # At once somebody else may go on, and what the dead one knew is still there.
    answer = store.renew(renewal(found.record, store))
    assert isinstance(answer, Renewed)
    assert answer.record.frozen_request == found.record.frozen_request


def test_a_waiter_in_another_process_sees_the_settlement(store: SQLiteStore) -> None:
    with child(CLAIM_AND_STAY, store.location) as process:
        line_of(process)
        found = existing(store)
        waiter = threading.Thread(target=store.wait, args=(found, 120))
        waiter.start()
        assert process.stdin is not None
        process.stdin.write("settle\n")
        process.stdin.flush()
        assert line_of(process) == "settled"
        waiter.join(60)
        assert not waiter.is_alive()
        process.stdin.close()
    assert stored(store).status is Status.SUCCEEDED


def test_a_stopped_holder_is_alive(store: SQLiteStore) -> None:
    with child(CLAIM_AND_STAY, store.location) as process:
        line_of(process)
        os.kill(process.pid, signal.SIGSTOP)
        assert existing(store).alive
        os.kill(process.pid, signal.SIGKILL)


WITH_A_FORKED_CHILD = """
store = SQLiteStore(path)
row = claimed(store)
pid = os.fork()
if pid == 0:
    say("forked")
    signal.pause()
say(pid)
signal.pause()
"""


def test_a_killed_holder_is_dead_although_its_forked_child_lives(store: SQLiteStore) -> None:
    with child(WITH_A_FORKED_CHILD, store.location) as process:
        said = {line_of(process), line_of(process)}
        forked = int((said - {"forked"}).pop())
        assert existing(store).alive
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        try:
            assert not existing(store).alive
            claimed(store, "another")  # nor does it keep the writers' lock
        finally:
            os.kill(forked, signal.SIGKILL)


FORK_AND_USE = """
store = SQLiteStore(path)
first = claimed(store, "parent")
holder = store.holder
before = store.get("identity-parent")
assert before.own and before.alive
pid = os.fork()
if pid == 0:
    assert store.holder != holder
    seen = store.get("identity-parent")
    assert seen.alive and not seen.own
    done(store, "child")
    store.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert store.holder == holder
assert store.get("identity-parent").own
store.settle(settlement(first))
store.close()
say(len(store.find()))
"""


def test_parent_and_forked_child_use_it_both(tmp_path: Path) -> None:
    assert output_of(FORK_AND_USE, tmp_path / "samekey.db") == "2"


FORK_AND_CLOSE = """
reader, writer = os.pipe()
back, answer = os.pipe()
store = SQLiteStore(path)
done(store, "parent")
pid = os.fork()
if pid == 0:
    done(store, "child")
    os.write(answer, b"1")
    os.read(reader, 1)
    done(store, "late")
    os._exit(0)
os.close(answer)
os.read(back, 1)
store.close()
os.write(writer, b"1")
assert os.waitpid(pid, 0)[1] == 0
say(len(store.find()))
"""


def test_a_parent_that_closes_takes_nothing_from_its_child(tmp_path: Path) -> None:
    # The locks that SQLite takes count for a process, and it remembers them in memory that a child inherits.
    assert output_of(FORK_AND_CLOSE, tmp_path / "samekey.db") == "3"


FORK_INSIDE = """
import sqlite3
from samekey.stores import _fork
_fork.PATIENCE = 0.01
pid = 0
class Connection(sqlite3.Connection):
    def execute(self, sql, *parameters):
        global pid
        if sql == "COMMIT" and pid is None:  # not while the store is made
            pid = os.fork()
            if not pid:
                for opened in store, SQLiteStore(path):
                    try:
                        opened.find()
                    except StoreError as error:
                        say(type(error).__name__ + str("forked in the middle of a write" in str(error)))
                os._exit(0)
        return super().execute(sql, *parameters)
def connect(uri):
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Connection)
store = SQLiteStore(path, _connect=connect)
store.secret(None)
pid = None
done(store, "parent")
assert os.waitpid(pid, 0)[1] == 0
say(len(store.find()))
"""


def test_a_child_of_a_fork_in_the_middle_of_a_write_is_refused_and_its_parent_goes_on(tmp_path: Path) -> None:
    told = output_of(FORK_INSIDE, tmp_path / "samekey.db").splitlines()
    assert told == ["StoreUnavailableErrorTrue"] * 2 + ["1"]


FORK_UNDER_LOAD = """
import threading
store = SQLiteStore(path)
stop = threading.Event()
def work(name):
    turn = 0
    while not stop.is_set():
        done(store, f"{name}-{turn}")
        turn += 1
threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
for thread in threads:
    thread.start()
for turn in range(15):
    pid = os.fork()
    if pid == 0:
        done(store, f"child-{turn}")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
say(len(store.find(key_prefix="key-child-")))
"""


def test_a_fork_in_the_middle_of_other_threads_commits_leaves_no_lock_behind(tmp_path: Path) -> None:
    assert output_of(FORK_UNDER_LOAD, tmp_path / "samekey.db") == "15"


EIGHT = """
def work(name):
    store = SQLiteStore(path)
    os.read(reader, 1)
    for turn in range(60):
        done(store, f"{name}-{turn}")
    os._exit(0)
reader, writer = os.pipe()
pids = []
for name in range(8):
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        try:
            work(name)
        finally:
            os._exit(1)
    pids.append(pid)
os.close(writer)
say([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
"""


def test_eight_processes_at_once_have_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "samekey.db"
    assert output_of(EIGHT, path) == str([0] * 8)
    store = SQLiteStore(path)
    assert len(store.find(statuses={Status.SUCCEEDED})) == 480
    store.close()


KILLED_AMONG_OTHERS = """
def work(name):
    store = SQLiteStore(path)
    turn = 0
    while True:
        done(store, f"{name}-{turn}")
        if turn == 20:
            say("going")
        turn += 1
pids = []
for name in range(3):
    pid = os.fork()
    if pid == 0:
        work(name)
    pids.append(pid)
for line in sys.stdin:
    pid = pids.pop()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    say("killed")
"""


def test_killed_writers_leave_the_others_going_and_every_row_whole(store: SQLiteStore) -> None:
    with child(KILLED_AMONG_OTHERS, store.location) as process:
        assert process.stdin is not None
        assert [line_of(process) for _ in range(3)] == ["going"] * 3
        for _ in range(3):
            process.stdin.write("kill\n")
            process.stdin.flush()
            assert line_of(process) == "killed"
            done(store, f"mine-{_}")
        process.stdin.close()
    rows = store.find()
    assert len(rows) > 60
    left = [row for row in rows if row.status is not Status.SUCCEEDED]
    assert len(left) <= 3
    assert all(row.status is Status.IN_FLIGHT and row.frozen_request for row in left)


def test_two_stores_on_one_file_are_one_holder(store: SQLiteStore) -> None:
    other = SQLiteStore(store.location)
    row = claimed(store)
    assert other.holder == store.holder
    assert other.get(row.identity) == store.get(row.identity)
    waiter = threading.Thread(target=other.wait, args=(existing(other), 60))
    waiter.start()
    store.settle(settlement(row))
    waiter.join(30)
    assert not waiter.is_alive()
    other.close()


@pytest.mark.parametrize(
    ("holder", "alive"),
    [
        ("another-boot.1.2.ab.host", True),  # only its lease can tell
        ("{boot}.1.2.ab.host", False),  # this boot, and no such file
        ("{boot}.1.2.../../samekey.db", False),
    ],
)
def test_what_another_holder_is(store: SQLiteStore, holder: str, *, alive: bool) -> None:
    name = holder.format(boot=_holders._boot_part())
    claimed(store, holder=name)
    store.release("identity-c-9", 1, 1)
    found = existing(store)
    assert (found.alive, found.own) == (alive, False)


def test_where_the_boot_is_unknown_the_lease_decides(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_boot, "_known", [None])
    claimed(store, holder="-.1.2.ab.host")
    assert existing(store).alive


def test_a_holder_names_boot_process_start_and_host(store: SQLiteStore) -> None:
    boot, pid, start, luck, host = store.holder.split(".", 4)
    assert boot == _holders._boot_part()
    assert int(pid) == os.getpid()
    assert int(start) > 1_700_000_000
    assert len(luck) == 16
    assert host


def test_files_of_killed_holders_are_swept(store: SQLiteStore, tmp_path: Path) -> None:
    folder = tmp_path / "samekey.db.holders"
    holder = store.holder
    (folder / "stale.1.2.ab.host").touch()
    store.tidy()
    assert [path.name for path in folder.iterdir()] == [holder]


def test_taken_over_work_of_a_dead_process_is_settled_by_its_late_success(store: SQLiteStore) -> None:
    code = CLAIM_AND_STAY
    with child(code, store.location) as process:
        line_of(process)
        found = existing(store)
        os.kill(process.pid, signal.SIGKILL)
    taken = store.renew(renewal(found.record, store))
    assert isinstance(taken, Renewed)
    late = store.settle(settlement(found.record))
    assert isinstance(late, Settled)
    assert isinstance(store.settle(settlement(taken.record, Move.NO_ANSWER)), Existing)
    assert stored(store).status is Status.SUCCEEDED


def test_a_claim_after_a_kill_finds_the_dead_one(store: SQLiteStore) -> None:
    with child(CLAIM_AND_STAY, store.location) as process:
        line_of(process)
        os.kill(process.pid, signal.SIGKILL)
    answer = store.claim(Claim(record(store, claim_nonce="second")))
    assert isinstance(answer, Existing)
    assert not answer.alive
