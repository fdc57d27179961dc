"""What only the client for event loops has to keep."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

import samekey
from samekey.stores import MemoryStore, open_async_store
from samekey.testing import Fault, FlakyServer
from tests.client.conftest import AT_ONCE, BODY, DAY, ONCE, create_order

URL = "https://api.shop.example"


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_a_store_that_would_block_the_loop_is_refused_and_the_other_way_round() -> None:
    store: Any = MemoryStore()
    with pytest.raises(samekey.UsageError, match="MemoryStore would block the event loop; give AsyncMemoryStore"):
        samekey.AsyncClient(URL, window=DAY, store=store)
    with pytest.raises(samekey.UsageError, match="would block the event loop"):
        samekey.AsyncTransport(window=DAY, store=store)
    other: Any = open_async_store("memory://")
    with pytest.raises(samekey.UsageError, match="AsyncMemoryStore is for event loops; give MemoryStore"):
        samekey.Client(URL, window=DAY, store=other)
    with pytest.raises(samekey.UsageError, match="is for event loops"):
        samekey.Transport(window=DAY, store=other)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_synchronous_http_client_is_refused(module: Any) -> None:
    with (
        module.Client(verify=False) as http,
        pytest.raises(samekey.UsageError, match="this client is synchronous; give an AsyncClient"),
    ):
        samekey.AsyncClient(http=http, window=DAY, store="memory://")


@pytest.mark.parametrize("statement", ["import samekey", "import samekey.errors"])
def test_what_needs_no_event_loop_loads_none(statement: str) -> None:
    code = f"{statement}; import sys; print(sorted({{'anyio', 'trio', 'httpx2'}} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "[]"


def test_httpx2_is_loaded_by_who_brings_it() -> None:
    code = "import sys, samekey; samekey.AsyncClient; samekey.AsyncTransport; samekey.Client; print('httpx2' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert told.stdout.strip() == "False"


def test_an_asynchronous_stream_goes_out_once(server: FlakyServer, path: Path, backend: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def main() -> None:
        async with samekey.AsyncClient(server.url, window=DAY, store=path, freeze="nothing", verify=False) as client:
            for _ in range(2):
                async with client.action(create_order, scope={"order": 1}) as action:
                    await action.post("/orders", content=body(), fingerprint="one and two")

    anyio.run(main, backend=backend)
    (seen,) = server.requests
    assert seen.body == b"onetwo"


def test_the_callers_own_trace_is_awaited(server: FlakyServer, path: Path, backend: str) -> None:
    events: list[str] = []

    async def trace(name: str, _info: Any) -> None:
        await anyio.lowlevel.checkpoint()
        events.append(name)

    async def main() -> None:
        async with (
            samekey.AsyncClient(server.url, window=DAY, store=path, verify=False) as client,
            client.action(create_order, scope={"order": 1}) as action,
        ):
            await action.post("/orders", json=BODY, extensions={"trace": trace})

    anyio.run(main, backend=backend)
    assert "http11.send_request_headers.started" in events
    assert len(server.effects) == 1


def test_an_action_is_begun_by_the_one_client_and_finished_by_the_other(server: FlakyServer, path: Path) -> None:
    server.script(Fault.COMMIT_THEN_DROP)

    async def lose() -> None:
        async with samekey.AsyncClient(server.url, window=DAY, store=path, retry=ONCE, verify=False) as client:
            with pytest.raises(samekey.OutcomeUnknownError):
                async with client.action(create_order, scope={"order": 1}) as action:
                    await action.post("/orders", json=BODY)

    anyio.run(lose)
    with (
        samekey.Client(server.url, window=DAY, store=path, retry=AT_ONCE, verify=False) as client,
        client.action(create_order, scope={"order": 1}) as action,
    ):
        action.post("/orders", json=BODY)
    assert (action.recovered, len(server.effects)) == (True, 1)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_transport_for_both_libraries(server: FlakyServer, path: Path, backend: str, module: Any) -> None:
    marks = {"operation": create_order, "scope": {"order": 2}}

    async def main() -> None:
        below = samekey.AsyncTransport(window=DAY, store=path, retry=AT_ONCE, verify=False)
        async with module.AsyncClient(base_url=server.url, transport=below) as http:
            assert (await http.get("/orders/none")).status_code == 404
            with pytest.raises(samekey.UsageError, match="was sent outside any action"):
                await http.post("/orders", json=BODY)
            server.script(Fault.COMMIT_THEN_DROP)
            async with samekey.action(create_order, scope={"order": 1}) as action:
                first = await http.post("/orders", json=BODY)
                again = await http.post("/orders", json=BODY)
            assert isinstance(first, module.Response)
            assert (first.json(), action.attempts) == (again.json(), 2)
            async with http.stream("POST", "/orders", json=BODY, extensions={"samekey": marks}) as streamed:
                assert (await streamed.aread()).startswith(b"{")
        assert http.is_closed

    anyio.run(main, backend=backend)
    assert len(server.effects) == 2


# httpx leaves the generator that it read the answer from to the collector, which trio tells of.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_answer_that_is_too_long_has_an_unknown_outcome(server: FlakyServer, path: Path, backend: str) -> None:
    async def main() -> None:
        below = samekey.AsyncTransport(window=DAY, store=path, retry=ONCE, max_response=3, verify=False)
        async with httpx.AsyncClient(base_url=server.url, transport=below) as http:
            with pytest.raises(samekey.OutcomeUnknownError, match="HTTP 201, and an answer too long to be read"):
                async with samekey.action(create_order, scope={"order": 1}):
                    await http.post("/orders", json=BODY)

    anyio.run(main, backend=backend)


def test_the_proxy_environment_is_honoured(
    server: FlakyServer, path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")

    async def main() -> None:
        below = samekey.AsyncTransport(window=DAY, store=path, retry=ONCE, verify=False)
        async with httpx.AsyncClient(base_url="http://api.shop.example", transport=below) as http:
            with pytest.raises(samekey.NotSentError, match="connection refused"):
                async with samekey.action(create_order, scope={"order": 1}):
                    await http.post("/orders", json=BODY)

    anyio.run(main, backend=backend)
    assert server.requests == []
