"""One server for all of these tests, and a schema of its own for each."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.servers.postgres import Postgres

_numbers = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def schema() -> str:
    """A name that no other test has."""
    return f"s{next(_numbers)}"
