"""Keys, ledger, script, chaos and holds: the API behind both adapters."""

from __future__ import annotations

import base64
import contextlib
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samekey.testing import LOST_REPLIES, Fault, FaultTransport, FlakyServer, Reply, Seen


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def opened(transport: FaultTransport) -> httpx.Client:
    return httpx.Client(base_url="http://api.example", transport=transport)


def order(client: httpx.Client, key: str | None = "k-1", **data: Any) -> httpx.Response:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/v1/orders", json=data, headers=headers)


# What a client is told


def test_a_post_makes_an_object_that_can_be_read() -> None:
    client = opened(FaultTransport())
    made = order(client, cart="c-9")
    assert made.status_code == 201
    assert made.json() == {"id": "order_1", "data": {"cart": "c-9"}}
    assert made.headers["Location"] == "/v1/orders/order_1"
    assert client.get("/v1/orders/order_1").json() == made.json()
    assert client.get("/v1/orders/order_2").status_code == 404


def test_put_patch_and_delete_are_effects_on_the_object() -> None:
    transport = FaultTransport()
    client = opened(transport)
    client.put("/v1/orders/a", json={"x": 1, "y": 1})
    assert client.patch("/v1/orders/a", json={"y": 2}).json() == {"id": "a", "data": {"x": 1, "y": 2}}
    assert client.delete("/v1/orders/a").json() == {"id": "a", "deleted": True}
    assert client.get("/v1/orders/a").status_code == 404
    assert [(effect.number, effect.method, effect.reference) for effect in transport.effects] == [
        (1, "PUT", "a"),
        (2, "PATCH", "a"),
        (3, "DELETE", "a"),
    ]


def test_the_ledger_can_be_read_over_http_and_is_no_request_of_its_own() -> None:
    transport = FaultTransport()
    client = opened(transport)
    order(client, "k-1", n=1)
    client.post("/files", content=b"\xff\x00", headers={"Idempotency-Key": "k-2"})
    transport.script(Fault.DROP_BEFORE, method="GET")
    listed = client.get("/effects").json()["effects"]
    assert [effect["body"] for effect in listed] == ['{"n":1}', None]
    assert base64.b64decode(listed[1]["body_base64"]) == b"\xff\x00"
    assert [e["reference"] for e in client.get("/effects?key=k-2").json()["effects"]] == ["file_2"]
    assert len(transport.requests) == 2


# Keys


def test_a_duplicate_gets_the_stored_answer_and_a_mark() -> None:
    transport = FaultTransport(replay_header=("X-Replay", "yes"))
    client = opened(transport)
    first, second = order(client), order(client)
    assert first.content == second.content
    assert (first.headers.get("X-Replay"), second.headers.get("X-Replay")) == (None, "yes")
    assert len(transport.effects_for("k-1")) == 1


def test_a_duplicate_can_come_unmarked() -> None:
    client = opened(FaultTransport(replay_header=None))
    assert dict(order(client).headers) == dict(order(client).headers)


@pytest.mark.parametrize("change", ["body", "path", "method"])
def test_a_known_key_with_another_request_is_a_mismatch(change: str) -> None:
    transport = FaultTransport(on_mismatch=400)
    client = opened(transport)
    order(client, n=1)
    response = client.request(
        "PUT" if change == "method" else "POST",
        "/v1/refunds" if change == "path" else "/v1/orders",
        json={"n": 2 if change == "body" else 1},
        headers={"Idempotency-Key": "k-1"},
    )
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "idempotency_error"
    assert len(transport.effects) == 1


def test_a_server_that_ignores_keys_doubles() -> None:
    transport = FaultTransport(keys="ignore")
    client = opened(transport)
    order(client, cart="a")
    order(client, cart="a")
    order(client, "k-2", cart="b")
    assert transport.duplicates() == {b'{"cart":"a"}': 2}
    assert transport.duplicates(by=lambda effect: effect.key) == {"k-1": 2}


def test_requests_without_a_key_are_never_the_same() -> None:
    transport = FaultTransport()
    client = opened(transport)
    order(client, None)
    order(client, None)
    assert [effect.key for effect in transport.effects] == [None, None]


def test_another_header_can_carry_the_key() -> None:
    transport = FaultTransport(key_header="X-Request-Id")
    client = opened(transport)
    for _ in range(2):
        client.post("/v1/orders", headers={"x-request-id": "r"})
    assert len(transport.effects_for("r")) == 1


