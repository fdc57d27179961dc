"""Every store keeps the one contract."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samekey._core.model import Result
from samekey._core.verbs import Settled
from samekey.stores import AsyncMemoryStore, AsyncSQLiteStore, MemoryStore, SQLiteStore
from samekey.testing import StoreContract
from tests.stores.builders import claimed, settlement, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from samekey.stores import AsyncStore, Store

_numbers = count()  # one store sees all examples, so none may repeat a name


class TestMemoryStore(StoreContract):
    shares_data = False

    @pytest.fixture
    def make_store(self) -> Callable[[], Store]:
        return MemoryStore

    def test_its_claims_are_not_durable(self) -> None:
        assert not MemoryStore().claim_durable


class TestAsyncMemoryStore(StoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[], AsyncStore]:
        records = MemoryStore()
        return lambda: AsyncMemoryStore(inner=records)


class TestAsyncMemoryStoreOnTrio(TestAsyncMemoryStore):
    backend = "trio"


class TestSQLiteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], Store]:
        return lambda: SQLiteStore(tmp_path / "made" / "samekey.db")

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable


class TestAsyncSQLiteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], AsyncStore]:
        return lambda: AsyncSQLiteStore(tmp_path / "made" / "samekey.db")

    def test_its_claims_are_durable(self, store: Store) -> None:
        assert store.claim_durable


class TestAsyncSQLiteStoreOnTrio(TestAsyncSQLiteStore):
    backend = "trio"


class TestBothSQLiteStores(StoreContract):
    """In one process, on one file, taking turns to be the first and the second object."""

    @pytest.fixture(params=["sync first", "async first"])
    def make_store(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store | AsyncStore]:
        kinds: list[type[SQLiteStore | AsyncSQLiteStore]] = [SQLiteStore, AsyncSQLiteStore]
        turn = cycle(kinds if request.param == "sync first" else reversed(kinds))
        return lambda: next(turn)(tmp_path / "samekey.db")


@pytest.mark.parametrize("kind", [MemoryStore, SQLiteStore])
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moment=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - added
    texts=st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=5),
    body=st.binary(max_size=200),
)
def test_whatever_was_stored_comes_back(
    kind: type[Store], tmp_path: Path, moment: datetime, texts: dict[str, str], body: bytes
) -> None:
    store = MemoryStore() if kind is MemoryStore else SQLiteStore(tmp_path / "samekey.db")
    name = str(next(_numbers))
    changes: dict[str, Any] = {"scope": texts, "field_digests": texts, "volatile": tuple(texts)}
    row = claimed(
        store, name, operation_name=name, frozen_request=body, created_at=moment, last_seen_at=moment, **changes
    )
    assert stored(store, name) == row
    headers = tuple(texts.items())
    settled = store.settle(settlement(row, result=Result(200, headers, body, "r")))
    assert isinstance(settled, Settled)
    assert stored(store, name) == settled.record
    assert settled.record.response_headers == headers
    store.close()


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
import samekey.testing
try:
    samekey.testing.StoreContract
except ModuleNotFoundError as error:
    print(error)
"""


def test_the_kit_can_be_imported_without_pytest_and_the_suite_says_what_it_needs() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], capture_output=True, text=True, check=True)
    assert "pip install pytest" in ran.stdout


def test_a_suite_without_a_store_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from samekey.testing import StoreContract\nclass TestMine(StoreContract): ...\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "first_claim_is_stored"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "TestMine needs a fixture make_store" in ran.stdout
    assert "1 error" in ran.stdout
