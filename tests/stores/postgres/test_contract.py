"""The contract, over PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from samekey.stores import PostgresStore, Store
from tests.servers.postgres import Postgres
from tests.stores.contract import StoreContract


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, postgres: Postgres, schema: str) -> Iterator[Store]:
        store = PostgresStore(postgres.url, schema=schema)
        store.secret(None)
        yield store
        store.close()

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable
