"""Spans and metrics as the SDK's own in-memory exporters see them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import tenacity
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

import samekey
from samekey.stores import SQLiteStore
from samekey.telemetry import otel
from samekey.testing import Fault, FlakyServer
from tests.telemetry.conftest import Seen, trace_headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


SECRETS = ("SCOPE-VALUE", "QUERY-VALUE", "BODY-VALUE", "TOKEN-VALUE")
create_order = samekey.Operation("create_order", scope=("cart",), reference="/id")
AT_ONCE = samekey.RetryPolicy(attempts=3, wait=tenacity.wait_none(), budget=None)
ONCE = samekey.RetryPolicy(attempts=1, budget=None)
Connect = "Callable[..., samekey.Client]"


@pytest.fixture
def connect(server: FlakyServer, tmp_path: Path) -> Callable[..., samekey.Client]:
    def make(**options: Any) -> samekey.Client:
        given: dict[str, Any] = {
            "window": timedelta(days=1), "store": tmp_path / "samekey.db", "retry": AT_ONCE, "verify": False,
            "headers": {"Authorization": "Bearer TOKEN-VALUE"},
        }  # fmt: skip
        return samekey.Client(server.url, **(given | options))

    return make


def post(
    client: samekey.Client, cart: str = "SCOPE-VALUE", total: str = "BODY-VALUE", **options: Any
) -> samekey.Action:
    with client.action(create_order, scope={"cart": cart}) as action:
        action.post("/orders?q=QUERY-VALUE", json={"total": total}, **options)
    return action


def test_an_action_is_one_internal_span_and_each_attempt_a_client_span_in_it(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_5XX(503))
    with connect() as client:
        action = post(client)
    (whole,) = seen.spans(SpanKind.INTERNAL)
    attempts = seen.spans(SpanKind.CLIENT)
    assert len(seen.spans()) == 1 + 3
    assert whole.parent is None
    assert {span.parent.span_id for span in attempts if span.parent} == {whole.context.span_id}
    assert [dict(span.attributes or {}).get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [dict(span.attributes or {}).get("http.response.status_code") for span in attempts] == [None, 503, 201]
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    assert [dict(span.attributes or {}).get("error.type") for span in attempts] == ["RemoteProtocolError", "503", None]
    told = dict(whole.attributes or {})
    assert whole.name == "action create_order"
    assert (told["samekey.outcome"], told["samekey.status"], told["samekey.attempts"]) == ("made", "succeeded", 3)
    assert told["samekey.key.digest"] == otel.digest(str(action.key))
    last = dict(attempts[-1].attributes or {})
    assert (last["http.request.method"], last["server.address"]) == ("POST", "127.0.0.1")
    assert last["server.port"] == int(server.url.rpartition(":")[2])
    assert str(last["url.full"]).startswith(f"{server.url}/orders?q=")


def test_a_replay_is_one_span_and_names_itself(seen: Seen, connect: Callable[..., samekey.Client]) -> None:
    with connect() as client:
        post(client)
        seen.exporter.clear()
        post(client)
    (whole,) = seen.spans()
    assert dict(whole.attributes or {})["samekey.outcome"] == "replayed"


def test_spans_and_metrics_have_no_key_no_scope_and_no_secret(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect() as client:
        key = str(post(client).key)
        with pytest.raises(samekey.KeyReusedError):
            post(client, total="other")
        server.script(Fault.REJECT(422))
        with pytest.raises(samekey.ActionRejectedError):
            post(client, "SCOPE-VALUE-2")
    spans = "\n".join(span.to_json() for span in seen.spans())
    labels = [dict(point.attributes) for points in seen.points().values() for point in points]
    for secret in (*SECRETS, key, key[:8]):
        assert secret not in spans
        assert secret not in repr(labels)
    assert "http://" not in repr(labels)
    assert "/orders" not in repr(labels)
    assert {name for each in labels for name in each} == {
        "samekey.operation.name", "samekey.outcome", "samekey.event", "samekey.store.verb", "samekey.prevented.by",
        "error.type", "http.request.method", "http.response.status_code", "server.address", "server.port",
    } - {"samekey.prevented.by"}  # fmt: skip
    failed = [span for span in seen.spans(SpanKind.INTERNAL) if span.status.status_code is StatusCode.ERROR]
    assert [dict(span.attributes or {})["error.type"] for span in failed] == ["KeyReusedError", "ActionRejectedError"]
    assert [(span.events, span.status.description) for span in failed] == [((), None)] * 2


def test_metrics_are_in_the_units_of_the_conventions(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect() as client:
        post(client)
        post(client)
    assert seen.units() == {
        "samekey.action.duration": "s",
        "http.client.request.duration": "s",
        "samekey.store.duration": "s",
        "samekey.events": "{event}",
        "samekey.duplicates.prevented": "{duplicate}",
    }
    points = seen.points()
    actions = {point.attributes["samekey.outcome"]: point for point in points["samekey.action.duration"]}
    assert {name: point.count for name, point in actions.items()} == {"made": 1, "replayed": 1}
    assert 0 < actions["made"].sum < 30
    assert sum(point.count for point in points["http.client.request.duration"]) == 2
    verbs = {point.attributes["samekey.store.verb"]: point.count for point in points["samekey.store.duration"]}
    assert verbs == {"claim": 2, "renew": 1, "settle": 1}
    events = {point.attributes["samekey.event"]: point.value for point in points["samekey.events"]}
    assert events == {"made": 1, "wait": 1, "replayed": 1}
    (prevented,) = points["samekey.duplicates.prevented"]
    assert (prevented.attributes["samekey.prevented.by"], prevented.value) == ("record", 1)


def test_without_instrumentation_no_trace_header_is_sent(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect() as client:
        post(client)
    assert trace_headers(server) == [[], []]


@pytest.mark.usefixtures("instrumented")
def test_where_httpx_is_instrumented_no_span_is_doubled_and_every_send_has_the_same_bytes(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP, Fault.COMMIT_THEN_5XX(503))
    with connect() as client:
        token = context.attach(baggage.set_baggage("secret", "TOKEN-VALUE"))
        try:
            record = post(client).record
        finally:
            context.detach(token)
    assert len(seen.spans(SpanKind.CLIENT)) == 3
    assert len({span.instrumentation_scope.name for span in seen.spans() if span.instrumentation_scope}) == 1
    (whole,) = seen.spans(SpanKind.INTERNAL)
    parent = f"00-{whole.context.trace_id:032x}-{whole.context.span_id:016x}-{whole.context.trace_flags:02x}"
    assert record is not None
    assert record.trace_context == parent
    assert (
        trace_headers(server) == [[("traceparent", parent)]] * 3
        or trace_headers(server) == [[("Traceparent", parent)]] * 3
    )
    one, *others = [each.headers for each in server.requests]
    assert [each == one for each in others] == [True, True]


@pytest.mark.usefixtures("instrumented")
def test_a_later_run_sends_the_first_runs_header_and_links_to_its_attempts(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect(retry=ONCE) as client, pytest.raises(samekey.OutcomeUnknownError):
        post(client)
    (first,) = seen.spans(SpanKind.INTERNAL)
    seen.exporter.clear()
    with connect() as client:
        assert post(client).recovered
    (whole,), (attempt,) = seen.spans(SpanKind.INTERNAL), seen.spans(SpanKind.CLIENT)
    assert whole.context.trace_id != first.context.trace_id
    assert [link.context.span_id for link in whole.links] == [first.context.span_id]
    assert [link.context.trace_id for link in attempt.links] == [first.context.trace_id]
    assert dict(attempt.attributes or {})["http.request.resend_count"] == 1
    assert dict(whole.attributes or {})["samekey.outcome"] == "recovered"
    one, other = [each.headers for each in server.requests]
    assert one == other
    (header,) = trace_headers(server)[1]
    assert f"{first.context.trace_id:032x}" in header[1]


@pytest.mark.usefixtures("instrumented")
def test_reads_and_what_samekey_does_not_send_are_traced_as_before(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    with connect() as client:
        client.http.get("/orders")
        post(client)
        client.http.get("/orders")
    names = [span.instrumentation_scope.name for span in seen.spans() if span.instrumentation_scope]
    assert names == ["opentelemetry.instrumentation.httpx", "samekey", "samekey", "opentelemetry.instrumentation.httpx"]


@pytest.mark.usefixtures("instrumented")
def test_a_trace_header_of_the_callers_own_is_kept_and_repeated(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client]
) -> None:
    mine = f"00-{'a' * 32}-{'b' * 16}-01"
    server.script(Fault.COMMIT_THEN_DROP)
    with connect(retry=ONCE) as client, pytest.raises(samekey.OutcomeUnknownError):
        post(client, headers={"traceparent": mine})
    with connect() as client:
        post(client, headers={"traceparent": mine.replace("b", "c")})
    assert [value for ((_, value),) in trace_headers(server)] == [mine, mine]


@pytest.mark.usefixtures("instrumented")
def test_a_vendors_client_over_a_transport_is_followed_the_same_way(
    seen: Seen, server: FlakyServer, tmp_path: Path
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    transport = samekey.Transport(window=timedelta(days=1), store=tmp_path / "samekey.db", retry=AT_ONCE)
    with (
        httpx.Client(transport=transport, base_url=server.url) as vendor,
        samekey.action("pay", scope={"invoice": "i-1"}),
    ):
        vendor.post("/orders", json={"total": "1"})
    assert [span.kind for span in seen.spans()] == [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.CLIENT]
    one, other = [each.headers for each in server.requests]
    assert one == other
    assert [len(each) for each in trace_headers(server)] == [1, 1]


KILLED = """
import os, sys, samekey
from datetime import timedelta
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
client = samekey.Client(sys.argv[1], window=timedelta(days=1), store=sys.argv[2], verify=False)
def die(request):
    print(f"{trace.get_current_span().get_span_context().trace_id:032x}", flush=True)
    os.kill(os.getpid(), 9)
