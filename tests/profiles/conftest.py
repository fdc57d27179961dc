"""Clients of an API that does what its profile says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

import samekey
from samekey.providers import NAMES, load
from samekey.stores import MemoryStore
from tests.client.conftest import ONCE
from tests.profiles.apis import FORM, Api

make_thing = samekey.Operation("make_thing", scope=("thing",), reference="/id")
MUTATION = "mutation($idempotencyKey: String!) { make @idempotent(key: $idempotencyKey) { thing { id } } }"
KEYED = [name for name in NAMES if load(name).carrier.kind != "none"]

Build = Callable[..., samekey.Client]


def having(field: str) -> list[str]:
    return [name for name in KEYED if getattr(load(name), field)]


@pytest.fixture
def api(name: str) -> Api:
    return Api(load(name))


@pytest.fixture
def build(api: Api) -> Iterator[Build]:
    """Makes clients of the API over one store; each stands for another run of the script."""
    store = MemoryStore()
    with ExitStack() as stack:

        def make(**options: Any) -> samekey.Client:
            http = httpx.Client(base_url="https://api.example", transport=httpx.MockTransport(api))
            given: dict[str, Any] = {"provider": api.provider.name, "retry": ONCE, "store": store, "http": http}
            return stack.enter_context(samekey.Client(**(given | options)))

        yield make


def make(client: samekey.Client, thing: int = 7, *, amount: int = 1, operation: Any = make_thing) -> samekey.Action:
    kind = client._provider.carrier.kind
    with client.action(operation, scope={"thing": thing}) as action:
        if kind == "form":
            action.post("/things", content=f"Action=Run&Count={amount}", headers=FORM)
        else:
            action.post("/things", json={"query": MUTATION, "amount": amount})
    return action
