"""The contract, over PostgreSQL, for threads and for event loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from samekey.stores import AsyncPostgresStore, AsyncStore, PostgresStore, Store
from samekey.testing import StoreContract
from tests.servers.postgres import Postgres


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def make_store(self, postgres: Postgres, empty_schema: str) -> Callable[[], Store]:
        return lambda: PostgresStore(postgres.url, schema=empty_schema)

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable


class TestAsyncPostgresStore(StoreContract):
    @pytest.fixture
    def make_store(self, postgres: Postgres, empty_schema: str) -> Callable[[], AsyncStore]:
        return lambda: AsyncPostgresStore(postgres.url, schema=empty_schema)
