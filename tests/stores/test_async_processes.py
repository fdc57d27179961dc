"""Stores for event loops among real processes: killed, forked, and on the same file at once."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.stores import SQLiteStore
from tests.stores.children import child, line_of, output_of

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = """
import anyio
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.stores import AsyncSQLiteStore
backend = sys.argv[2]

async def act(store, name, until_settled=True):
    row = record(store, name)
    assert isinstance(await store.claim(Claim(row)), Claimed)
    if until_settled:
        assert isinstance(await store.settle(settlement(row)), Settled)

async def many(store, start, number, **options):
    async with anyio.create_task_group() as group:
        for each in range(number):
            group.start_soon(lambda name: act(store, name, **options), f"{start}-{each}")
"""

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@backends
def test_what_was_acknowledged_before_a_kill_is_there_and_its_holder_is_dead(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "samekey.db"
    code = (
        PRELUDE
        + """
async def main():
    store = AsyncSQLiteStore(path)
    await store.secret(None)
    await many(store, 'settled', 16)
    await many(store, 'claimed', 16, until_settled=False)
    say('done')
    for turn in range(1_000_000):
        await many(store, turn, 16)
anyio.run(main, backend=backend)
"""
    )
    with child(code, path, backend) as process:
        assert line_of(process) == "done"
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    store = SQLiteStore(path)
    rows = store.find()
    of = {row.idempotency_key: row for row in rows}
    assert all(of[f"key-settled-{number}-1"].status is Status.SUCCEEDED for number in range(16))
    for number in range(16):
        row = of[f"key-claimed-{number}-1"]
        assert row.status is Status.IN_FLIGHT
        found = store.get(row.identity)
        assert isinstance(found, Existing)
        assert not found.alive
    store.close()


@backends
def test_two_processes_on_one_file_lose_nothing_and_win_each_claim_once(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "samekey.db"
    code = (
        PRELUDE
        + """
async def main():
    store = AsyncSQLiteStore(path)
    await store.secret(None)
    won = []
    async def race(number):
        row = record(store, str(number), claim_nonce=f"{os.getpid()}")
        if isinstance(await store.claim(Claim(row)), Claimed):
            won.append(number)
            await store.settle(settlement(row))
    say('ready')
    sys.stdin.readline()
    for start in range(0, 400, 40):
        async with anyio.create_task_group() as group:
            for number in range(start, start + 40):
                group.start_soon(race, number)
    await store.aclose()
    say(' '.join(map(str, won)))
anyio.run(main, backend=backend)
"""
    )
    with child(code, path, backend) as one, child(code, path, backend) as two:
        for process in (one, two):
            assert line_of(process) == "ready"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [line_of(process).split() for process in (one, two)]
    assert sorted(int(each) for each in won[0] + won[1]) == list(range(400))
    store = SQLiteStore(path)
    rows = store.find()
    assert len(rows) == 400
    assert {row.status for row in rows} == {Status.SUCCEEDED}
    store.close()


@backends
def test_who_waits_for_another_process_learns_of_its_settlement_and_of_its_death(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "samekey.db"
    code = (
        PRELUDE
        + """
async def main():
    store = AsyncSQLiteStore(path)
    await store.secret(None)
    for name in ('settled', 'killed'):
        existing = await store.get(f'identity-{name}')
        assert existing.alive and not existing.own
        say('waiting')
        await store.wait(existing, 120)
        existing = await store.get(f'identity-{name}')
        say(f'{existing.record.status.value} {existing.alive}')
    await store.aclose()
