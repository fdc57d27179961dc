"""The life of one store, taped: made, claims, settlements, the log emptied in every way, closed and opened again."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from samekey._core.model import Event, Record
from samekey._core.states import Move
from samekey._core.verbs import Renewed
from samekey.errors import StoreUnavailableError
from samekey.stores import SQLiteStore, _keeper
from samekey.stores._holders import holders
from samekey.stores._keeper import Extent
from tests.powerloss.disk import Operation, Tape
from tests.powerloss.recorder import TapedVFS, tape_os
from tests.stores.builders import at, claimed, renewal, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

State: TypeAlias = tuple[list[Record], dict[str, list[Event]]]
"""All that a store knows: its records and their events."""

WHERE = "new/samekey.db"
"""The store's file, in a folder that it makes."""

BIG = b'{"lines":"' + b"0123456789" * 2_000 + b'"}'
"""A body of several pages."""


def state_of(store: SQLiteStore) -> State:
    records = store.find()
    return records, {record.idempotency_key: store.events(record.idempotency_key) for record in records}


def log_of(store: SQLiteStore) -> int:
    """How long its log is."""
    return os.stat(f"{store.location}-wal").st_size


def forget(store: SQLiteStore) -> None:
    """Closes a store for good: this process is no holder of it any more."""
    store.close()
    holder = holders._holders.pop(store._files.database, None)
    if holder is not None:
        holder.let_go()


@dataclass(frozen=True)
class Life:
    """What was asked of the disk, and every state that the store was in."""

    log: list[Operation]
    states: list[State]


class Teller:
    """Marks on the tape which states are possible and which are promised."""

    def __init__(self, tape: Tape, store: SQLiteStore) -> None:
        self._tape = tape
        self._store = store
        self.states: list[State] = [([], {})]

    @contextmanager
    def changing(self, *, durable: bool) -> Iterator[None]:
        """Around one verb: from its beginning its state is possible, from its end promised if it is durable."""
        number = len(self.states)
        self._tape.mark("begun", number)
        yield
        self.states.append(state_of(self._store))
        assert self.states[-1] != self.states[-2]
        self._tape.mark("durable" if durable else "told", number)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Around one verb whose syncs fail."""
        self._tape.failing = True
        try:
            with pytest.raises(StoreUnavailableError) as caught:
                yield
            assert caught.value.uncertain
        finally:
            self._tape.failing = False

    @contextmanager
    def emptying(self) -> Iterator[None]:
        """Around what empties the log: afterwards all that was acknowledged is durable."""
        yield
        self._tape.mark("durable", len(self.states) - 1)


def live(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    instead: Mapping[str, str] = MappingProxyType({}),
    life: Callable[[SQLiteStore, Teller], None] | None = None,
    make: Callable[..., Any] = SQLiteStore,
) -> Life:
    """Runs the store and returns what it asked of the disk.

    Args:
        folder: where the store's own folder is made.
        monkeypatch: puts the store's system calls on tape while it lives.
        instead: statements that it runs in place of others.
        life: what it does once it is made; `whole_life` by default.
        make: makes the store.
    """
    monkeypatch.setattr(_keeper, "DELAY", 3_600.0)  # the log is emptied here when it is time
    tape = Tape()
    vfs = TapedVFS(tape, str(folder), instead)
    store = make(folder / WHERE, _connect=vfs.connect)
    teller = Teller(tape, store)
    with monkeypatch.context() as patch:
        tape_os(vfs, patch)
        tape.mark("secret", store.secret(None))
        (life or whole_life)(store, teller)
        forget(store)
    vfs.unregister()
    return Life(tape.log, teller.states)


def first_claim(store: SQLiteStore, tell: Teller) -> None:
    with tell.changing(durable=True):
        claimed(store, "one")


def failed_sync(store: SQLiteStore, tell: Teller, *, tidied: bool = False, apart: bool = False) -> None:
    """A claim whose sync fails, on top of a settlement that was not synced; then the disk works again.

    Args:
        store: just made.
        tell: is told.
        tidied: whether the log is emptied before the next claim.
        apart: whether it is the store that syncs the log, after the commit, and not SQLite.
    """
    with tell.changing(durable=True):
        one = claimed(store, "one")
    if apart:  # which it does once it knows the operation's scope names
        with tell.changing(durable=True):
            claimed(store, "between")
    with tell.changing(durable=False):
        store.settle(settlement(one))
    with tell.failing():
        claimed(store, "two")
    if tidied:
        store.tidy()
    with tell.changing(durable=True):
        claimed(store, "three")


def whole_life(store: SQLiteStore, tell: Teller) -> None:
    with tell.changing(durable=True):
        one = claimed(store, "one")
    with tell.changing(durable=False):
        store.settle(settlement(one))
    with tell.changing(durable=True):
        two = claimed(store, "two")
    with tell.changing(durable=True):
        answer = store.renew(renewal(two, store))
        assert isinstance(answer, Renewed)
    with tell.changing(durable=True):
        store.settle(settlement(answer.record, Move.REFUSAL, durable=True, at=at(40)))
    with tell.changing(durable=False):
        store.note(stored(store, "one"), Event(at(50), "replayed", "the answer was given again"))
    with tell.changing(durable=True):
        three = claimed(store, "three", frozen_request=BIG)
    # As the keeper does it while there is work: the log is begun anew over what it held.
    with tell.emptying():
        assert store._engine.emptier.empty(Extent.REST) is not None
    with tell.changing(durable=True):
        four = claimed(store, "four")
    with tell.changing(durable=False):
        store.settle(settlement(four))
    with tell.changing(durable=True):
        store.settle(settlement(three, durable=True))
    # And once more: what is left behind it of the time before is cut off.
    length = log_of(store)
    with tell.emptying():
        assert store._engine.emptier.empty(Extent.REST) is not None
    assert log_of(store) < length
    with tell.changing(durable=True):
        claimed(store, "over what was left")
    with tell.emptying():
        store.tidy()
    with tell.changing(durable=True):
        five = claimed(store, "five")
    with tell.changing(durable=False):
        store.settle(settlement(five))
    with tell.emptying():
        store.close()
    with tell.changing(durable=True):
        claimed(store, "six")
    with tell.emptying():
        store.close()
