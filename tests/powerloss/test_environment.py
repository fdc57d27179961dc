"""What happens around an open store: full and read-only mounts, signals, files that are taken away."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

import samekey
from samekey.errors import StoreError, StoreUnavailableError
from samekey.stores import SQLiteStore, _keeper, _locks
from tests.powerloss.life import forget, state_of
from tests.stores.builders import claimed, done, stored
from tests.stores.children import PRELUDE, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samekey._core.model import Record

# --- mounts, each in a namespace of its own, which takes them along when its process ends --------------------


def in_own_mount(code: str, folder: Path, options: str) -> list[str]:
    """Runs Python in a process for which `folder` is a small file system in memory; returns the lines it says."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("mount namespaces are Linux's")
    mount = f"mount -t tmpfs -o {options} tmpfs {folder}"
    started = ["unshare", "--mount", "--", "sh", "-c", f'{mount} || exit 77; exec "$0" "$@"']
    command = [*started, sys.executable, "-c", PRELUDE + TELL + code, str(folder / "samekey.db")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    if answer.returncode == 77 or "unshare failed" in answer.stderr:
        pytest.skip("may not mount anything here")
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


TELL = """
import errno, subprocess
def told(verb):
    try:
        verb()
    except StoreError as error:
        say(f"{type(error).__name__} {error.uncertain} {error}")
    else:
        say("no error")
def remount(how):
    return subprocess.run(["mount", "-o", f"remount,{how}", os.path.dirname(path)], capture_output=True).returncode
"""

FULL = """
store = SQLiteStore(path)
first = claimed(store, "first")
store.settle(settlement(first))
row = claimed(store, "before")
filler = os.open(os.path.dirname(path) + "/filler", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(filler, bytes(4096))
except OSError as error:
    assert error.errno == errno.ENOSPC
before = store.find()
told(lambda: claimed(store, "big", frozen_request=bytes(100_000)))
told(lambda: store.tidy())
assert store.find() == before
store.close()
assert SQLiteStore(path).find() == before
os.ftruncate(filler, 0)
claimed(store, "big", frozen_request=bytes(100_000))
store.settle(settlement(row))
store.tidy()
assert [tuple(row) for row in store._engine.read(lambda c: c.execute("PRAGMA quick_check").fetchall())] == [("ok",)]
say([record.status.value for record in store.find()])
"""


def test_a_full_file_system_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    claim, tidy, after = in_own_mount(FULL, tmp_path, "size=1m")
    assert claim.startswith("StoreUnavailableError ")
    assert "cannot be written (disk full), so nothing was sent; free space" in claim
    assert tidy == "no error" or tidy.startswith("StoreUnavailableError ")
    assert after == "['succeeded', 'succeeded', 'in_flight']"


FULL_AT_FIRST = """
filler = os.open(os.path.dirname(path) + "/filler", os.O_CREAT | os.O_WRONLY)
try:
    while True:
        os.write(filler, bytes(4096))
except OSError as error:
    assert error.errno == errno.ENOSPC
size = os.fstat(filler).st_size
while size > 0:
    store = SQLiteStore(path)
    told(lambda: (store.secret(None), claimed(store)))
    store.close()
    size -= 8192
    os.ftruncate(filler, max(size, 0))
say(len(SQLiteStore(path).find()))
"""


def test_a_store_that_found_no_space_is_made_when_there_is_some(tmp_path: Path) -> None:
    *told, last = in_own_mount(FULL_AT_FIRST, tmp_path, "size=512k")
    assert last == "1"
    failures = [line for line in told if line.startswith("Store")]
    assert len(failures) >= 5
    assert all(line.startswith("StoreUnavailableError ") and "nothing was sent" in line for line in failures)


READ_ONLY = """
if os.fork() == 0:  # its holder's file is open to write as long as it lives
    done(SQLiteStore(path))
    os._exit(0)
os.wait()
store = SQLiteStore(path)
assert remount("ro") == 0
told(lambda: claimed(store, "refused"))
told(lambda: store.secret(None))
assert remount("rw") == 0
claimed(store, "again")
say([record.identity for record in store.find()])
"""


def test_a_read_only_remount_is_told_and_lifted(tmp_path: Path) -> None:
    claim, secret, after = in_own_mount(READ_ONLY, tmp_path, "size=8m")
    for line in (claim, secret):
        assert line.startswith("StoreUnavailableError False ")
        assert "nothing was sent" in line
    assert after == "['identity-c-9', 'identity-again']"


READ_ONLY_OPEN = """
store = SQLiteStore(path)
row = claimed(store)
busy = remount("ro")
told(lambda: store.settle(settlement(row, durable=True)))
remount("rw")
say(busy != 0)
say(stored(store).settled)
"""


def test_an_open_store_is_not_remounted_read_only_under_a_claim(tmp_path: Path) -> None:
    settled, busy, after = in_own_mount(READ_ONLY_OPEN, tmp_path, "size=8m")
    assert (settled, busy, after) == (
        "no error",
        "True",
        "True",
    )  # the kernel refuses while files are open to write


# --- signals -------------------------------------------------------------------------------------------------


class InterruptedWaitError(Exception):
    pass


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SQLiteStore]:
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # it would wait for the lock too
    store = SQLiteStore(tmp_path / "in" / "samekey.db")
    done(store, "before")
    yield store
    forget(store)


