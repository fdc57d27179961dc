"""Opens what a power loss left, as the next process does, and says which promise is broken."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from samekey._core.states import UNSETTLED
from samekey._core.verbs import Renewed
from samekey.stores import SQLiteStore
from tests.powerloss.disk import Image, Kept, KeptNames, Mark, cuts, write_image
from tests.powerloss.life import WHERE, Life, forget, state_of
from tests.powerloss.unsynced import connect_unsynced
from tests.stores.builders import claimed, renewal, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEED = int(os.environ.get("SAMEKEY_SEED", "0"))

VARIANTS: tuple[tuple[KeptNames, Kept], ...] = (
    ("nothing", "nothing"),
    ("nothing", "all"),
    ("all", "nothing"),
    ("all", "all"),
    ("made", "all"),
    ("some", "some"),
    ("nothing", "sectors"),
    ("all", "sectors"),
    ("some", "sectors"),
)
"""What is left of names and of bytes that were not synced."""

DISKS = ("unix", "strict")
"""What the sync of a folder settles, see `Disk`."""


@dataclass
class Judge:
    """Opens what a power loss left, as the next process does.

    Attributes:
        life: what the store did.
        folder: where to lay out what is left.
        cuts: how often the power was cut.
        found: the states that were found afterwards.
        undone: the states that had been told and were not there, as they may when they were not to be durable.
    """

    life: Life
    folder: Path
    cuts: int = 0
    found: set[int] = field(default_factory=set)
    undone: set[int] = field(default_factory=set)
    _seen: set[tuple[object, ...]] = field(default_factory=set)
    _told: int = 0

    @property
    def images(self) -> int:
        """Different things that were left, with what was promised of them."""
        return len(self._seen)

    def losses(self, disk: str, seed: int = SEED) -> Iterator[str]:
        """Every broken promise, with how to see it again."""
        for number, operation, medium, marks in cuts(self.life.log, strict=disk == "strict"):
            for names, data in VARIANTS:
                random = Random(f"{seed}/{number}/{names}/{data}")
                image = medium.image(names, data, random)
                self.cuts += 1
                promises = self._promises(marks)
                key = (sha256(repr(sorted(image.items())).encode()).digest(), *promises)
                if key in self._seen:
                    continue
                self._seen.add(key)
                self._told = max((mark.value for mark in marks if mark.what == "told"), default=0)
                broken = self._broken(image, *promises)
                if broken is not None:
                    yield (
                        f"{broken}\ncut {number}, before {operation} (names kept: {names}, bytes kept: {data}, "
                        f"{disk} disk, after {marks[-1] if marks else 'nothing'})\n"
                        f"again: SAMEKEY_SEED={seed} uv run pytest tests/powerloss/test_power_loss.py"
                    )

    @staticmethod
    def _promises(marks: list[Mark]) -> tuple[int, int, bytes | None]:
        least = max((mark.value for mark in marks if mark.what == "durable"), default=0)
        most = max((mark.value for mark in marks if mark.what == "begun"), default=0)
        return least, most, next((mark.value for mark in marks if mark.what == "secret"), None)

    def _broken(self, image: Image, least: int, most: int, secret: bytes | None) -> str | None:
        folder = self.folder / "after"
        folder.mkdir()
        write_image(image, folder)
        store = SQLiteStore(folder / WHERE, _connect=connect_unsynced)
        try:
            self._assert_kept(store, least, most, secret)
        except Exception as error:  # noqa: BLE001 - whatever it is, it broke a promise
            return f"{type(error).__name__}: {error}"
        finally:
            forget(store)
            shutil.rmtree(folder)
        return None

    def _assert_kept(self, store: SQLiteStore, least: int, most: int, secret: bytes | None) -> None:
        found = store.secret(None)
        assert secret in {None, found}, "the secret is another one"
        sound = store._engine.read(lambda connection: connection.execute("PRAGMA quick_check").fetchall())
        assert [tuple(row) for row in sound] == [("ok",)], sound
        state = state_of(store)
        assert state in self.life.states[least : most + 1], (
            f"not one of the states {least} to {most}: {[(row.identity, row.status) for row in state[0]]}"
        )
        number = self.life.states.index(state)
        self.found.add(number)
        if number < self._told:
            self.undone.add(self._told)
        for row in state[0]:
            if row.status in UNSETTLED:
                existing = store.get(row.identity)
                assert existing is not None
                assert not existing.alive, "a process of before the power loss is taken for alive"
                assert isinstance(store.renew(renewal(row, store, new_fence=row.fence + 1)), Renewed)
        after = claimed(store, "after")
        store.settle(settlement(after, durable=True))
        assert stored(store, "after").settled
