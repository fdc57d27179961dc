"""Real processes on one store: who is alive, who waits, who is killed."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Existing, Renewed, Settled
from samekey.stores import SQLiteStore, _holders
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
kept = store._me()  # as the frame of a thread that was at work does, which a child keeps for ever
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
    monkeypatch.setattr(_holders, "boot_id", lambda: None)
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
