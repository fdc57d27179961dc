"""Probes that cannot begin, that end early, and what they never tell."""

from __future__ import annotations

import base64
import itertools
import json
import os
import signal
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx
import httpx2
import pytest

import samekey
from samekey.errors import UsageError
from samekey.testing import Fault, FlakyServer, ProbeCount, ProbeRequest, ProbeSend
from tests.testing.probing import AGREES, BODY, client_of, flaky, order, probe, seen, verdicts

API = "https://api.example"


@pytest.mark.parametrize("before", range(5))
def test_a_write_without_an_answer_ends_the_probe_and_all_that_was_sent_is_told(
    server: FlakyServer, before: int
) -> None:
    server.script(*[Fault.NONE] * before, Fault.COMMIT_THEN_DROP)
    told: list[ProbeSend] = []
    result = probe(flaky(), order(server), on_send=told.append)
    number = [1, 2, 3, 5, 5][before]
    assert result.stopped == (
        "a write had no answer (connection closed without an answer): it may have been carried out"
    )
    assert len(server.requests) == len(result.sends) == len(told) == number
    lost = [send for send in result.sends if send.status is None]
    assert [(send.sent, send.told) for send in lost] == [(True, "connection closed without an answer")]
    assert (result.agrees, result.draft(date(2026, 1, 1)), result.effects) == (False, None, None)
    assert (verdicts(result).get("the same again") is AGREES) is (before >= 2)


def test_a_server_that_is_not_there_is_told_as_nothing_sent() -> None:
    with FlakyServer() as server:
        url = server.url
    result = probe(flaky(), order(url, counted=False))
    assert result.stopped == "a write had no answer (connection refused): it did not leave"
    assert [send.sent for send in result.sends] == [False]
    result = probe(flaky(), order(url))
    assert result.stopped == "the look-up that counts effects failed: connection refused"
    assert not result.sends


@pytest.mark.parametrize(
    "fault", [Fault.REJECT(422), Fault.RATE_LIMIT, Fault.UNAVAILABLE, Fault.REDIRECT, Fault.HTML_200]
)
def test_a_first_write_that_is_no_success_is_the_last(server: FlakyServer, fault: Fault) -> None:
    server.script(fault)
    result = probe(flaky(), order(server))
    assert "so there is nothing to compare" in result.stopped
    assert (len(server.requests), result.facts, result.draft(date(2026, 1, 1))) == (1, (), None)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([httpx.Response(401)], "HTTP 401"),
        ([httpx.Response(200, text="ten")], "there is neither a list nor a whole number at /n of the answer"),
        ([httpx.Response(200, json={"n": True})], "there is neither a list nor a whole number at /n of the answer"),
        ([httpx.Response(200, json={"n": 1}), httpx.Response(500)], "HTTP 500"),
    ],
)
def test_a_look_up_that_tells_no_number_ends_the_probe(answers: list[httpx.Response], why: str) -> None:
    writes: list[httpx.Request] = []
    expected = len(answers) - 1

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return answers.pop(0)
        writes.append(request)
        return httpx.Response(201, json={"id": "a"})

    with client_of(handler) as http:
        result = probe(flaky(), order(API, count=ProbeCount(f"{API}/n", "/n")), http=http)
    assert result.stopped == f"the look-up that counts effects failed: {why}"
    assert len(writes) == len(result.sends) == expected


def test_a_number_is_found_wherever_it_is() -> None:
    keys: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"a/b": [{}, {"n": len(set(keys))}]})
        keys.append(request.headers["Idempotency-Key"])
        return httpx.Response(201, json={"id": "a"})

    with client_of(handler) as http:
        result = probe(flaky(), order(API, count=ProbeCount(f"{API}/n", "/a~1b/1/n")), http=http)
    assert result.effects == 2


@pytest.mark.parametrize("step", [0, 2])
def test_a_look_up_that_does_not_follow_the_first_write_is_not_believed(step: int) -> None:
    number = 10
    keys: dict[str, int] = {}

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal number
        if request.method == "GET":
            return httpx.Response(200, json={"list": [0] * number})
        number += step
        return httpx.Response(201, json={"id": keys.setdefault(request.headers["Idempotency-Key"], len(keys))})

    with client_of(handler) as http:
        result = probe(
            flaky(mismatch=(), replay_marker=None), order(API, count=ProbeCount(f"{API}/n", "/list")), http=http
        )
    assert result.notes == (f"The look-up went from 10 by {step} with the first write, not by 1: it was not used.",)
    assert (result.effects, result.agrees) == (None, True)
    assert seen(result, "the same again") == "no second effect (not counted: the same reference)"


