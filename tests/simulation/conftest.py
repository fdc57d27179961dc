"""Histories run by the hundred thousand: their warnings would drown everything else."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Silences the library's logger."""
    logger = logging.getLogger("samekey")
    logger.disabled = True
    yield
    logger.disabled = False
