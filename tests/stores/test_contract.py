"""Both stores keep the one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from samekey.stores import MemoryStore, SQLiteStore
from tests.stores.contract import A_RECORD, StoreContract, assert_whatever_was_stored_comes_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from samekey.stores import Store


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()

    def test_its_claims_are_not_durable(self) -> None:
        assert not MemoryStore().claim_durable


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SQLiteStore(tmp_path / "made" / "samekey.db")
        store.secret(None)
        yield store
        store.close()

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable


@pytest.mark.parametrize("kind", [MemoryStore, SQLiteStore])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@A_RECORD
def test_whatever_was_stored_comes_back(
    kind: type[Store], tmp_path: Path, moment: datetime, texts: dict[str, str], body: bytes
) -> None:
    store = MemoryStore() if kind is MemoryStore else SQLiteStore(tmp_path / "samekey.db")
    assert_whatever_was_stored_comes_back(store, moment, texts, body)
    store.close()