anyio.run(main, backend=backend)
"""
    )
    with child("store = SQLiteStore(path)\nrow = claimed(store, 'settled')\nclaimed(store, 'killed')\nsay('claimed')\n"
               "sys.stdin.readline()\nstore.settle(settlement(row))\nsys.stdin.readline()", path) as holder:  # fmt: skip
        assert line_of(holder) == "claimed"
        with child(code, path, backend) as waiter:
            assert line_of(waiter) == "waiting"
            assert holder.stdin is not None
            holder.stdin.write("go\n")
            holder.stdin.flush()
            assert line_of(waiter) == "succeeded False"
            assert line_of(waiter) == "waiting"
            holder.send_signal(signal.SIGKILL)
            assert line_of(waiter) == "in_flight False"


@backends
def test_a_child_opens_anew_after_its_parent_used_the_store(tmp_path: Path, backend: str) -> None:
    code = (
        PRELUDE
        + """
store = AsyncSQLiteStore(path)
async def parent():
    await store.secret(None)
    await many(store, 'before', 8)
async def in_child(name):
    assert len(store._holder.running if store._holder else ()) == 0
    await store.secret(None)
    assert store.holder != before
    await many(store, name, 4)
    os.read(wait, 1)  # until the parent has closed its own
    await many(store, f'{name}-late', 4)
    await store.aclose()
anyio.run(parent, backend=backend)
before = store.holder
wait, go = os.pipe()
children = []
for number in range(3):
    pid = os.fork()
    if not pid:
        status = 1
        try:
            assert store.holder != before  # also before it has opened anything
            anyio.run(in_child, f'child{number}', backend=backend)
            status = 0
        finally:
            os._exit(status)
    children.append(pid)
async def parent_again():
    assert store.holder == before
    await many(store, 'after', 8)
anyio.run(parent_again, backend=backend)
anyio.run(store.aclose, backend=backend)
os.write(go, b'1' * 3)
assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children)
say('well')
"""
    )
    path = tmp_path / "samekey.db"
    assert output_of(code, path, backend) == "well"
    store = SQLiteStore(path)
    assert len(store.find(statuses={Status.SUCCEEDED})) == 8 * 5
    store.close()


@backends
def test_a_fork_in_the_middle_of_a_commit_leaves_both_able_to_work(tmp_path: Path, backend: str) -> None:
    code = (
        PRELUDE
        + """
import warnings
warnings.simplefilter('ignore')  # Python warns of any fork beside threads
store = AsyncSQLiteStore(path)
pids = []
async def in_child():
    other = AsyncSQLiteStore(path)
    await other.secret(None)
    await act(other, f'child{os.getpid()}')
    await other.aclose()
async def main():
    await store.secret(None)
    async with anyio.create_task_group() as group:
        group.start_soon(many, store, 'parent', 40)
        for turn in range(5):
            await anyio.lowlevel.checkpoint()
            pid = os.fork()
            if not pid:
                os.execv(sys.executable, [sys.executable, '-c', again, path, backend]) if turn % 2 else os._exit(0)
            pids.append(pid)
    await store.aclose()
again = open('/proc/self/cmdline').read().split(chr(0))[2].partition('import warnings')[0] + '''
async def in_child():
    other = AsyncSQLiteStore(path)
    await other.secret(None)
    await act(other, f'child{os.getpid()}')
    await other.aclose()
anyio.run(in_child, backend=backend)
'''
anyio.run(main, backend=backend)
assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in pids)
say('well')
"""
    )
    path = tmp_path / "samekey.db"
    assert output_of(code, path, backend) == "well"
    store = SQLiteStore(path)
    assert len(store.find(statuses={Status.SUCCEEDED})) == 42
    store.close()


def test_the_end_of_the_process_empties_the_log_of_a_store_that_was_not_closed(tmp_path: Path) -> None:
    path = tmp_path / "samekey.db"
    code = (
        PRELUDE
        + """
async def main():
    global store
    store = AsyncSQLiteStore(path)
    await store.secret(None)
    await many(store, 'one', 3)
    say('well')
anyio.run(main, backend=backend)
"""
    )
    assert output_of(code, path, "asyncio") == "well"
    log = f"{path}-wal"
    assert not os.path.exists(log) or os.path.getsize(log) == 0
