"""Real SDKs over the transport: a reply that is lost, a process that is killed, one effect, and the SDK's own result."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import samekey
from samekey.testing import Fault, FlakyServer
from tests.transport import async_vendors, vendors
from tests.transport.conftest import AT_ONCE, ONCE

ROOT = Path(__file__).parents[2]

every_vendor = pytest.mark.parametrize(
    ("sdk", "name"),
    [(module, name) for module in (vendors, async_vendors) for name in module.VENDORS],
    ids=[*vendors.VENDORS, *(f"async_{name}" for name in async_vendors.VENDORS)],
)


def object_id(made: Any) -> Any:
    return made.id if hasattr(made, "id") else made.model_extra["id"]


@every_vendor
def test_a_lost_reply_has_one_effect_and_the_sdks_own_result(
    server: FlakyServer, path: Path, sdk: Any, name: str
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.DROP_BEFORE)
    made, action = sdk.run(name, server.url, str(path), retry=AT_ONCE)
    assert isinstance(made, sdk.VENDORS[name][1])
    assert (len(server.effects), len(server.requests), action.attempts) == (1, 3, 3)
    assert len({(request.target, request.body, request.headers) for request in server.requests}) == 1
    assert {request.key for request in server.requests} == {action.key}
    again, repeated = sdk.run(name, server.url, str(path))
    assert (type(again), object_id(again), repeated.replayed) == (type(made), object_id(made), True)
    assert len(server.requests) == 3


@every_vendor
def test_the_sdks_own_retries_send_nothing_and_our_verdict_comes_through(
    server: FlakyServer, path: Path, sdk: Any, name: str
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_DROP)
    with pytest.raises(samekey.OutcomeUnknownError) as raised:
        sdk.run(name, server.url, str(path), retry=ONCE)
    assert (len(server.requests), raised.value.status) == (1, samekey.Status.UNKNOWN)
    server.script()
    made, action = sdk.run(name, server.url, str(path))
    assert isinstance(made, sdk.VENDORS[name][1])
    assert (len(server.effects), action.recovered) == (1, True)


@pytest.mark.slow
@every_vendor
def test_killed_in_the_middle_and_run_again_there_is_one_effect(
    server: FlakyServer, path: Path, sdk: Any, name: str
) -> None:
    arrived = threading.Event()
    server.on_request = lambda _seen: arrived.set()
    server.script(Fault.STALL)
    command = [sys.executable, "-m", sdk.__name__, name, server.url, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert arrived.wait(60)
        child.kill()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True, timeout=60)
    (effect,), (first, second) = server.effects, server.requests
    assert again.stdout.strip() == effect.reference
    assert (first.target, first.body, first.headers) == (second.target, second.body, second.headers)


def test_without_the_sdk_the_adapter_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stripe", None)
    monkeypatch.delitem(sys.modules, "samekey.integrations.stripe")
    with pytest.raises(samekey.UsageError, match="pip install stripe"):
        importlib.import_module("samekey.integrations.stripe")
