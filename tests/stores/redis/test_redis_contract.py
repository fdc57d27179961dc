"""The Redis stores keep the contract that all stores keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from samekey.stores.redis import AsyncRedisStore, RedisStore
from samekey.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey.stores import AsyncStore, Store
    from tests.servers.redis import RedisServer


class TestRedisStore(StoreContract):
    @pytest.fixture
    def make_store(self, clean_server: RedisServer) -> Callable[[], Store]:
        return lambda: RedisStore(clean_server.url)

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable


class TestAsyncRedisStore(StoreContract):
    @pytest.fixture
    def make_store(self, clean_server: RedisServer) -> Callable[[], AsyncStore]:
        return lambda: AsyncRedisStore(clean_server.url)

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable
