"""The power is cut before every write and sync of a store's life: what was acknowledged is there at the next boot.

`SAMEKEY_SEED` chooses another selection of what the disk kept of that which was not synced.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from samekey._core.states import Move, Status
from samekey._core.verbs import Claim
from samekey.stores import AsyncSQLiteStore
from samekey.testing._contract.blocking import Blocking
from tests.powerloss.judge import DISKS, SEED, VARIANTS, Judge
from tests.powerloss.life import failed_sync, first_claim, live
from tests.powerloss.unsynced import leave_out_syncs
from tests.stores.builders import claimed, record, settlement

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from samekey.stores import SQLiteStore
    from tests.powerloss.life import Teller


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    with pytest.MonkeyPatch.context() as patch:
        return Judge(live(tmp_path_factory.mktemp("lived"), patch), tmp_path_factory.mktemp("after"))


@pytest.fixture(scope="module")
def losses(judge: Judge) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        leave_out_syncs(patch)
        return [loss for disk in DISKS for loss in judge.losses(disk)]


def test_every_state_of_a_life_was_met_at_some_power_cut(judge: Judge, losses: list[str]) -> None:
    assert judge.found == set(range(len(judge.life.states)))


def test_a_settlement_that_was_not_synced_may_be_in_flight_again_with_its_request(
    judge: Judge, losses: list[str]
) -> None:
    before = [judge.life.states[number - 1][0] for number in sorted(judge.undone)]
    assert len(before) >= 3
    assert all(row.frozen_request for rows in before for row in rows if row.status is Status.IN_FLIGHT)


def told(losses: list[str]) -> str:
    return "\n\n".join([f"{len(losses)} losses", *losses[:5]])


def test_what_was_acknowledged_is_there_after_a_power_loss(
    judge: Judge, losses: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        moments = judge.cuts // len(DISKS) // len(VARIANTS)
        print(f"\n{judge.cuts} power cuts at {moments} moments left {judge.images} images; SAMEKEY_SEED={SEED}")
    assert not losses, told(losses)
    assert judge.cuts > 4_000


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("tidied", [False, True])
def test_a_claim_that_follows_a_failed_sync_is_there_after_a_power_loss(
    tmp_path: Path, *, tidied: bool, apart: bool
) -> None:
    losses = list(all_losses(tmp_path, "unix", partial(failed_sync, tidied=tidied, apart=apart)))
    # The claim whose sync failed was told to be uncertain, so it may be there.
    may = "states 2 to 3" if apart else "states 1 to 2"
    broken = [loss for loss in losses if not (may in loss and "identity-two" in loss)]
    assert not broken, told(broken)


def all_losses(folder: Path, disk: str, life: Callable[[SQLiteStore, Teller], None], **instead: str) -> Iterator[str]:
    """What a store loses whose statements `PRAGMA synchronous = NAME` have another name."""
    pragma = "PRAGMA synchronous = "
    for name in ("lived", "after"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        lived = live(folder / "lived", patch, {pragma + a: pragma + b for a, b in instead.items()}, life)
        leave_out_syncs(patch)
        yield from Judge(lived, folder / "after").losses(disk)


def test_a_store_that_is_made_with_extra_survives_the_strictest_disk(tmp_path: Path) -> None:
    assert next(all_losses(tmp_path, "strict", first_claim), None) is None


def test_the_test_notices_a_store_that_is_made_with_less_than_extra(tmp_path: Path) -> None:
    loss = next(all_losses(tmp_path, "strict", first_claim, EXTRA="FULL"), None)
    assert loss is not None
    assert "not one of the states 1 to 1: []" in loss  # the journal came back and undid all


def test_on_unix_sqlite_syncs_the_folder_with_the_log_and_full_would_do(tmp_path: Path) -> None:
    assert next(all_losses(tmp_path, "unix", first_claim, EXTRA="FULL"), None) is None


def test_the_test_notices_a_claim_that_is_not_synced(tmp_path: Path) -> None:
    loss = next(all_losses(tmp_path, "unix", first_claim, FULL="NORMAL"), None)
    assert loss is not None
    assert "not one of the states 1 to 1: []" in loss


def with_others(store: Any, tell: Teller) -> None:
    """What only tasks of a loop do: several verbs in one commit, of several levels."""
    portal, inner = store.portal, store.inner

    async def together(*verbs: Callable[[], Coroutine[Any, Any, object]]) -> None:
        async with anyio.create_task_group() as group:
            for verb in verbs:
                group.start_soon(verb)

    for name in ("before", "long before"):  # while several actions run, the loop's turn is waited for
        with tell.changing(durable=True):
            claimed(store, name)
    rows = [record(store, str(number)) for number in range(4)]
    with tell.changing(durable=True):
        portal.call(together, *[partial(inner.claim, Claim(row)) for row in rows])
    one, two, three, four = rows
    with tell.changing(durable=False):
        portal.call(together, *[partial(inner.settle, settlement(row)) for row in (one, two)])
    with tell.changing(durable=True):  # the claim is in it
        five = record(store, "five")
        portal.call(together, partial(inner.settle, settlement(three)), partial(inner.claim, Claim(five)))
    with tell.changing(durable=True):
        portal.call(inner.settle, settlement(four, Move.REFUSAL, durable=True))


@pytest.mark.parametrize(("life", "least"), [(None, 4_000), (with_others, 300)], ids=["one by one", "together"])
def test_what_was_acknowledged_to_tasks_of_a_loop_is_there_after_a_power_loss(
    tmp_path: Path, life: Any, least: int
) -> None:
    for name in ("lived", "after"):
        (tmp_path / name).mkdir()
    with start_blocking_portal() as portal, pytest.MonkeyPatch.context() as patch:

        class OnALoop(Blocking):
            def __init__(self, path: Path, **options: Any) -> None:
                super().__init__(AsyncSQLiteStore(path, **options), portal)
                self._engine, self._files = self.inner._engine, self.inner._files  # type: ignore[attr-defined]

        lived = live(tmp_path / "lived", patch, life=life, make=OnALoop)
        leave_out_syncs(patch)
        judge = Judge(lived, tmp_path / "after")
        losses = [loss for disk in DISKS for loss in judge.losses(disk)]
    assert not losses, told(losses)
    assert judge.cuts > least
