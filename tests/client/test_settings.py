"""How a client is made: what is checked, which secret and store it uses, what its repr shows."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

import samekey
from samekey.stores import MemoryStore, SQLiteStore
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import BODY, DAY, FLAVOURS, Connect, Flavour, create_order, post


@pytest.fixture
def flavour() -> Flavour:
    """What a synchronous client is given."""
    return FLAVOURS["sync"]


SECRET = "a secret of a whole fleet"


def test_a_shared_secret_gives_the_same_keys_on_every_machine(
    server: FlakyServer, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = post(connect(store=tmp_path / "one.db", secret=SECRET))
    monkeypatch.setenv("SAMEKEY_SECRET", SECRET)
    two = post(connect(store=tmp_path / "two.db"))
    assert one.key == two.key
    assert len(server.effects) == 1
    assert SECRET not in repr(connect(store=tmp_path / "one.db", secret=SECRET))


def test_without_one_every_store_has_its_own(server: FlakyServer, connect: Connect, tmp_path: Path) -> None:
    assert post(connect(store=tmp_path / "one.db")).key != post(connect(store=tmp_path / "two.db")).key


@pytest.mark.parametrize("secret", ["another secret of a fleet", None])
def test_another_secret_is_refused_and_nothing_is_sent(
    server: FlakyServer, connect: Connect, secret: str | None
) -> None:
    post(connect(secret=SECRET))
    client = connect(secret=secret)
    with pytest.raises(samekey.StoreFormatError, match="secret"):
        post(client, 2)
    assert len(server.requests) == 1


def test_an_empty_secret_is_refused_and_a_short_one_warned_about(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(samekey.UsageError, match="secret= is empty"):
        connect(secret=b"")
    connect(secret="short")
    assert "can be guessed" in caplog.text


def test_the_store_comes_from_the_environment(
    server: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMEKEY_STORE", f"sqlite://{tmp_path}/env.db")
    with samekey.Client(server.url, window=DAY, verify=False) as client:
        post(client)
        assert client.store.location == str(tmp_path / "env.db")
    assert (tmp_path / "env.db").exists()


def test_or_from_the_users_state_directory(server: FlakyServer, tmp_path: Path) -> None:
    with samekey.Client(server.url, window=DAY, verify=False) as client:
        post(client)
        assert client.store.location.endswith("samekey/samekey.db")
        assert Path(client.store.location).exists()


@pytest.mark.parametrize("how", ["path", "store"])
def test_building_a_client_touches_no_file(connect: Connect, path: Path, how: str) -> None:
    client = connect(store=path if how == "path" else SQLiteStore(path))
    with client.action(create_order, scope={"order": 1}):
        pass
    assert not path.parent.exists()


def test_a_store_that_was_given_stays_open(server: FlakyServer, connect: Connect, path: Path) -> None:
    store = SQLiteStore(path)
    with connect(store=store) as client:
        post(client)
    assert [record.response_reference for record in store.find()] == ["order_1"]
    store.close()


def test_a_closed_client_says_so_and_stores_nothing(server: FlakyServer, connect: Connect) -> None:
    client = connect()
    client.close()
    with pytest.raises(samekey.UsageError, match=r"create_order\(order=1\): the client is closed, so nothing was sent"):
        post(client)
    assert not server.requests
    assert connect().record(create_order, scope={"order": 1}) is None


def test_closed_clients_give_their_files_back(server: FlakyServer, connect: Connect) -> None:
    def use() -> int:
        with connect() as client:
            post(client)
        for thread in list(server._connections.values()):
            thread.join()
        return len(os.listdir("/dev/fd"))

    assert use() == use() == use()


# an own HTTP client


def test_an_httpx2_client_brings_httpx2_responses(server: FlakyServer, connect: Connect) -> None:
    with httpx2.Client(timeout=10, verify=False) as http:
        client: Any = connect(http=http)
        server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_5XX)
        with client.action(create_order, scope={"order": 1}) as action:
            made = action.post("/orders", json=BODY)
        with client.action(create_order, scope={"order": 1}) as again:
            stored = again.post("/orders", json=BODY)
        server.script(Fault.REJECT(422))
        with pytest.raises(samekey.ActionRejectedError) as raised:
            post(client, 2)
    assert type(made) is type(stored) is type(raised.value.response) is httpx2.Response
    assert stored.raise_for_status().json() == made.json()
    assert (len(server.effects), action.reference, again.replayed) == (1, "order_1", True)


def test_an_own_client_is_not_closed(server: FlakyServer, connect: Connect) -> None:
    with httpx.Client(base_url=server.url, timeout=10, verify=False) as http:
        with connect("", http=http) as client:
            assert client.http is http
            post(client)
        assert not http.is_closed
        assert http.get("/orders/order_1").status_code == 200


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_the_client_below_is_made_of_a_class(server: FlakyServer, connect: Connect, module: Any) -> None:
    with connect(http=module.Client, headers={"X-Team": "blue"}, verify=False) as client:
        below: Any = client.http
        assert type(below) is module.Client
        assert below.timeout == module.Timeout(30, connect=5)
        with client.action(create_order, scope={"order": 1}) as action:
            made = action.post("/orders", json=BODY)
        assert below.get("/orders/order_1").status_code == 200
    assert below.is_closed
    assert type(made) is module.Response
    assert [value for request in server.requests for name, value in request.headers if name.lower() == "x-team"] == [
        "blue"
    ] * 2


class Own(httpx2.Client):
    """What it does differently would be lost."""


@pytest.mark.parametrize("kind", [httpx.AsyncClient, httpx2.AsyncClient, Own, httpx2.Response, dict])
def test_another_class_is_refused(connect: Connect, kind: Any) -> None:
    with pytest.raises(samekey.UsageError, match=rf"http=: .*{kind.__name__} is not a class to make the client of"):
        connect(http=kind, verify=False)
    with pytest.raises(samekey.UsageError, match=r"give httpx\.AsyncClient or httpx2\.AsyncClient, or an object"):
        samekey.AsyncClient("https://api.shop.example", window=DAY, http=httpx2.Client)  # type: ignore[arg-type]


def test_an_unknown_option_names_the_class(connect: Connect) -> None:
    with pytest.raises(samekey.UsageError, match=r"httpx2\.Client cannot be built: it has no option 'tiemout'"):
        connect(http=httpx2.Client, tiemout=3)


def test_a_class_has_no_base_url_to_guess_a_profile_from() -> None:
    with pytest.raises(samekey.UsageError, match="nobody has said what this API does with keys"):
        samekey.Client(http=httpx2.Client)


@pytest.mark.parametrize(
    "make",
    [
        lambda: httpx.AsyncClient(),  # noqa: PLW0108 - a function, not a class - built late
        lambda: object(),  # noqa: PLW0108 - a function, not a class
        lambda: httpx.Client(timeout=None),
    ],
)
def test_an_own_client_that_cannot_keep_our_word_is_refused(connect: Connect, make: Any) -> None:
    with pytest.raises(samekey.UsageError):
        connect(http=make())


def test_own_settings_beside_an_own_client_are_refused(connect: Connect) -> None:
    with (
        httpx.Client() as http,
        pytest.raises(samekey.UsageError, match="so headers, timeout would be ignored"),
    ):
        connect(http=http, headers={"a": "b"}, timeout=3)


def test_two_base_urls_that_differ_are_refused(connect: Connect) -> None:
    with httpx.Client(base_url="https://one.example") as http:
        with pytest.raises(samekey.UsageError, match="base_url= and the base_url of http= differ"):
            connect("https://two.example", http=http)
        connect("https://one.example/", http=http)


# what is checked


BAD: list[tuple[dict[str, Any], str]] = [
    ({"window": None}, "nobody has said what this API does with keys"),
    ({"window": timedelta(0)}, "give a positive timedelta"),
    ({"window": 86400}, "give a positive timedelta"),
    ({"provider": "stripe"}, r"'stripe' is not a provider profile \(did you mean 'stripe-v1' or 'stripe-v2'\?\)"),
    ({"provider": 7}, "provider= is a int"),
    ({"provider": "keyless", "window": DAY}, "an API without keys has no window"),
    ({"provider": samekey.Provider("short", max_key_len=32, window=DAY)}, "its keys have 0 to 32 characters"),
    ({"keep": "all"}, "keep='all' is unknown"),
    ({"freeze": "all"}, "freeze='all' is unknown"),
    ({"actor": ""}, "give a non-empty string"),
    ({"actor": "a\udc80"}, "actor= holds a lone surrogate"),
    ({"retry": 5}, "retry= is a int"),
    ({"operations": ["create_order"]}, "operations= holds a str"),
    ({"operations": [create_order, create_order]}, "holds 'create_order' twice"),
    ({"store": MemoryStore(lease=timedelta(seconds=5))}, "is not longer than an attempt may take"),
    ({"store": "mysql://localhost"}, "names a mysql:// store"),
    ({"store": ""}, "store= is an empty text"),
    ({"tiemout": 3}, "it has no option 'tiemout'"),
    ({"transport": httpx.HTTPTransport(retries=3)}, r"retries by itself \(retries=3\)"),
    ({"http": httpx.Client(transport=httpx.HTTPTransport(retries=2))}, r"retries by itself \(retries=2\)"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[message for _, message in BAD])
def test_a_client_that_cannot_work_is_not_built(
    server: FlakyServer, connect: Connect, path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(samekey.UsageError, match=message):
        connect(**options)
    assert not server.requests
    assert not path.parent.exists()


@pytest.mark.parametrize(("given", "told"), [("job-\udcff", "holds a lone surrogate"), (5, "is a int; give a str")])
def test_a_correlation_id_that_no_store_could_keep_is_refused(
    server: FlakyServer, connect: Connect, given: Any, told: str
) -> None:
    client = connect()
    with pytest.raises(samekey.UsageError, match=f"correlation_id= {told}"):
        client.action(create_order, scope={"order": 1}, correlation_id=given)
    with pytest.raises(samekey.UsageError, match=f"correlation_id= {told}"):
        samekey.action(create_order, scope={"order": 1}, correlation_id=given)
    assert not server.requests


def test_a_known_host_gets_its_profile_proposed_and_never_a_number() -> None:
    with pytest.raises(samekey.UsageError, match='this looks like Stripe; pass provider="stripe-v1"') as raised:
        samekey.Client("https://user:s3cret@api.stripe.com")
    assert "s3cret" not in str(raised.value)
    with pytest.raises(samekey.UsageError, match='provider="keyless", which never sends twice') as raised:
        samekey.Client("https://api.shop.example")
    assert not any(character.isdigit() for character in str(raised.value))


def test_the_lease_of_a_store_must_cover_the_time_outs_of_one_call(server: FlakyServer, connect: Connect) -> None:
    client = connect(store=MemoryStore(lease=timedelta(seconds=100)), timeout=10)
    with pytest.raises(samekey.UsageError, match="is not longer than an attempt may take"):
        post(client, timeout=60)
    assert not server.requests


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"window": DAY}, "provider='generic' window=24h"),
        ({"provider": "stripe-v1"}, "provider='stripe-v1' window=24h"),
        ({"provider": "stripe-v1", "window": timedelta(hours=1)}, "provider='stripe-v1' window=1h"),
        ({"provider": "keyless"}, "provider='keyless' store="),
    ],
)
def test_the_repr_of_a_client_says_where_it_writes_to(
    server: FlakyServer, connect: Connect, path: Path, options: dict[str, Any], shown: str
) -> None:
    text = repr(connect(**options))
    assert text.startswith(f"<Client {server.url} {shown}")
    assert text.endswith(f"store={str(path)!r} actor='default'>")


def test_the_repr_of_a_client_shows_no_password(connect: Connect) -> None:
    assert "s3cret" not in repr(connect("https://user:s3cret@api.shop.example"))


def test_the_reprs_of_actions_and_records_are_one_line_without_the_whole_key(
    server: FlakyServer, client: samekey.Client
) -> None:
    action = client.action(create_order, scope={"order": 1})
    assert repr(action) == "<Action create_order(order=1) not sent>"
    with action:
        action.post("/orders", json=BODY)
    key = str(action.key)
    assert repr(action) == f"<Action create_order(order=1) succeeded attempts=1 key={key[:8]}…>"
    assert repr(post(client)) == f"<Action create_order(order=1) succeeded attempts=1 replayed key={key[:8]}…>"
    text = repr(client.record(create_order, scope={"order": 1}))
    assert text.startswith("<Record create_order(order=1) generation=1 succeeded ")
    assert text.endswith(f"reference='order_1' key={key[:8]}…>")
    assert "19.99" not in text
    assert "/orders" not in text


def test_clients_of_one_store_may_be_many(server: FlakyServer, connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    assert [post(client).replayed for client in clients] == [False, True, True]