@pytest.mark.parametrize("after", [0, 1, 3])
def test_ctrl_c_ends_it_when_what_was_sent_is_told(after: int) -> None:
    told: list[ProbeSend] = []
    writes = 0

    def handler(_request: httpx.Request) -> httpx.Response:
        nonlocal writes
        writes += 1
        if writes == after + 1:
            raise KeyboardInterrupt
        return httpx.Response(201, json={"id": "a"})

    with client_of(handler) as http, pytest.raises(KeyboardInterrupt):
        probe(flaky(), order(API, counted=False), http=http, on_send=told.append)
    assert len(told) == writes == {0: 1, 1: 2, 3: 5}[after]
    assert [send.told for send in told if send.status is None] == ["interrupted by Ctrl-C"]


def test_ctrl_c_while_two_are_on_their_way_waits_for_what_becomes_of_them() -> None:
    told: list[ProbeSend] = []
    numbers = itertools.count(1)

    def handler(_request: httpx.Request) -> httpx.Response:
        if next(numbers) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        return httpx.Response(201, json={"id": "a"})

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with client_of(handler) as http, pytest.raises(KeyboardInterrupt):
            probe(flaky(), order(API, counted=False), http=http, on_send=told.append)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [send.status for send in told] == [201] * 5


# --- wrong calls -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "fields", "text"),
    [
        ("stripe-v1", {"headers": {"idempotency-key": "mine"}}, "brings its own Idempotency-Key header"),
        ("stripe-v1", {"method": "PUT"}, "method: stripe-v1 has keys on POST, and this is a PUT"),
        ("stripe-v1", {"change": None}, "other: there is no changed body"),
        ("stripe-v1", {"method": "GET"}, "method: a GET writes nothing|method: stripe-v1 has keys on POST"),
        ("keyless", {"method": "GET", "change": None}, "method: a GET writes nothing"),
        ("square-payments", {"json": None, "form": BODY, "change": "total"}, "takes its key as idempotency_key in the JSON body"),
        ("square-payments", {"json": [{"a": 1}], "change": "/0/a"}, "the body has no object for it"),
        ("square-payments", {"json": {"idempotency_key": "x", "a": 1}, "change": "/a"}, "brings its own idempotency_key in"),
        ("gce", {"url": API + "/x?requestId=1"}, "brings its own query parameter requestId"),
        ("stripe-v1", {"url": "ftp://api.example/x"}, "scheme 'ftp'"),
        ("stripe-v1", {"url": "/orders"}, "has no scheme"),
        ("stripe-v1", {"headers": {"X": "a\nb"}}, "the header 'x' has a value that HTTP does not allow"),
        ("stripe-v1", {"count": {"url": "orders"}}, "count: the URL has no scheme"),
        ("stripe-v1", {"json": {"a": {1}, "b": 1}, "change": "/b"}, "json= cannot be written as JSON"),
        ("strip", {}, "not a provider profile"),
        (7, {}, "provider= is a int"),
    ],
)  # fmt: skip
def test_a_wrong_call_sends_nothing(provider: Any, fields: dict[str, Any], text: str) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise AssertionError

    given: dict[str, Any] = {"url": f"{API}/orders", "json": BODY, "change": "/total"}
    with client_of(handler) as http, pytest.raises(UsageError, match=text):
        probe(provider, ProbeRequest(**(given | fields)), http=http)


def test_a_client_that_retries_by_itself_is_refused() -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=2)) as http, pytest.raises(UsageError, match="retries"):
        probe(flaky(), order(API), http=http)


def test_httpx2_will_do_as_well(server: FlakyServer) -> None:
    with httpx2.Client() as http:
        assert probe(flaky(), order(server), http=http).agrees
        assert not http.is_closed


# --- secrets -----------------------------------------------------------------------------------------------------

SECRET = "CANARY/s3+cr3t"
QUOTED = quote(SECRET, safe="")
BASIC = base64.b64encode(f"user:{SECRET}".encode()).decode()


