"""A server that behaves as a profile's facts say, on a transport without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx

from samekey.provider import Answer, Provider

ORDER = {"id": "obj_1", "state": "made"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Api:
    """What it is told to do comes first; without a word it does what the profile says about the key."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.script: list[str] = []
        self.requests: list[httpx.Request] = []
        self.reads: list[httpx.Request] = []
        self.effects: list[str] = []

    @property
    def keys(self) -> list[str]:
        return [self.key_of(request) for request in self.requests]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            self.reads.append(request)
            return self.read(request)
        if request.url.path == "/v2/payments/cancel":
            self.reads.append(request)
            return self.cancel(json.loads(request.content)["idempotency_key"])
        self.requests.append(request)
        word = self.script.pop(0) if self.script else "honest"
        answer: httpx.Response = getattr(self, word)(request)
        return answer

    def honest(self, request: httpx.Request) -> httpx.Response:
        key = self.key_of(request)
        if key not in self.effects:
            self.effects.append(key)
            return httpx.Response(201, json=ORDER)
        if self.provider.already_done:
            return render(self.provider.already_done[0])
        if self.provider.repeat == "rejected":
            return httpx.Response(422, json={"message": "not unique"})
        marker = self.provider.replay_marker
        return httpx.Response(200, json=ORDER, headers=dict([marker] if marker else []))

    def lost(self, request: httpx.Request) -> httpx.Response:
        self.honest(request)
        raise httpx.ReadError("reset", request=request)

    def never_came(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("reset", request=request)

    def failed(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, json={"message": "internal error"})

    def refused(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(403, json={"message": "no"})

    def running(self, _request: httpx.Request) -> httpx.Response:
        return render(self.provider.in_progress[0])

    def mismatch(self, _request: httpx.Request) -> httpx.Response:
        return render(self.provider.mismatch[0])

    def expired(self, _request: httpx.Request) -> httpx.Response:
        return render(self.provider.expired[0])

    def ended(self, request: httpx.Request) -> httpx.Response:
        """What the key began has failed in the meantime."""
        self.effects = [key for key in self.effects if key != self.key_of(request)]
        return render(self.provider.failed[0], 200)

    def refused_with_200(self, _request: httpx.Request) -> httpx.Response:
        return render(self.provider.refused[0])

    def told_to_retry(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(400, json={}, headers={self.provider.hint_header or "": "true"})

    def told_to_stop(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={}, headers={self.provider.hint_header or "": "False"})

    def unavailable(self, _request: httpx.Request) -> httpx.Response:
        return render(self.provider.unavailable[0])

    def read(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/things/obj_1":
            return httpx.Response(200, json=ORDER)
        if request.url.path == "/things:by_client_order_id":
            known = request.url.params["client_order_id"] in self.effects
            return httpx.Response(200, json=ORDER) if known else httpx.Response(404, json={})
        if request.url.path == "/things/search":
            query = request.url.params["query"]
            stamped = [parse_qs(each.content.decode()).get("metadata[samekey]", [""])[0] for each in self.requests]
            known = any(query == f"metadata['samekey']:'{key}'" for key in stamped if key in self.effects)
            return httpx.Response(200, json={"data": [ORDER] if known else []})
        key = request.url.params.get("idempotency_key")
        return httpx.Response(200, json={"data": [ORDER] if key in self.effects else []})

    def cancel(self, key: str) -> httpx.Response:
        self.effects = [each for each in self.effects if each != key]
        return httpx.Response(200, json={})

    def key_of(self, request: httpx.Request) -> str:
        carrier = self.provider.carrier
        if carrier.kind == "header":
            (value,) = request.headers.get_list(carrier.name)
            return value.strip('"')
        if carrier.kind == "query":
            (value,) = request.url.params.get_list(carrier.name)
            return value
        if carrier.kind == "form":
            (value,) = parse_qs(request.content.decode())[carrier.name]
            return value
        found: Any = json.loads(request.content, object_pairs_hook=once)
        for part in ["variables", carrier.name] if carrier.kind == "graphql" else carrier.name.split("."):
            found = found[part]
        return str(found)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, none of whose members comes twice."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names)
    return dict(pairs)


def render(answer: Answer, usual: int = 400) -> httpx.Response:
    """A response that has just what an answer is recognised by."""
    status = answer.status or usual
    headers = dict([answer.header] if answer.header else [])
    if answer.aws:
        return httpx.Response(status, json={"__type": f"com.amazonaws#{answer.code}", "message": "x"}, headers=headers)
    body: Any = {"message": "x"}
    for where, value in ((answer.code_at, answer.code), (answer.id_at, "obj_1")):
        if where:
            body = merged(body, nested(iter(where.split(".")), value))
    return httpx.Response(status, json=body, headers=headers)


def nested(parts: Iterator[str], value: Any) -> Any:
    part = next(parts, None)
    if part is None:
        return value
    inner = nested(parts, value)
    return [inner] if part == "*" else {part: inner}


def merged(left: Any, right: Any) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        return left | {name: merged(left[name], value) if name in left else value for name, value in right.items()}
    if isinstance(left, list) and isinstance(right, list):
        return [merged(one, other) for one, other in zip(left, right, strict=True)]
    return right