def test_a_key_is_forgotten_when_its_window_since_first_arrival_has_passed() -> None:
    clock = Clock()
    transport = FaultTransport(window=60, clock=clock)
    client = opened(transport)
    order(client)
    clock.now += 59.9
    order(client)
    assert len(transport.effects) == 1
    clock.now += 0.1
    order(client)
    assert [effect.at for effect in transport.effects] == [1_000.0, 1_060.0]


def test_all_keys_can_be_forgotten_at_once() -> None:
    transport = FaultTransport()
    client = opened(transport)
    order(client)
    transport.forget_keys()
    order(client)
    assert len(transport.effects) == 2


@pytest.mark.parametrize(
    ("after_error", "status", "effects"), [("stored", 500, 1), ("released", 201, 2), ("kept_success", 201, 1)]
)
def test_what_a_key_means_after_an_error_is_an_option(after_error: Any, status: int, effects: int) -> None:
    transport = FaultTransport(after_error=after_error)
    client = opened(transport)
    transport.script(Fault.COMMIT_THEN_5XX)
    assert order(client).status_code == 500
    assert order(client).status_code == status
    assert len(transport.effects) == effects


@pytest.mark.parametrize(("stored", "status"), [(True, 402), (False, 201)])
def test_whether_a_refusal_is_remembered_under_the_key_is_an_option(*, stored: bool, status: int) -> None:
    transport = FaultTransport(errors_stored=stored)
    client = opened(transport)
    transport.script(Fault.REJECT(402))
    assert order(client).status_code == 402
    assert order(client).status_code == status


def test_a_key_that_has_an_answer_gives_it_rather_than_a_stored_refusal() -> None:
    transport = FaultTransport(errors_stored=True)
    client = opened(transport)
    order(client)
    transport.script(Fault.REJECT(402))
    assert order(client).status_code == 201


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValueError, match="honour"):
        FaultTransport(keys="honor")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="after_error"):
        FlakyServer(after_error="lost")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seconds"):
        FaultTransport(window=-1)


# Script and chaos


def test_a_script_is_met_in_order_and_then_all_goes_well() -> None:
    transport = FaultTransport()
    client = opened(transport)
    transport.script(Fault.UNAVAILABLE, Fault.NONE, Fault.REJECT)
    assert [order(client, str(n)).status_code for n in range(4)] == [503, 201, 400, 201]


def test_a_script_meets_writes_unless_it_names_a_method_or_path() -> None:
    transport = FaultTransport()
    client = opened(transport)
    transport.script(Fault.UNAVAILABLE)
    transport.script(Fault.REDIRECT, method="GET", path="/v1/orders/order_1")
    assert client.get("/v1/orders/order_0?x=1").status_code == 404
    assert client.get("/v1/orders/order_1?x=1").status_code == 307
    assert transport.pending_faults == [Fault.UNAVAILABLE]
    transport.clear_faults()
    assert order(client).status_code == 201


def statuses(order_of_carts: list[int], *, seed: int, keys: str = "") -> dict[int, list[int]]:
    """Return what each cart met, in its own order."""
    transport = FaultTransport(keys="ignore", seed=seed)
    transport.chaos(0.5, [Fault.UNAVAILABLE, Fault.BUSY, Fault.RATE_LIMIT])
    client = opened(transport)
    met: dict[int, list[int]] = {}
    for number, cart in enumerate(order_of_carts):
        met.setdefault(cart, []).append(order(client, f"{keys}{number}", cart=cart).status_code)
    return met


@given(st.permutations([0, 0, 0, 1, 1, 1, 2, 2, 2]), st.integers(0, 5))
def test_chaos_does_not_depend_on_how_requests_interleave_nor_on_their_keys(carts: list[int], seed: int) -> None:
    assert statuses(carts, seed=seed, keys="a") == statuses(sorted(carts), seed=seed, keys="b")


def test_chaos_meets_about_the_given_part_of_the_requests_with_every_fault() -> None:
    transport = FaultTransport(seed=1)
    transport.chaos(0.25)
    client = opened(transport)
    for n in range(400):
        with contextlib.suppress(httpx.TransportError):
            order(client, str(n), n=n)
    faults = [seen.fault for seen in transport.requests]
    assert set(faults) == {Fault.NONE, *LOST_REPLIES}
    assert 60 < sum(fault is not Fault.NONE for fault in faults) < 140
    assert len(transport.effects) == 400


def test_chaos_by_key_gives_each_key_its_own_luck() -> None:
    transport = FaultTransport(keys="ignore")
    transport.chaos(0.5, [Fault.UNAVAILABLE], by="key")
    client = opened(transport)
    assert {order(client, str(n), same="body").status_code for n in range(20)} == {201, 503}


