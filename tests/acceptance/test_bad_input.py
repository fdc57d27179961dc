"""The bar on bad input: each fault has its typed error; nothing is sent, nothing is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

import samekey
from samekey.stores import MemoryStore
from samekey.testing import FlakyServer

DAY = timedelta(days=1)
create_order = samekey.Operation("create_order", scope=("customer", "cart"))
GOOD: dict[str, Any] = {"customer": 42, "cart": "c-9"}


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


@pytest.fixture
def made(server: FlakyServer, tmp_path: Path) -> Iterator[Callable[..., samekey.Client]]:
    """Makes clients; in the end nothing was sent and no record is in the store."""
    clients: list[samekey.Client] = []

    def make(base_url: str = server.url, **options: Any) -> samekey.Client:
        defaults: dict[str, Any] = {"window": DAY, "store": tmp_path / "samekey.db"}
        clients.append(samekey.Client(base_url, **(defaults | options)))
        return clients[-1]

    yield make
    assert not server.requests
    for client in clients:
        if client.store.location != "memory://" and not Path(client.store.location).exists():
            continue
        assert client.store.find() == []
        client.close()


def order(client: samekey.Client, scope: Any = None, **options: Any) -> None:
    with client.action(create_order, scope=GOOD if scope is None else scope) as action:
        action.post("/orders", **(options or {"json": {}}))


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({"customer": 42}, r"create_order: the scope lacks 'cart'; give exactly customer, cart\."),
        (
            GOOD | {"attempt": 1},
            r"create_order: the scope has 'attempt', which is not declared; give exactly",
        ),
        ({"customer": 42, "crat": 1}, r"lacks 'cart' and has 'crat', which is not declared"),
        (GOOD | {"cart": 1.0}, r"'cart' is a float, which has no single spelling; pass a Decimal or a str\."),
        (
            GOOD | {"cart": None},
            r"'cart' is None, which all actions without a cart would share; give a value\.",
        ),
    ],
)
def test_scope_fields(made: Callable[..., samekey.Client], scope: Any, message: str) -> None:
    with pytest.raises(samekey.UsageError, match=message):
        order(made(), scope)


def test_an_unknown_option_of_an_operation() -> None:
    with pytest.raises(samekey.UsageError, match=r"create_order: on_reject: there is no such option\."):
        samekey.Operation("create_order", scope=("cart",), on_reject="raise")


def test_an_unknown_option_of_a_write(made: Callable[..., samekey.Client]) -> None:
    with pytest.raises(samekey.UsageError, match=r"'jsn' is not an option of a write; did you mean 'json'\?"):
        order(made(), jsn={})


def stream() -> Iterator[bytes]:
    yield b"never read"


def test_a_streaming_body_with_the_default_freeze(made: Callable[..., samekey.Client]) -> None:
    with pytest.raises(samekey.UsageError, match=r'the body is a stream, .* freeze="nothing".* fingerprint='):
        order(made(), content=stream())


def test_a_streaming_body_without_a_fingerprint(made: Callable[..., samekey.Client]) -> None:
    with pytest.raises(samekey.UsageError, match="give fingerprint= text that stands for it"):
        order(made(freeze="nothing"), content=stream())


@pytest.mark.parametrize("how", ["content", "json", "data", "files"])
def test_a_body_of_two_mebibytes(made: Callable[..., samekey.Client], how: str) -> None:
    large = "x" * (2 << 20)
    bodies: dict[str, Any] = {
        "content": large,
        "json": {"note": large},
        "data": {"note": large},
        "files": {"scan": ("scan.txt", large.encode())},
    }
    with pytest.raises(samekey.UsageError, match=r'the body has 2,\d+,\d+ bytes, and more than .* freeze="nothing"'):
        order(made(), **{how: bodies[how]})


def test_an_undeclared_window(server: FlakyServer, made: Callable[..., samekey.Client]) -> None:
    with pytest.raises(samekey.UsageError, match="nobody has said what this API does with keys"):
        made(window=None)
    with pytest.raises(samekey.UsageError, match='this looks like Stripe; pass provider="stripe-v1"'):
        made("https://api.stripe.com", window=None)
    with (
        httpx.Client(base_url="https://api.stripe.com", verify=False) as http,
        pytest.raises(samekey.UsageError, match='pass provider="stripe-v1"'),
    ):
        made("", window=None, http=http)


@pytest.mark.parametrize("limits", [{"max_key_len": 35}, {"max_key_len": 32}, {"min_key_len": 40}])
def test_a_key_of_another_length_than_the_profile_allows(
    made: Callable[..., samekey.Client], limits: dict[str, int]
) -> None:
    with pytest.raises(samekey.UsageError, match='and samekey\'s have 36; treat this API as provider="keyless"'):
        made(provider=samekey.Provider("narrow", **limits))


@pytest.mark.parametrize("seconds", [1, 40, 119.9])
def test_a_lease_that_is_not_above_the_time_out(made: Callable[..., samekey.Client], seconds: float) -> None:
    store = MemoryStore(lease=timedelta(seconds=seconds))
    with pytest.raises(samekey.UsageError, match=r"the store's lease .* is not longer than an attempt may take"):
        made(store=store, timeout=30)


def test_retries_on_the_transport_below(made: Callable[..., samekey.Client]) -> None:
    with pytest.raises(samekey.UsageError, match=r"retries by itself \(retries=3\), which samekey cannot see"):
        made(transport=httpx.HTTPTransport(retries=3))
    with pytest.raises(samekey.UsageError, match=r"retries by itself \(retries=1\)"):
        made(mounts={"https://": httpx.HTTPTransport(retries=1)})
    with (
        httpx.Client(transport=httpx.HTTPTransport(retries=3)) as http,
        pytest.raises(samekey.UsageError, match=r"http=: this client retries by itself \(retries=3\)"),
    ):
        made(http=http)


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"a": float("nan")}},
        {"json": {"a": object}},
        {"headers": {"X-A": "line\nbreak"}},
        {"headers": {"X-A": "é"}},
        {"content": b"1", "json": {}},
        {"timeout": None},
        {"extensions": {"target": b"/elsewhere"}},
        {"content": 7},
    ],
    ids=repr,
)
def test_what_httpx_could_not_send(made: Callable[..., samekey.Client], options: dict[str, Any]) -> None:
    with pytest.raises(samekey.UsageError, match=r"create_order\(customer=42, cart='c-9'\): "):
        order(made(), **options)


@pytest.mark.parametrize("url", ["ftp://host/x", "//", "http://", "https://[::1"])
def test_a_url_that_leads_nowhere(made: Callable[..., samekey.Client], url: str) -> None:
    client = made("")
    with pytest.raises(samekey.UsageError), client.action(create_order, scope=GOOD) as action:
        action.post(url, json={})


def test_a_second_write_in_one_action(server: FlakyServer, tmp_path: Path) -> None:
    with (
        samekey.Client(server.url, window=DAY, store=tmp_path / "samekey.db", verify=False) as client,
        client.action(create_order, scope=GOOD) as action,
    ):
        action.post("/orders", json={})
        with pytest.raises(samekey.UsageError, match="has made its one write, POST /orders"):
            action.post("/orders", json={})
        assert len(client.store.find()) == len(server.requests) == 1