def while_it_waits(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, signals: int, last: Callable[[], None]
) -> Record:
    """Claims while another holds the lock file; the last of so many signals in the wait frees it."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        pytest.skip("only the main thread handles signals")
    other = os.open(f"{store.location}.lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)
    waiting, handled = threading.Event(), threading.Semaphore(0)
    count = 0

    class Fcntl:
        def __getattr__(self, name: str) -> Any:
            return getattr(fcntl, name)

        def flock(self, descriptor: int, how: int) -> None:
            waiting.set()
            fcntl.flock(descriptor, how)

    def handler(*_: object) -> None:
        nonlocal count
        count += 1
        handled.release()
        if count == signals:
            fcntl.flock(other, fcntl.LOCK_UN)
            last()

    def send() -> None:
        waiting.wait()
        for _ in range(signals):
            signal.pthread_kill(main.ident or 0, signal.SIGUSR1)
            while not handled.acquire(timeout=0.1) and count < signals:
                # It came just before the call, which it did not interrupt.
                signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send, daemon=True)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(_locks, "fcntl", Fcntl())
            sender.start()
            return claimed(store, "waited")
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
        os.close(other)


def test_a_signal_does_not_end_the_wait_for_the_lock(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = while_it_waits(store, monkeypatch, 5, lambda: None)
    assert stored(store, "waited") == row


def test_a_handler_that_raises_ends_the_wait_and_nothing_is_claimed(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle() -> None:
        raise InterruptedWaitError

    with pytest.raises(InterruptedWaitError):
        while_it_waits(store, monkeypatch, 1, handle)
    assert store.get("identity-waited") is None
    assert claimed(store, "waited").attempts == 1


# --- files that are taken away, as a client meets it ---------------------------------------------------------

API = "https://api.shop.example"
create_order = samekey.Operation("create_order", scope=("order",), reference="/id")


@pytest.fixture
def api() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=False) as router:
        router.post("/orders").mock(return_value=httpx.Response(201, json={"id": "order_1"}))
        yield router


@pytest.fixture
def client(tmp_path: Path, api: respx.MockRouter) -> Iterator[samekey.Client]:
    path = tmp_path / "shop" / "samekey.db"
    with samekey.Client(API, window=timedelta(days=1), store=path, verify=False) as client:
        order(client, 1)
        yield client


def order(client: samekey.Client, number: int) -> httpx.Response:
    with client.action(create_order, scope={"order": number}) as action:
        response: httpx.Response = action.post("/orders", json={"total": "19.99"})
    return response


def delete(path: Path) -> None:
    path.unlink()


def replace_by_a_copy(path: Path) -> None:
    shutil.copy(path, f"{path}.copy")
    os.replace(f"{path}.copy", path)


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def rename_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


@pytest.mark.parametrize("take_away", [delete, replace_by_a_copy, delete_folder, rename_folder])
def test_nothing_is_sent_once_the_file_is_gone(
    client: samekey.Client, api: respx.MockRouter, tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    take_away(tmp_path / "shop" / "samekey.db")
    for number in (2, 3):
        with pytest.raises(StoreError, match="nothing was sent"):
            order(client, number)
    assert api.calls.call_count == 1


@pytest.mark.parametrize("name", ["samekey.db.lock", "samekey.db.holders"])
def test_a_store_goes_on_without_its_lock_file_and_its_holders(
    client: samekey.Client, api: respx.MockRouter, tmp_path: Path, name: str
) -> None:
    gone = tmp_path / "shop" / name
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    order(client, 2)
    order(client, 2)
    assert api.calls.call_count == 2


@pytest.mark.parametrize("gone", [("-shm",), ("-wal", "-shm")])
@pytest.mark.parametrize("used", [True, False], ids=["after a claim", "only opened"])
def test_nothing_is_claimed_where_what_lies_beside_the_database_is_gone(
    tmp_path: Path, gone: tuple[str, ...], *, used: bool
) -> None:
    """SQLite would write into files that nobody else sees, also where others have made new ones."""
    store = SQLiteStore(tmp_path / "samekey.db")
    store.secret(None)
    if used:
        claimed(store, "before")
    for suffix in gone:
        Path(f"{store.location}{suffix}").unlink()
    other = SQLiteStore(tmp_path / "samekey.db")
    with suppress(StoreError):
        claimed(other, "by another")
    with pytest.raises(StoreUnavailableError, match="was deleted or replaced while it was in use"):
        claimed(store, "late")
    forget(other)
    forget(store)


def test_a_place_that_cannot_be_looked_at_is_told_in_our_words(store: SQLiteStore, tmp_path: Path) -> None:
    """Its directory has lost its rights, or its disk; here, a link to itself has come in its place."""
    place = Path(store.location)
    place.rename(tmp_path / "aside")
    place.symlink_to(place)
    with pytest.raises(StoreUnavailableError, match="so nothing was sent"):
        claimed(store, "late")
    place.unlink()
    (tmp_path / "aside").rename(place)
    claimed(store, "again")


def test_a_claim_is_not_acknowledged_into_a_log_that_is_gone(store: SQLiteStore, tmp_path: Path) -> None:
    Path(f"{store.location}-wal").unlink()
    before = state_of(store)
    try:
        row = claimed(store, "late")
    except StoreError:
        return
    shutil.copytree(tmp_path / "in", tmp_path / "killed")
    other = SQLiteStore(tmp_path / "killed" / "samekey.db")
    found = other.get(row.identity)
    forget(other)
    assert before
    assert found is not None
