"""What the tests of spans look at: the SDK's own in-memory exporters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from samekey.telemetry import otel
from samekey.testing import FlakyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanKind


class Seen:
    """What the exporters got."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])
        self.observer = otel.Observer(self.provider.get_tracer("samekey"), self.meters.get_meter("samekey"))

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:
        found = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        return [span for span in found if kind in {None, span.kind}]

    def points(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def units(self) -> dict[str, str]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {m.name: m.unit or "" for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    seen = Seen()
    monkeypatch.setattr(otel, "OBSERVER", seen.observer)
    yield seen
    seen.provider.shutdown()
    seen.meters.shutdown()


@pytest.fixture
def instrumented(seen: Seen) -> Iterator[None]:
    """httpx as `opentelemetry-instrument` leaves it."""
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=seen.provider, meter_provider=seen.meters)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def server() -> Iterator[FlakyServer]:
    with FlakyServer() as server:
        yield server


def trace_headers(server: FlakyServer) -> list[list[tuple[str, str]]]:
    return [
        [(name, value) for name, value in each.headers if name.lower() in {"traceparent", "tracestate", "baggage"}]
        for each in server.requests
    ]
