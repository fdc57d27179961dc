"""The first bar: a script of 150 actions that is killed 25 times, while a quarter of all replies is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import LOST_REPLIES
from tests.acceptance.matrix import KillingServer, Matrix
from tests.acceptance.order_script import ACTIONS

KILLS = 25


@pytest.mark.slow
@pytest.mark.parametrize("script", ["order_script", "async_order_script"])
@pytest.mark.parametrize("processes", [1, 4])
def test_a_script_that_is_killed_25_times_makes_every_order_once_and_always_gets_the_same_id(
    processes: int, script: str, tmp_path: Path, seed: int
) -> None:
    assert len(LOST_REPLIES) == 7
    with KillingServer(seed) as server:
        server.chaos(0.25, LOST_REPLIES)
        module = f"tests.acceptance.{script}"
        matrix = Matrix(server, tmp_path, seed=seed, kills=KILLS, processes=processes, script=module)

        references = matrix.run()
        server.wait_idle()

        made = {effect.key: effect.reference for effect in server.effects}
        lost = set(range(ACTIONS)) - set(references)
        print(f"{sum(matrix.killed.values())} kills: {[(w.name, n) for w, n in matrix.killed.items()]}")
        print(f"{len(server.effects)} effects of {ACTIONS} orders, {len(server.requests)} requests, lost {lost}")
        assert sum(matrix.killed.values()) == KILLS
        assert len(server.effects) == len(made) == ACTIONS
        assert not lost
        assert {number: len(found) for number, found in references.items()} == dict.fromkeys(range(ACTIONS), 1)
        assert {reference for found in references.values() for reference in found} == set(made.values())

    store = SQLiteStore(matrix.store)
    records = store.find()
    store.close()
    assert [record.status for record in records] == [samekey.Status.SUCCEEDED] * ACTIONS
    assert {record.idempotency_key: record.response_reference for record in records} == made
