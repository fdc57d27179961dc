"""Forks: what a child uses, and what it finds locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stores.children import output_of

if TYPE_CHECKING:
    from pathlib import Path

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


FORK_WHILE_THE_DISK_IS_SLOW = """
import threading
from samekey.stores import _fork, _log
from tests.stores.builders import descriptors_of_log
_fork.PATIENCE = 0.01
store = SQLiteStore(path)
done(store, "first")
done(store, "second")
reached, free = threading.Event(), threading.Event()
class Disk:
    def __getattr__(self, name):
        return getattr(os, name)
    def fdatasync(self, descriptor):
        reached.set()
        assert free.wait(60)
        os.fdatasync(descriptor)
_log.os = Disk()
thread = threading.Thread(target=done, args=(store, "slow"))
thread.start()
reached.wait()
pid = os.fork()
if pid == 0:
    os._exit(len(descriptors_of_log(store)))
# SQLite's own connection is the parent's, and can be neither used nor closed.
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
free.set()
thread.join()
say(len(store.find()))
"""


def test_a_child_of_a_fork_while_another_thread_waits_for_the_disk_gets_no_descriptor_of_the_log(
    tmp_path: Path,
) -> None:
    assert output_of(FORK_WHILE_THE_DISK_IS_SLOW, tmp_path / "samekey.db").splitlines() == ["1", "3"]


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


FORK_WHILE_THE_BOOT_IS_READ = """
import threading
from pathlib import Path
from samekey.stores import _boot
reading = threading.Event()
class Slow:
    def read_text(self, encoding):
        reading.set()
        threading.Event().wait()
fast, _boot._LINUX = _boot._LINUX, Slow()
threading.Thread(target=_boot.boot_id, daemon=True).start()
reading.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    _boot._LINUX = fast
    claimed(SQLiteStore(path))
    os._exit(0)
say(os.waitpid(pid, 0)[1])
os._exit(0)
"""

FORK_WHILE_A_BUDGET_IS_USED = """
from samekey._drivers.runtime import BUDGETS
budget = BUDGETS.budget("https://api.example", 0.1, 10.0)
BUDGETS.lock.acquire()
pid = os.fork()
if pid == 0:
    signal.alarm(30)
    budget.deposit()
    os._exit(0 if budget.withdraw(1.0) else 1)
say(os.waitpid(pid, 0)[1])
"""


@pytest.mark.parametrize("code", [FORK_WHILE_THE_BOOT_IS_READ, FORK_WHILE_A_BUDGET_IS_USED])
def test_a_fork_while_another_thread_holds_a_lock_of_the_process_leaves_the_child_free(
    tmp_path: Path, code: str
) -> None:
    assert output_of(code, tmp_path / "samekey.db") == "0"
