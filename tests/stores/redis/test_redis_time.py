"""Time in the Redis store: what expires, and by whose clock leases end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Move, Status
from samekey._core.verbs import Claim, Claimed, Existing, Renewed, Resolved, Settled
from samekey.errors import StoreUnavailableError
from samekey.stores import RedisStore, _redis_calls
from tests.stores.builders import claimed, done, record, renewal, resolution, seen, settlement, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.redis import RedisServer


def bodies(row: Any) -> str:
    return f"{{samekey}}:body:{row.identity}"


def test_what_is_unsettled_never_expires_and_what_is_settled_does(store: RedisStore, clean_server: RedisServer) -> None:
    row = claimed(store)
    client = clean_server.client()
    assert client.pttl(bodies(row)) == -1
    until = datetime.now(UTC) + timedelta(days=30)
    store.settle(settlement(row, expires_at=until))
    store.note(row, Event(until, "replay"))
    for name in ("body", "timeline"):
        left = timedelta(milliseconds=client.pttl(f"{{samekey}}:{name}:{row.identity}"))
        assert timedelta(days=30, hours=23) < left <= timedelta(days=31)
    assert client.pttl(f"{{samekey}}:action:{row.identity}") == -1
    second = record(store, generation=2, fence=2)
    assert isinstance(store.claim(Claim(second, replaces=seen(stored(store)))), Existing | Claimed)


def test_a_further_generation_keeps_the_settled_ones_until_it_is_settled(
    store: RedisStore, clean_server: RedisServer
) -> None:
    row = done(store, move=Move.REFUSAL)
    assert clean_server.client().pttl(bodies(row)) > 0
    second = record(store, generation=2, fence=2)
    assert isinstance(store.claim(Claim(second, replaces=seen(row))), Claimed)
    assert clean_server.client().pttl(bodies(row)) == -1
    store.settle(settlement(second))
    assert clean_server.client().pttl(bodies(row)) > 0


def test_r8_of_what_has_expired_a_tombstone_stays_and_a_purge_says_so(
    store: RedisStore, clean_server: RedisServer
) -> None:
    row = done(store)
    assert clean_server.client().pexpire(bodies(row), 0)
    left = stored(store)
    assert left.purged
    assert (left.status, left.response_reference, left.idempotency_key) == (
        Status.SUCCEEDED,
        "ord_9",
        row.idempotency_key,
    )
    assert (left.scope, left.response_body, left.actor_id) == ({}, None, "")
    again = record(store, claim_nonce="another")
    assert store.claim(Claim(again)) == Existing(left)
    assert store.find() == [left]
    later = datetime.now(UTC) + timedelta(days=3)
    assert [store.purge(later, limit=9) for _ in range(2)] == [1, 0]
    assert store.events(row.idempotency_key)[-1] == Event(later, "purged")
    assert stored(store).purged


def test_r10_a_machine_whose_clock_is_off_claims_nothing(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    row = claimed(store)
    store.release(row.identity, row.generation, row.fence)
    monkeypatch.setattr(_redis_calls, "_MOST_SKEW", "-1")
    for verb in (lambda: store.claim(Claim(record(store, "other"))), lambda: store.renew(renewal(row, store))):
        with pytest.raises(StoreUnavailableError, match="set the clocks") as raised:
            verb()
        assert not raised.value.uncertain
    assert store.find() == [row]
    assert isinstance(store.settle(settlement(row)), Settled)  # the truth is written whatever the clocks say


@pytest.fixture
def elsewhere(clean_server: RedisServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RedisStore:
    """A store as another machine has it: it sees other locks."""
    other = RedisStore(clean_server.url)
    with monkeypatch.context() as patched:
        patched.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
        other.secret(None)
    return other


def lease_left(store: RedisStore, row: Any) -> float:
    existing = store.get(row.identity)
    assert existing is not None
    assert existing.by_store is not None
    assert existing.by_store.lease_left is not None
    return existing.by_store.lease_left


def test_r10_of_a_holder_elsewhere_the_servers_clock_tells(
    store: RedisStore, elsewhere: RedisStore, clean_server: RedisServer
) -> None:
    now = datetime.now(UTC)
    # Its own clock is hours behind, so by ours its lease is long over.
    row = claimed(
        elsewhere,
        created_at=now - timedelta(hours=9),
        last_seen_at=now - timedelta(hours=9),
        first_sent_at=now - timedelta(hours=9),
        lease_expires_at=now - timedelta(hours=9) + timedelta(seconds=60),
    )
    existing = store.get(row.identity)
    assert existing is not None
    assert existing.by_store is not None
    assert 0 <= (existing.by_store.first_sent_ago or 0) < 60
    assert 0 < lease_left(store, row) <= 60
    seconds = timedelta(seconds=600)
    later = renewal(row, elsewhere, at=row.last_seen_at, lease_expires_at=row.last_seen_at + seconds)
    assert isinstance(elsewhere.renew(later), Renewed)
    assert 500 < lease_left(store, row) <= 600
    decision = resolution(stored(store), at=now)  # by our clock the lease is long over
    assert not isinstance(store.resolve(decision), Resolved)  # R12
    clean_server.client().hset(f"{{samekey}}:action:{row.identity}", "l1", "1000000000.0")
    assert lease_left(store, row) < 0
    assert isinstance(store.resolve(decision), Resolved)
    elsewhere.close()
