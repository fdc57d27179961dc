"""TLS to a store's server: libpq's and redis-py's options, as they are."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from samekey._core.states import Status
from samekey._core.verbs import Claim, Claimed, Settled
from samekey.errors import StoreUnavailableError
from samekey.stores import AsyncPostgresStore, AsyncRedisStore, PostgresStore, RedisStore
from tests.servers.postgres import Postgres
from tests.servers.redis import RedisServer
from tests.servers.tls import TlsRelay
from tests.stores.builders import claimed, record, settlement

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = {
    "postgres": "postgresql://postgres:hunter2@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={authority}",
    "redis": "rediss://:hunter2@localhost:{port}/0?ssl_ca_certs={authority}&ssl_check_hostname=true",
}
BLOCKING = {"postgres": PostgresStore, "redis": RedisStore}
FOR_LOOPS = {"postgres": AsyncPostgresStore, "redis": AsyncRedisStore}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module", params=sorted(ADDRESSES))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def relay(kind: str, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsRelay]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            port = stack.enter_context(Postgres()).port
        else:
            server = stack.enter_context(RedisServer(tmp_path_factory.mktemp("redis")))
            server.client().config_set("requirepass", "hunter2")
            port = server.port
        yield stack.enter_context(TlsRelay(port, context, on_request=kind == "postgres"))


def address(kind: str, relay: TlsRelay, authority: trustme.CA, folder: Path) -> str:
    """Where the store is, with the certificate to trust."""
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return ADDRESSES[kind].format(port=relay.port, authority=file)


def test_a_store_works_over_tls(kind: str, relay: TlsRelay, authority: trustme.CA, tmp_path: Path) -> None:
    before = relay.forwarded
    with contextlib.closing(BLOCKING[kind](address(kind, relay, authority, tmp_path))) as store:
        store.secret(None)
        row = claimed(store, "blocking")
        assert isinstance(store.settle(settlement(row)), Settled)
        found = store.get(row.identity)
        assert found is not None
        assert found.record.status is Status.SUCCEEDED
    assert relay.forwarded > before


def test_a_store_for_loops_works_over_tls(kind: str, relay: TlsRelay, authority: trustme.CA, tmp_path: Path) -> None:
    before = relay.forwarded

    async def main() -> None:
        store = FOR_LOOPS[kind](address(kind, relay, authority, tmp_path))
        await store.secret(None)
        row = record(store, "loops")
        assert isinstance(await store.claim(Claim(row)), Claimed)
        assert isinstance(await store.settle(settlement(row)), Settled)
        await store.aclose()

    asyncio.run(main())
    assert relay.forwarded > before


def test_a_server_with_the_certificate_of_another_authority_is_told_nothing(
    kind: str, relay: TlsRelay, tmp_path: Path
) -> None:
    before = relay.after_all_have_left()
    with (
        contextlib.closing(BLOCKING[kind](address(kind, relay, trustme.CA(), tmp_path))) as store,
        pytest.raises(StoreUnavailableError, match="certificate") as raised,
    ):
        store.secret(None)
    assert "hunter2" not in str(raised.value)
    assert not raised.value.uncertain
    assert relay.forwarded == before
