"""What the first attempt needs is made while the disk has the claim: it is as it ever was, and of no use if the claim fails."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey.http import carriers
from samekey.stores import EncryptedStore, MemoryStore, SQLiteStore
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import DAY, ONCE, Connect, known, post, synchronous

if TYPE_CHECKING:
    from pathlib import Path

    from samekey._core.verbs import Claim

KEY = "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleS0="
CARRIERS: list[tuple[str, dict[str, Any]]] = [
    ("header", {}),
    ("query", {"params": {"dry": "no"}}),
    ("json", {}),
    ("form", {"data": {"total": "19.99"}}),
]


def provider(kind: str) -> samekey.Provider:
    return samekey.Provider("shop", carrier={"kind": kind, "name": "request_id"}, window=DAY)


def times_sent(server: FlakyServer, key: str | None) -> list[int]:
    """How often each request had the key in it."""
    assert key is not None
    return [f"{each.target} {list(each.headers)} {each.body.decode()}".count(key) for each in server.requests]


class Eager:
    """A store that uses the time twice, and then fails as it is told to."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def claim(self, claim: Claim) -> Any:
        for _ in range(2):  # as one does that has to try again
            assert claim.meanwhile is not None
            claim.meanwhile()
        if self.fails:
            raise samekey.StoreUnavailableError("as told, nothing was sent; try again.")
        return self.store.claim(claim)


@synchronous
@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("kind", "options"), CARRIERS)
def test_the_usual_action_has_its_key_once(
    server: FlakyServer,
    connect: Connect,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: dict[str, Any],
    encrypted: bool,
) -> None:
    plain = SQLiteStore(path)
    made: list[str] = []
    take = plain._engine._sync_apart

    def apart(*given: Any) -> None:
        made.append("apart")
        take(*given)

    monkeypatch.setattr(plain._engine, "_sync_apart", apart)
    client = connect(provider=provider(kind), store=EncryptedStore(plain, KEY) if encrypted else plain)
    for order in range(4):
        action = post(client, order, **options)
        assert times_sent(server, action.key) == [0] * order + [1]
    assert made == ["apart"] * 2, "the first two are not usual: their operation is new, and then only read"
    plain.close()


@synchronous
def test_a_resend_of_it_has_its_key_once_too(server: FlakyServer, connect: Connect, path: Path) -> None:
    client = connect(provider=provider("query"), store=path)
    for order in range(3):
        post(client, order)
    server.script(Fault.COMMIT_THEN_DROP)
    hooked: list[str] = []

    def hook(*_: object) -> None:
        client.http.event_hooks = {"request": [lambda request: hooked.append(request.method)]}

    server.on_request = hook
    action = post(client, 3)
    assert times_sent(server, action.key) == [0, 0, 0, 1, 1]
    assert hooked == ["POST"], "what was made for the first send is not sent again"


@synchronous
@pytest.mark.parametrize(("kind", "options"), CARRIERS)
def test_what_was_made_for_a_claim_that_failed_is_not_sent(
    server: FlakyServer, connect: Connect, kind: str, options: dict[str, Any]
) -> None:
    store = Eager()
    client = connect(provider=provider(kind), store=store)
    store.fails = True
    with pytest.raises(samekey.StoreUnavailableError):
        post(client, **options)
    assert server.requests == []
    store.fails = False
    assert times_sent(server, post(client, **options).key) == [1]


@synchronous
def test_what_cannot_be_made_is_no_failure_of_the_claim(
    server: FlakyServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect(store=Eager())
    with monkeypatch.context() as patch:
        patch.setattr(carriers, "_KEY", re.compile("none is good enough"))
        with pytest.raises(samekey.StoreFormatError, match="is no key, so nothing was sent"):
            post(client)
    assert server.requests == []
    record = known(client)
    assert (record.status, record.open_attempts) == (samekey.Status.PENDING, 0)


@synchronous
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interruption_meanwhile_leaves_it_as_not_sent(
    server: FlakyServer, connect: Connect, path: Path, monkeypatch: pytest.MonkeyPatch, interrupt: type[BaseException]
) -> None:
    client = connect(store=path)
    for order in range(3):
        post(client, order)
    engine: Any = client._engine

    def interrupted(*_: object) -> None:
        raise interrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "_make", interrupted)
        with pytest.raises(interrupt):
            post(client, 3)
    assert len(server.requests) == 3
    record = known(client, 3)
    assert (record.status, record.open_attempts, record.attempts) == (samekey.Status.PENDING, 0, 1)
    assert times_sent(server, post(client, 3).key) == [0, 0, 0, 1]


@synchronous
def test_a_run_without_attempts_left_makes_its_one(server: FlakyServer, connect: Connect, path: Path) -> None:
    client = connect(store=path, retry=ONCE)
    for order in range(3):
        post(client, order)
    server.script(Fault.DROP_BEFORE)
    with pytest.raises(samekey.OutcomeUnknownError):
        post(client, 3)
    assert post(client, 3).recovered
    assert len(server.effects) == 4
