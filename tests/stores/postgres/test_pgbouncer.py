"""The contract through PgBouncer in transaction mode, for threads and for event loops, and a script that is killed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samekey.stores import AsyncPostgresStore, AsyncStore, PostgresStore, Store
from samekey.testing import LOST_REPLIES, StoreContract
from tests.acceptance.matrix import KillingServer, Matrix, check_made_once
from tests.servers import pgbouncer
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.skipif(pgbouncer.BINARY is None, reason="no pgbouncer here")

SESSIONS = 3
"""Fewer than the clients, so that no one keeps one."""


@pytest.fixture(scope="module")
def bouncer(postgres: Postgres) -> Iterator[PgBouncer]:
    with PgBouncer(postgres, sessions=SESSIONS) as running:
        yield running


class TestPostgresStoreBehindPgBouncer(StoreContract):
    @pytest.fixture
    def make_store(self, bouncer: PgBouncer, empty_schema: str) -> Callable[[], Store]:
        return lambda: PostgresStore(bouncer.url, schema=empty_schema)


class TestAsyncPostgresStoreBehindPgBouncer(StoreContract):
    @pytest.fixture
    def make_store(self, bouncer: PgBouncer, empty_schema: str) -> Callable[[], AsyncStore]:
        return lambda: AsyncPostgresStore(bouncer.url, schema=empty_schema)


@pytest.mark.slow
def test_a_script_in_four_processes_that_are_killed_makes_every_order_once(tmp_path: Path) -> None:
    with Postgres() as postgres, PgBouncer(postgres, sessions=SESSIONS) as pooler, KillingServer(1) as server:
        server.chaos(0.25, LOST_REPLIES)
        references = Matrix(server, tmp_path, seed=1, kills=16, processes=4, store=pooler.url).run()
        with contextlib.closing(PostgresStore(pooler.url)) as store:
            check_made_once(server, references, store)
