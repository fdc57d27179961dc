"""Probes of APIs that do what their profile says, one for each profile: the key in its place, all that is told agrees."""

from __future__ import annotations

import json
import threading
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

import samekey
from samekey.provider import Provider
from samekey.providers import NAMES, load
from samekey.stores import MemoryStore
from samekey.testing import ProbeCount, ProbeRequest, ProbeResult, ProbeVerdict, probe
from tests.profiles.apis import Api, render

KEYED = [name for name in NAMES if load(name).carrier.kind != "none"]
URL = "https://api.example/things"
MUTATION = "mutation($idempotencyKey: String!) { make @idempotent(key: $idempotencyKey) { thing { id } } }"


class Sandbox(Api):
    """Carries a key out once; the first request under a second key is running until another one was answered."""

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.lock = threading.Lock()
        self.bodies: dict[str, tuple[str, bytes]] = {}
        self.answered = threading.Event()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"made": len(self.effects)})
        with self.lock:
            self.requests.append(request)
            key, sent = self.key_of(request), self.told(request)
            known = self.bodies.setdefault(key, sent)
            second = len(self.bodies) > 1
            fresh = key not in self.effects
            if fresh:
                self.effects.append(key)
            answer = self.answer(known, sent, fresh=fresh, running=second and not self.answered.is_set())
            if not fresh and second:
                self.answered.set()
        if fresh and second:
            assert self.answered.wait(20)
        return answer

    def told(self, request: httpx.Request) -> tuple[str, bytes]:
        return str(request.url), request.content

    def answer(self, known: Any, sent: Any, *, fresh: bool, running: bool) -> httpx.Response:
        if fresh:
            return httpx.Response(201, json={"id": f"obj_{len(self.effects)}"})
        if known != sent and self.provider.mismatch:
            return render(self.provider.mismatch[0])
        if running and self.provider.in_progress:
            return render(self.provider.in_progress[0])
        if self.provider.already_done:
            return render(self.provider.already_done[0])
        marker = self.provider.replay_marker
        return httpx.Response(200, json={"id": f"obj_{len(self.effects)}"}, headers=dict([marker] if marker else []))


class Keyless(Sandbox):
    def key_of(self, request: httpx.Request) -> str:
        return str(len(self.requests))

    def answer(self, known: Any, sent: Any, **_words: Any) -> httpx.Response:
        self.answered.set()
        return httpx.Response(201, json={"id": f"obj_{len(self.effects)}"})


def wanted(provider: Provider) -> ProbeRequest:
    count = ProbeCount(URL, "/made")
    if provider.carrier.kind == "form":
        return ProbeRequest(URL, form={"Action": "Run", "Count": "1"}, change="Count", count=count)
    return ProbeRequest(URL, json={"query": MUTATION, "amount": 1}, change="/amount", count=count)


def probed(api: Api, provider: Provider) -> ProbeResult:
    with httpx.Client(transport=httpx.MockTransport(api)) as http:
        return probe(provider, wanted(api.provider), http=http)


@pytest.mark.parametrize("name", KEYED)
def test_an_api_that_does_what_its_profile_says_agrees(name: str) -> None:
    api = Sandbox(load(name))
    result = probed(api, api.provider)
    verdicts = {fact.name: fact.verdict for fact in result.facts}
    assert not [fact for fact in result.facts if fact.verdict is ProbeVerdict.DIFFERS]
    assert (result.effects, len(api.requests), len(set(api.keys))) == (2, 5, 2)
    first, again = ((r.method, str(r.url), r.content, r.headers.raw) for r in api.requests[:2])
    assert first == again
    for fact, stated in {
        "its answer": api.provider.already_done,
        "replayed answer": api.provider.replay_marker,
        "other data under the key": api.provider.mismatch or api.provider.silent_mismatch,
        "still running": api.provider.in_progress,
    }.items():
        assert (verdicts[fact] is ProbeVerdict.AGREES) is bool(stated)


@pytest.mark.parametrize("name", KEYED)
def test_its_draft_is_a_profile_that_a_client_can_use(name: str) -> None:
    api = Sandbox(load(name))
    draft = probed(api, api.provider).draft(date(2026, 11, 24))
    assert draft is not None
    provider = Provider.model_validate(json.loads(json.dumps(draft)))
    assert (provider.carrier, provider.methods) == (api.provider.carrier, frozenset({"POST"}))
    assert (provider.replay_marker, provider.already_done) == (api.provider.replay_marker, api.provider.already_done)
    assert provider.mismatch == api.provider.mismatch[:1]
    assert provider.in_progress == api.provider.in_progress[:1]
    again = Sandbox(api.provider)
    assert probed(again, provider).agrees
    http = httpx.Client(base_url="https://api.example", transport=httpx.MockTransport(Sandbox(api.provider)))
    options: dict[str, Any] = {"window": timedelta(hours=1), "store": MemoryStore(), "http": http}
    with samekey.Client(provider=provider, **options) as client, client.action("make", scope={"thing": 1}) as action:
        action.post("/things", **{k: v for k, v in wanted(provider).options.items() if k != "headers"})
    assert action.status is samekey.Status.SUCCEEDED


@pytest.mark.parametrize("name", KEYED)
def test_an_api_without_keys_differs_from_every_profile_that_has_some(name: str) -> None:
    result = probed(Keyless(load(name)), load(name))
    assert not result.agrees
    draft = result.draft(date(2026, 11, 24))
    assert draft is not None
    assert draft["carrier"] == {"kind": "none"}


def test_an_api_without_keys_does_what_keyless_says() -> None:
    api = Keyless(load("keyless"))
    result = probed(api, api.provider)
    assert (result.agrees, result.effects, len(api.requests)) == (True, 2, 2)


@pytest.mark.parametrize("name", [name for name in KEYED if load(name).mismatch and load(name).in_progress])
def test_an_api_that_says_it_otherwise_differs(name: str) -> None:
    api = Sandbox(
        load(name).model_copy(update={"mismatch": load("increase").mismatch, "in_progress": load("adyen").in_progress})
    )
    stated = load(name)
    if stated.mismatch == api.provider.mismatch:
        pytest.skip("the same words")
    result = probed(api, stated)
    verdicts = {fact.name: fact.verdict for fact in result.facts}
    assert verdicts["other data under the key"] is ProbeVerdict.DIFFERS
    assert verdicts["still running"] is ProbeVerdict.DIFFERS


def test_an_endpoint_with_a_place_of_its_own_is_probed_there() -> None:
    there = Provider("there", carrier={"kind": "json", "name": "request_id"}, methods={"POST"})
    shop = Provider("shop", endpoints=[{"path": "/things", "carrier": there.carrier}])
    api = Sandbox(there)
    result = probed(api, shop)
    assert (result.effects, len(set(api.keys))) == (2, 2)