client.http.event_hooks = {"request": [die]}
with client.action("create_order", scope={"cart": "SCOPE-VALUE"}) as action:
    action.post("/orders?q=QUERY-VALUE", json={"total": "BODY-VALUE"})
"""


def test_a_recovery_links_to_the_trace_of_the_process_that_was_killed(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client], tmp_path: Path
) -> None:
    place = tmp_path / "samekey.db"
    command = [sys.executable, "-c", KILLED, server.url, str(place)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert child.returncode == -signal.SIGKILL, child.stderr
    with connect(operations=[create_order]) as client:
        recovery = client.recover()
    assert len(recovery.settled) == 1
    (whole,), (attempt,) = seen.spans(SpanKind.INTERNAL), seen.spans(SpanKind.CLIENT)
    for span in (whole, attempt):
        assert [f"{link.context.trace_id:032x}" for link in span.links] == [child.stdout.strip()]


def test_a_trace_context_that_cannot_be_read_is_no_link_and_no_obstacle(
    seen: Seen, server: FlakyServer, connect: Callable[..., samekey.Client], tmp_path: Path
) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    with connect(retry=ONCE) as client, pytest.raises(samekey.OutcomeUnknownError):
        post(client)
    store = SQLiteStore(tmp_path / "samekey.db")
    store._engine.write(lambda c: c.execute("UPDATE actions SET trace_context = 'scrap'"), full=True)
    store.close()
    seen.exporter.clear()
    with connect() as client:
        post(client)
    assert [len(span.links) for span in seen.spans()] == [0, 0]


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=dict(os.environ))


USES = """
import sys, samekey
from datetime import timedelta
from samekey.testing import FlakyServer
with FlakyServer() as server, samekey.Client(server.url, window=timedelta(days=1), store=sys.argv[1]) as client:
    with client.action("order", scope={"cart": "c"}) as action:
        action.post("/orders", json={})
    assert action.record.trace_context is None
