"""Where OpenTelemetry is told what happens, if the program uses it; otherwise all of this is nothing.

"Uses it" means that `opentelemetry.trace` has been imported, and somebody has given it a provider or has imported an
instrumentation: without either it has nowhere to tell anything, and some libraries (redis-py) import it for nobody. Nothing here
imports it, so that it costs a program without it a look into a dictionary.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from samekey._core.model import Failure, Record, Reply
    from samekey._core.steps import Send
    from samekey.errors import SamekeyError
    from samekey.telemetry.otel import Observer

T = TypeVar("T")

_log = logging.getLogger("samekey")

API: Final = "opentelemetry.trace"
INSTRUMENTED: Final = "opentelemetry.instrumentation"
_METRICS: Final = "opentelemetry.metrics._internal"
_ASKED_FOR: Final = any(f"OTEL_PYTHON_{name}_PROVIDER" in os.environ for name in ("TRACER", "METER"))
TIMED: Final = frozenset({"claim", "renew", "settle"})
"""Verbs of the store whose time is told; the others wait, or are not on the way of an action."""


class Span(Protocol):
    """A stretch of an action's time."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def headers(self, _client: Any, _module: Any, /) -> Mapping[str, str]:
        """Of an action: the trace header that its every send is to carry; none where nobody has asked for one."""

    def finished(self, record: Record | None, error: SamekeyError | None, *, replayed: bool, recovered: bool) -> None:
        """Of an action: how it ended."""

    def brought(self, reply: Reply | None, failure: Failure | None, error: BaseException | None) -> None:
        """Of an attempt: what came of it."""


class _Nothing:
    """A span that nobody sees."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def headers(self, _client: Any, _module: Any, /) -> Mapping[str, str]:
        return {}

    def finished(self, record: Record | None, error: SamekeyError | None, *, replayed: bool, recovered: bool) -> None:
        pass

    def brought(self, reply: Reply | None, failure: Failure | None, error: BaseException | None) -> None:
        pass


_NOTHING: Final[Span] = _Nothing()


class _Guarded:
    """A span whose processors and exporters are the program's: whatever they raise, the action goes on."""

    __slots__ = ("_make", "_span")

    def __init__(self, make: Callable[[], Span]) -> None:
        self._make = make
        self._span: Span = _NOTHING

    def __enter__(self) -> Self:
        self._span = _guarded(lambda: self._make().__enter__(), _NOTHING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _guarded(lambda: self._span.__exit__(kind, error, trace), None)

    def headers(self, client: Any, module: Any, /) -> Mapping[str, str]:
        return _guarded(lambda: self._span.headers(client, module), {})

    def finished(self, record: Record | None, error: SamekeyError | None, *, replayed: bool, recovered: bool) -> None:
        _guarded(lambda: self._span.finished(record, error, replayed=replayed, recovered=recovered), None)

    def brought(self, reply: Reply | None, failure: Failure | None, error: BaseException | None) -> None:
        _guarded(lambda: self._span.brought(reply, failure, error), None)


def _guarded(work: Callable[[], T], otherwise: T) -> T:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - an answer that came is not lost over a span
        _log.debug("OpenTelemetry raised %s.", type(error).__name__, extra={"event": "telemetry_failed"})
        return otherwise


def used() -> bool:
    """Whether the program uses OpenTelemetry."""
    trace = sys.modules.get(API)
    if trace is None:
        return False
    # Where these are not called so any more, it is better to tell nobody something than to tell somebody nothing.
    return (
        getattr(trace, "_TRACER_PROVIDER", API) is not None
        or getattr(sys.modules.get(_METRICS), "_METER_PROVIDER", API) is not None
        or INSTRUMENTED in sys.modules
        or _ASKED_FOR
    )


def action(operation_name: str) -> Span:
    """Around an action, from before its claim to its end."""
    return _Guarded(lambda: _observer().action(operation_name)) if used() else _NOTHING


def attempt(step: Send) -> Span:
    """Around one send."""
    return _Guarded(lambda: _observer().attempt(step)) if used() else _NOTHING


def verb(name: str) -> Span:
    """Around one verb of the store."""
    return _Guarded(lambda: _observer().verb(name)) if name in TIMED and used() else _NOTHING


def context() -> str | None:
    """The W3C trace context of where we are, to be kept in the record; None if there is none."""
    return _guarded(lambda: _observer().context(), None) if used() else None


def count(event: str, operation_name: str, error: str | None = None) -> None:
    """Counts one event of the log."""
    if used():
        _guarded(lambda: _observer().count(event, operation_name, error), None)


def prevented(way: str, operation_name: str) -> None:
    """Counts one duplicate that was prevented."""
    if used():
        _guarded(lambda: _observer().prevented(way, operation_name), None)


def _observer() -> Observer:
    from samekey.telemetry.otel import OBSERVER

    return OBSERVER
