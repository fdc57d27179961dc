"""One server for all of these tests, and a schema of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from samekey.stores import PostgresStore
from tests.servers.postgres import Postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def used_schema(postgres: Postgres) -> str:
    """One that is emptied for each test: to make one takes longer than most tests."""
    PostgresStore(postgres.url, schema="used").migrate()
    return "used"


@pytest.fixture
def empty_schema(postgres: Postgres, used_schema: str) -> str:
    """A schema whose store is as good as new."""
    tables = "".join(f"DELETE FROM {used_schema}.{table};" for table in ("actions", "events", "operations"))
    postgres.execute(f"{tables} DELETE FROM {used_schema}.meta WHERE name IN ('secret', 'secret_check')")
    return used_schema


@pytest.fixture
def schema() -> str:
    """A name that no other test has."""
    return f"s{next(_numbers)}"
