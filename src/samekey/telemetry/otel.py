"""Spans and metrics through the API of OpenTelemetry; imported only where the program has imported that.

One INTERNAL span for an action and one CLIENT span for each of its attempts. Where httpx is instrumented, its own span for
the same request, and the header that it would put in anew for each, are held back: ours take their place. Names and units
are those of the semantic conventions. No key, scope or URL is ever a metric's attribute; a span has a digest of the key.
"""

from __future__ import annotations

import hashlib
import sys
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from opentelemetry.metrics import Counter, Histogram, Meter
    from opentelemetry.trace import Tracer
    from opentelemetry.util.types import AttributeValue

    from samekey._core.model import Failure, Record, Reply
    from samekey._core.steps import Send
    from samekey.errors import SamekeyError

NAME: Final = "samekey"
OPERATION: Final = "samekey.operation.name"
KEY: Final = "samekey.key.digest"
FROZEN: Final = frozenset({"traceparent", "tracestate"})
"""The headers that are kept with the request, so that every send of it has them as the first one had."""
HELD_BACK: Final[str] = getattr(contexts, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")
"""The context key by which instrumentations of HTTP clients are told to keep still."""
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bucket boundaries that the semantic conventions give for durations of HTTP requests."""
_STORE_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_PROPAGATOR: Final = TraceContextTextMapPropagator()


def digest(key: str) -> str:
    """What stands for a key on a span: it says which spans belong together, and cannot be used as a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class Observer:
    """Makes the spans and holds the instruments.

    Args:
        tracer: makes the spans.
        meter: makes the instruments.
    """

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.tracer = tracer
        self.actions: Histogram = meter.create_histogram(
            "samekey.action.duration",
            unit="s",
            description="Duration of actions, from their begin to what the caller is told.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.requests: Histogram = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.verbs: Histogram = meter.create_histogram(
            "samekey.store.duration",
            unit="s",
            description="Duration of what the store does for an action.",
            explicit_bucket_boundaries_advisory=_STORE_SECONDS,
        )
        self.events: Counter = meter.create_counter(
            "samekey.events", unit="{event}", description="Decisions, by the names of their log events."
        )
        self.duplicates: Counter = meter.create_counter(
            "samekey.duplicates.prevented",
            unit="{duplicate}",
            description="Begins and sends that would have been a second effect, by what prevented it.",
        )

    def action(self, operation_name: str) -> ActionSpan:
        """Around an action."""
        return ActionSpan(self, operation_name)

    def attempt(self, step: Send) -> AttemptSpan:
        """Around one send."""
        return AttemptSpan(self, step)

    def verb(self, name: str) -> VerbTimer:
        """Around one verb of the store."""
        return VerbTimer(self, name)

    def context(self) -> str | None:
        """The W3C trace context of the current span; None if there is none."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")

    def count(self, event: str, operation_name: str, error: str | None) -> None:
        """Counts one event of the log."""
        attributes = {"samekey.event": event, OPERATION: operation_name}
        self.events.add(1, attributes if error is None else attributes | {"error.type": error})

    def prevented(self, way: str, operation_name: str) -> None:
        """Counts one duplicate that was prevented."""
        self.duplicates.add(1, {"samekey.prevented.by": way, OPERATION: operation_name})


class _Spanned:
    """A span that is the current one while it lasts, and a duration for a histogram."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.span: Span = trace.INVALID_SPAN
        self.measured: dict[str, AttributeValue] = {}
        self._started = 0.0
        self._token: Any = None

    def begin(self, span: Span, **more: object) -> None:
        """Makes it the current one."""
        self.span = span
        context = set_span_in_context(span)
        for key, value in more.items():
            context = contexts.set_value(key, value, context)
        self._token = contexts.attach(context)
        self._started = time.perf_counter()

    def end(self, error: BaseException | None) -> float:
        """Ends it and returns how many seconds it took. Texts of errors stay out: they have the scope."""
        seconds = time.perf_counter() - self._started
        if error is not None:
            self.fail(type(error).__name__)
        contexts.detach(self._token)
        self.span.end()
        return seconds

    def fail(self, kind: str) -> None:
        """Says that it went wrong."""
        self.measured["error.type"] = kind
        self.span.set_attribute("error.type", kind)
        self.span.set_status(Status(StatusCode.ERROR))

    def headers(self, _client: Any, _module: Any, /) -> Mapping[str, str]:
        """None, but for an action."""
        return {}

    def finished(self, record: Record | None, error: SamekeyError | None, *, replayed: bool, recovered: bool) -> None:
        """Nothing, but for an action."""

    def brought(self, reply: Reply | None, failure: Failure | None, error: BaseException | None) -> None:
        """Nothing, but for an attempt."""


class ActionSpan(_Spanned):
    """An action, from before its claim to what the caller is told."""

    def __init__(self, observer: Observer, operation_name: str) -> None:
        super().__init__(observer)
        self._operation = operation_name

    def __enter__(self) -> Self:
        name = f"action {self._operation}"
        span = self.observer.tracer.start_span(name, kind=SpanKind.INTERNAL, attributes={OPERATION: self._operation})
        self.measured.update({OPERATION: self._operation, "samekey.outcome": "failed"})
        self.begin(span)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.observer.actions.record(self.end(error), self.measured)

    def headers(self, client: Any, module: Any, /) -> Mapping[str, str]:
        """What the instrumentation of httpx would put into this request, as far as it can be kept with it."""
        if not _instrumented(client, module):
            return {}
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {name.lower(): value for name, value in carrier.items() if name.lower() in FROZEN}

    def finished(self, record: Record | None, error: SamekeyError | None, *, replayed: bool, recovered: bool) -> None:
        """How it ended."""
        if error is not None:
            self.fail(type(error).__name__)
        else:
            self.measured["samekey.outcome"] = "replayed" if replayed else "recovered" if recovered else "made"
        self.span.set_attribute("samekey.outcome", self.measured["samekey.outcome"])
        if record is not None:
            self.span.set_attributes({
                KEY: digest(record.idempotency_key),
                "samekey.status": record.status.value,
                "samekey.generation": record.generation,
                "samekey.attempts": record.attempts,
                "samekey.provider": record.provider,
            })  # fmt: skip


class AttemptSpan(_Spanned):
    """One send, as the semantic conventions describe an HTTP client's request."""

    def __init__(self, observer: Observer, step: Send) -> None:
        super().__init__(observer)
        self._step = step

    def __enter__(self) -> Self:
        record = self._step.record
        host, _, port = record.origin.partition("://")[2].rpartition(":")
        self.measured.update({
            "http.request.method": record.method,
            "server.address": host,
            "server.port": int(port),
        })  # fmt: skip
        attributes = self.measured | {
            "url.full": record.url,
            OPERATION: record.operation_name,
            KEY: digest(record.idempotency_key),
        }
        if record.attempts > 1:
            attributes["http.request.resend_count"] = record.attempts - 1
        link = self._earlier()
        span = self.observer.tracer.start_span(
            record.method, kind=SpanKind.CLIENT, attributes=attributes, links=[link] if link else None
        )
        if link is not None:
            trace.get_current_span().add_link(link.context)
        self.begin(span, **{HELD_BACK: True})
        return self

    def _earlier(self) -> Link | None:
        """Where the attempts of an earlier run were made, if this one takes them over."""
        known = self._step.record.trace_context
        if known is None or not self._step.run.recovered:
            return None
        found = trace.get_current_span(_PROPAGATOR.extract({"traceparent": known})).get_span_context()
        return Link(found) if found.is_valid else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.observer.requests.record(self.end(error), self.measured)

    def brought(self, reply: Reply | None, failure: Failure | None, error: BaseException | None) -> None:
        """The status, or the kind of error."""
        if reply is not None:
            self.measured["http.response.status_code"] = reply.status
            self.span.set_attribute("http.response.status_code", reply.status)
            if reply.status >= 400:
                self.fail(str(reply.status))
        elif failure is not None:
            self.fail(type(error).__name__ if error is not None else "not_sent")


class VerbTimer(_Spanned):
    """One verb of the store: a duration without a span."""

    def __init__(self, observer: Observer, name: str) -> None:
        super().__init__(observer)
        self.measured["samekey.store.verb"] = name

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.measured["error.type"] = type(error).__name__
        self.observer.verbs.record(time.perf_counter() - self._started, self.measured)


def _instrumented(client: Any, module: Any) -> bool:
    """Whether OpenTelemetry's instrumentation of this HTTP library would follow this client's requests."""
    if getattr(client, "_is_instrumented_by_opentelemetry", False):
        return True
    if "opentelemetry.instrumentation.httpx" not in sys.modules:
        return False
    return hasattr(module.HTTPTransport.handle_request, "__wrapped__")


OBSERVER: Observer = Observer(
    trace.get_tracer(NAME, version(NAME)),
    metrics.get_meter(NAME, version(NAME)),
)
"""The one that the global providers serve, also those that are set later."""