def test_chaos_leaves_reads_alone_and_the_script_comes_first() -> None:
    transport = FaultTransport()
    transport.chaos(1, [Fault.UNAVAILABLE])
    transport.script(Fault.NONE)
    client = opened(transport)
    assert order(client).status_code == 201
    assert client.get("/v1/orders/order_1").status_code == 200
    assert order(client).status_code == 503


def test_chaos_wants_a_probability_and_a_fault() -> None:
    with pytest.raises(ValueError, match="probability"):
        FaultTransport().chaos(25)
    with pytest.raises(ValueError, match="at least one"):
        FaultTransport().chaos(0.5, [])


# Holds and hooks


def in_thread(client: httpx.Client, key: str, answers: list[int]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(order(client, key).status_code))
    thread.start()
    return thread


def test_a_held_request_has_no_effect_yet_and_its_key_is_in_progress() -> None:
    transport = FaultTransport(in_progress=425)
    client = opened(transport)
    answers: list[int] = []
    with transport.hold() as held:
        thread = in_thread(client, "k-1", answers)
        assert [seen.key for seen in held.wait_for(1)] == ["k-1"]
        assert transport.effects == []
        duplicate = order(client)
        assert duplicate.status_code == 425
        assert duplicate.json() == {"error": {"code": "idempotency_key_in_use"}}
        held.release()
        thread.join()
    assert answers == [201]
    assert len(transport.effects) == 1


def test_a_request_held_before_its_reply_has_had_its_effect() -> None:
    transport = FaultTransport()
    client = opened(transport)
    answers: list[int] = []
    with transport.hold("before_reply", limit=1) as held:
        thread = in_thread(client, "k-1", answers)
        held.wait_for(1)
        assert len(transport.effects) == 1
        assert order(client).headers["Idempotent-Replayed"] == "true"
        assert (answers, len(held.arrived)) == ([], 1)
    thread.join()
    assert answers == [201]


def test_a_hold_can_be_for_one_path() -> None:
    transport = FaultTransport()
    with transport.hold(path="/v1/refunds") as held:
        assert order(opened(transport)).status_code == 201
        assert held.arrived == []


def test_waiting_for_requests_that_do_not_come_says_how_many_came() -> None:
    with (
        FaultTransport().hold() as held,
        pytest.raises(TimeoutError, match="0 of 2 requests arrived at 'before_effect' within 0 s"),
    ):
        held.wait_for(2, timeout=0)


def test_waiting_for_an_idle_api_does_not_wait_for_ever() -> None:
    transport = FaultTransport()
    with transport.hold() as held:
        thread = in_thread(opened(transport), "k-1", [])
        held.wait_for(1)
        with pytest.raises(TimeoutError, match="1 requests are still under way"):
            transport.wait_idle(timeout=0)
    transport.wait_idle()
    assert len(transport.effects) == 1
    thread.join()


def test_the_hook_sees_each_request_before_its_effect() -> None:
    transport = FaultTransport()
    seen_effects: list[tuple[Seen, int]] = []
    transport.on_request = lambda seen: seen_effects.append((seen, len(transport.effects)))
    order(opened(transport), cart="c")
    [(seen, effects)] = seen_effects
    assert (seen.number, seen.method, seen.path, seen.key, seen.body) == (
        1,
        "POST",
        "/v1/orders",
        "k-1",
        b'{"cart":"c"}',
    )
    assert seen.header("content-TYPE") == "application/json"
    assert seen.header("absent") is None
    assert effects == 0


def test_a_hook_that_raises_ends_the_request_without_effect_and_leaves_the_key_free() -> None:
    transport = FaultTransport()

    def explode(seen: Seen) -> None:
        raise LookupError(seen.key)

    transport.on_request = explode
    with pytest.raises(LookupError, match="k-1"):
        order(opened(transport))
    transport.on_request = None
    assert order(opened(transport)).status_code == 201


def test_sixteen_threads_with_one_key_have_one_effect() -> None:
    transport = FaultTransport(latency=0.001)
    client = opened(transport)
    answers: list[int] = []
    threads = [in_thread(client, "k-1", answers) for _ in range(16)]
    for thread in threads:
        thread.join()
    assert len(transport.effects) == 1
    assert set(answers) <= {201, 409}


def test_a_reply_finds_its_headers_whatever_their_case() -> None:
    assert Reply.json(200, {}).header("CONTENT-type") == "application/json"
