"""The seed of the random instants: `SAMEKEY_TEST_SEED=7 pytest tests/acceptance`."""

from __future__ import annotations

import os

import pytest

VARIABLE = "SAMEKEY_TEST_SEED"


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Decides on instants and faults; shown where a test fails, with the way to the same run."""
    number = int(os.environ.get(VARIABLE, "1"))
    print(f"seed {number}; again: {VARIABLE}={number} pytest '{request.node.nodeid}'")
    return number