class Echo:
    """Repeats whatever it was sent wherever an answer has room."""

    def __init__(self, refuse: set[int]) -> None:
        self.calls = 0
        self.refuse = refuse

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        text = " ".join([SECRET, QUOTED, request.headers.get("Authorization", ""), str(request.url)])
        if self.calls in self.refuse:
            error = {"code": SECRET, SECRET: {"code": "conflict"}, "type": text}
            return httpx.Response(409, json=error, headers={"X-Replay": SECRET})
        headers = {"Location": f"/orders/{text}"} | ({"X-Replay": SECRET} if self.calls > 1 else {})
        return httpx.Response(201, json={"id": f"order-{text}"}, headers=headers)


@pytest.mark.parametrize("refuse", [set(), {1}, {2}, {3, 5}], ids=str)
@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"headers": {"X-Anything": SECRET}},
        {"url": f"{API}/orders?token={QUOTED}"},
        {"url": f"https://{QUOTED}:@api.example/orders"},
        {"url": f"https://user:{QUOTED}@api.example/orders"},
        {"headers": {"Authorization": f"Basic {BASIC}"}},
        {"headers": {"Authorization": f"Bearer {SECRET}"}, "reference": "header:Location"},
    ],
)
def test_no_credential_is_ever_told(fields: dict[str, Any], refuse: set[int]) -> None:
    request = ProbeRequest(**({"url": f"{API}/orders", "json": BODY, "change": "/total"} | fields))
    told = repr(request)
    for provider in (samekey.Provider("a", replay_marker=None), samekey.Provider("b", carrier={"kind": "none"})):
        with client_of(Echo(refuse)) as http:
            result = probe(provider, request, http=http)
        told += repr(result) + json.dumps([result.as_json(), result.draft(date(2026, 1, 1))])
        assert len(result.sends) == (1 if refuse == {1} else 5 if provider.name == "a" else 2)
    assert "order" in told or refuse == {1}
    assert not [secret for secret in (SECRET, QUOTED, BASIC, SECRET[:10]) if secret in told]


@pytest.mark.parametrize(
    "options", [{"auth": ("user", SECRET)}, {"headers": {"X-Key": SECRET}}, {"params": {"k": SECRET}}]
)
def test_credentials_of_the_clients_own_are_not_told_either(options: dict[str, Any]) -> None:
    with httpx.Client(transport=httpx.MockTransport(Echo(set())), **options) as http:
        result = probe(flaky(), order(API, counted=False), http=http)
    assert "order-" in repr(result)
    assert not [secret for secret in (SECRET, QUOTED, BASIC) if secret in repr(result)]


def test_a_secret_that_reads_like_a_mark_is_none() -> None:
    answers = [httpx.Response(201, json={"id": name}) for name in "aaabb"]
    answers[1].headers["X-Replay"] = "opensesame"
    with client_of(lambda _request: answers.pop(0)) as http:
        request = order(API, counted=False, headers={"X-Word": "opensesame"})
        result = probe(samekey.Provider("a"), request, http=http)
    assert verdicts(result)["the same again"] is AGREES
    assert "opensesame" not in repr(result)


def test_a_look_up_elsewhere_gets_none_of_the_credentials_of_the_write() -> None:
    reads: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            reads.append(request)
            return httpx.Response(200, json=[])
        return httpx.Response(201, json={"id": "a"})

    def look_up(url: str, headers: dict[str, str]) -> httpx.Headers:
        with client_of(handler) as http:
            count = ProbeCount(url, headers=headers)
            probe(flaky(), order(API, headers={"Authorization": SECRET, "X-Team": "a"}, count=count), http=http)
        return reads.pop().headers

    same = look_up(f"{API}/orders", {"x-team": "b"})
    assert (same["authorization"], same["x-team"]) == (SECRET, "b")
    assert "content-type" not in same
    for url in ("https://other.example/orders", "https://api.example:8443/orders", "http://api.example/orders"):
        assert "authorization" not in look_up(url, {})


def test_samekey_keys_are_sent_and_only_their_beginnings_are_told(server: FlakyServer) -> None:
    result = probe(flaky(), order(server))
    keys = {request.key for request in server.requests}
    assert {send.key for send in result.sends} == {key[:8] for key in keys if key is not None}
    assert not any(key in repr(result) for key in keys if key is not None)
    assert samekey.Provider(**(result.draft(date(2026, 1, 1)) or {})).tier == "probed"
