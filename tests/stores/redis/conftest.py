from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from samekey.stores import RedisStore
from tests.acceptance.conftest import seed
from tests.servers.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["seed"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server for all tests that do not harm it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def clean_server(server: RedisServer) -> RedisServer:
    """The same, with nothing in it."""
    server.client().flushall()
    return server


@pytest.fixture
def store(clean_server: RedisServer) -> Iterator[RedisStore]:
    with contextlib.closing(RedisStore(clean_server.url)) as opened:
        opened.secret(None)
        yield opened