"""


def test_a_program_that_does_not_use_opentelemetry_does_not_load_it(tmp_path: Path) -> None:
    check = "\nsys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert python(USES + check, str(tmp_path / "a.db")).returncode == 0


def test_without_the_package_everything_works(tmp_path: Path) -> None:
    absent = "import sys; sys.modules['opentelemetry'] = sys.modules['opentelemetry.trace'] = None\n"
    result = python(absent + USES, str(tmp_path / "a.db"))
    assert result.returncode == 0, result.stderr


def test_it_is_used_from_when_there_is_a_provider_or_an_instrumentation_and_not_because_it_is_imported() -> None:
    code = """
import opentelemetry.metrics, opentelemetry.trace as trace, sys
from samekey.telemetry import tracing
assert not tracing.used()
if sys.argv[1] == "instrumentation":
    import opentelemetry.instrumentation
elif sys.argv[1] == "tracer":
    trace.set_tracer_provider(trace.NoOpTracerProvider())
else:
    opentelemetry.metrics.set_meter_provider(opentelemetry.metrics.NoOpMeterProvider())
assert tracing.used()
"""
    for what in ("instrumentation", "tracer", "meter"):
        result = python(code, what)
        assert result.returncode == 0, result.stderr


def test_with_the_api_alone_nothing_is_kept(tmp_path: Path) -> None:
    result = python("import opentelemetry.trace\n" + USES, str(tmp_path / "a.db"))
    assert result.returncode == 0, result.stderr


class Broken(SpanProcessor):
    """A span processor of the program's with a bug in it."""

    def __init__(self, at: str) -> None:
        self._at = at

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self._at == "start":
            raise RuntimeError("a bug")

    def on_end(self, span: Any) -> None:
        if self._at == "end":
            raise RuntimeError("a bug")


@pytest.mark.parametrize("at", ["start", "end", "histogram"])
def test_what_opentelemetry_raises_loses_no_answer(
    seen: Seen,
    server: FlakyServer,
    connect: Callable[..., samekey.Client],
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("a bug")

    if at == "histogram":
        for name in ("actions", "requests", "verbs"):
            monkeypatch.setattr(getattr(seen.observer, name), "record", fail)
        for name in ("events", "duplicates"):
            monkeypatch.setattr(getattr(seen.observer, name), "add", fail)
    seen.provider.add_span_processor(Broken(at))
    with connect() as client:
        made = post(client)
        again = post(client)
    assert made.reference == again.reference
    assert again.replayed
    assert len(server.requests) == len(server.effects) == 1
