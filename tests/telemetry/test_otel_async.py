"""The client for event loops is followed as the other one is, on asyncio and trio."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import tenacity
from opentelemetry.trace import SpanKind

import samekey
from samekey.stores import AsyncMemoryStore
from samekey.telemetry import otel
from samekey.testing import Fault, FlakyServer
from tests.telemetry.conftest import Seen, trace_headers

if TYPE_CHECKING:
    from pathlib import Path

create_order = samekey.Operation("create_order", scope=("cart",), reference="/id")
AT_ONCE = samekey.RetryPolicy(attempts=3, wait=tenacity.wait_none(), budget=None)
ONCE = samekey.RetryPolicy(attempts=1, budget=None)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def connect(server: FlakyServer, store: Any, **options: Any) -> samekey.AsyncClient:
    given: dict[str, Any] = {"window": timedelta(days=1), "store": store, "retry": AT_ONCE, "verify": False}
    return samekey.AsyncClient(server.url, **(given | options))


async def post(client: samekey.AsyncClient, cart: str) -> None:
    async with client.action(create_order, scope={"cart": cart}) as action:
        await action.post("/orders", json={"total": 1})


@pytest.mark.usefixtures("instrumented")
def test_tasks_side_by_side_have_each_their_span_and_their_attempts_in_it(
    seen: Seen, server: FlakyServer, tmp_path: Path, backend: str
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_DROP)

    async def main() -> None:
        async with connect(server, tmp_path / "samekey.db") as client, anyio.create_task_group() as group:
            for cart in ("one", "two"):
                group.start_soon(post, client, cart)

    anyio.run(main, backend=backend)
    wholes, attempts = seen.spans(SpanKind.INTERNAL), seen.spans(SpanKind.CLIENT)
    assert len(wholes) == 2
    assert len(seen.spans()) == 2 + 4  # httpx, which is instrumented, adds none of its own
    sent = [value for headers in trace_headers(server) for _, value in headers]
    for whole in wholes:
        own = [span for span in attempts if span.parent is not None and span.parent.span_id == whole.context.span_id]
        assert own
        assert {dict(span.attributes or {})[otel.KEY] for span in own} == {dict(whole.attributes or {})[otel.KEY]}
        name = f"{whole.context.trace_id:032x}-{whole.context.span_id:016x}"
        assert len([value for value in sent if name in value]) == len(own)
    verbs = {point.attributes["samekey.store.verb"]: point.count for point in seen.points()["samekey.store.duration"]}
    assert verbs == {"claim": 2, "renew": 2, "settle": 2}


def test_a_recovery_links_to_the_attempts_it_takes_over(
    seen: Seen, server: FlakyServer, tmp_path: Path, backend: str
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)

    async def main() -> None:
        async with connect(server, tmp_path / "samekey.db", retry=ONCE, operations=[create_order]) as client:
            with pytest.raises(samekey.OutcomeUnknownError):
                await post(client, "one")
            assert len((await client.recover()).settled) == 1

    anyio.run(main, backend=backend)
    first, later = seen.spans(SpanKind.INTERNAL)
    assert [link.context.trace_id for link in later.links] == [first.context.trace_id]
    assert dict(later.attributes or {})["samekey.outcome"] == "recovered"


@pytest.mark.parametrize("kept", ["file", "memory"])
def test_stats_are_those_of_the_store(server: FlakyServer, tmp_path: Path, backend: str, kept: str) -> None:
    store: Any = AsyncMemoryStore() if kept == "memory" else tmp_path / "samekey.db"
    server.script(Fault.COMMIT_THEN_DROP)

    async def main() -> samekey.Stats:
        async with connect(server, store) as client:
            for cart in ("one", "two", "one"):
                await post(client, cart)
            assert (await client.stats(operation="other")).actions == 0
            assert (await client.stats(since=timedelta(seconds=-60))).actions == 0
            with pytest.raises(samekey.UsageError, match="without a time zone"):
                await client.stats(
                    since=datetime(2026, 1, 1)  # noqa: DTZ001 - it is to be refused
                )
            return await client.stats()

    stats = anyio.run(main, backend=backend)
    assert (stats.actions, stats.succeeded, stats.begins, stats.prevented_by_record) == (2, 2, 3, 1)
    assert (stats.retried, stats.recovered, stats.writes, stats.objects) == (1, 1, 2, 2)
    assert stats.store_latency is not None
