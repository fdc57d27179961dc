"""What both clients have in common: what they were given, and which records are theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar

from samekey._core.keys import Identity, Scope
from samekey._core.model import Record
from samekey._core.states import Status
from samekey._core.verbs import Existing
from samekey.contracts import Operation, RetryPolicy
from samekey.errors import UsageError
from samekey.groundwork import Groundwork
from samekey.http.urls import origin_of, shown
from samekey.providers import choose
from samekey.providers.facts import span
from samekey.reconcile import looks_up
from samekey.settings import Operations, check_choices, check_lease, http_client, is_made
from samekey.stores import AsyncStore, Store
from samekey.unpicklable import Unpicklable

StoreT = TypeVar("StoreT", bound=Store | AsyncStore)
GroundT = TypeVar("GroundT", bound=Groundwork[Any, Any, Any, Any])

RECOVERIES_PER_SECOND: Final = 10
"""How fast `recover()` sends: a backlog must not become a storm."""

LEFT_BEHIND: Final = (Status.IN_FLIGHT, Status.UNKNOWN)

USUAL_RETRY: Any = object()
"""Stands for `RetryPolicy()`: making one validates, which no import has to wait for."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover()` did.

    Attributes:
        settled: records whose outcome is known now.
        left: records that are still open: held by a live process, their window closed, or still without an answer.
    """

    settled: tuple[Record, ...]
    left: tuple[Record, ...]


class ClientBase(Unpicklable, Generic[GroundT]):
    """What is not waiting of a client."""

    _engine: GroundT

    def __init__(
        self,
        base_url: Any,
        *,
        provider: Any,
        window: timedelta | None,
        operations: Iterable[Operation],
        store: Any,
        retry: RetryPolicy,
        actor: str,
        http: Any,
        keep: Literal["response", "reference"],
        freeze: Literal["request", "nothing"],
        timeout: Any,
        options: dict[str, Any],
        asynchronous: bool,
    ) -> None:
        check_choices(keep=keep, freeze=freeze, actor=actor, retry=retry, window=window)
        self._operations = Operations(operations, actor)
        made = is_made(http)
        self._provider = choose(provider, window, str(base_url or ("" if made else getattr(http, "base_url", ""))))
        self._library, self._http = http_client(base_url, http, timeout, options, asynchronous=asynchronous)
        self._owns_http = made
        self._owns_store = store is None or isinstance(store, str | os.PathLike)
        self._window = window

    def _checked(self, store: StoreT) -> StoreT:
        check_lease(store, self._http)
        return store

    def __repr__(self) -> str:
        """Where it writes to and where it keeps its records; no secret."""
        seconds = self._engine.profile.window_seconds
        if self._window is not None:
            seconds = min(filter(None, (seconds, self._window.total_seconds())))
        window = f" window={span(seconds)}" if seconds else ""
        return (
            f"<{type(self).__name__} {shown(self._http.base_url)} provider={self._provider.name!r}{window} "
            f"store={self._engine.store.location!r} actor={self._operations.actor!r}>"
        )

    @property
    def http(self) -> Any:
        """The HTTP client below, for reads."""
        return self._http

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations it was given."""
        return tuple(self._operations.declared.values())

    def _find(self, operation: Operation | str, scope: Scope) -> tuple[Operation, Identity]:
        operation = self._operations.find(operation)
        return operation, self._operations.identity(operation, scope)

    def _left_behind(self, limit: int | None) -> dict[str, Any]:
        """What to ask the store for, of what others have left."""
        if not self._http.base_url.host:
            raise UsageError(
                "recover: this client has no base_url, so nobody can say which records are its own; give one."
            )
        origin = origin_of(self._http.base_url)
        return {"statuses": LEFT_BEHIND, "actor_id": self._operations.actor, "origin": origin, "limit": limit}

    def _recoverable(self, record: Record, existing: Existing | None) -> Existing | None:
        """The record with its holder, if a recovery may touch it."""
        if existing is None or self._is_held(existing) or record.frozen_request is None:
            return None
        same = existing.record.generation == record.generation and record.provider == self._provider.name
        return existing if same else None

    def _recheckable(self, record: Record, existing: Existing | None) -> tuple[Existing, Operation]:
        operation = self._operations.declared.get(record.operation_name)
        if operation is None:
            raise UsageError(
                f"{record.label}: this client's operations= has no {record.operation_name!r}, so no look-up."
            )
        if (
            existing is None
            or record.actor_id != self._operations.actor
            or record.origin != origin_of(self._http.base_url)
        ):
            raise UsageError(f"{record.label}: belongs to {record.actor_id!r} at {record.origin}, not to {self!r}.")
        if existing.record.settled:
            return existing, operation
        if self._is_held(existing) or existing.record.status is Status.PENDING:
            raise UsageError(
                f"{record.label}: is being sent or was not sent, so there is nothing to look up; run it again."
            )
        if not looks_up(operation, self._provider.lookup):
            raise UsageError(f"{record.label}: has no look-up; give the operation reconcile=, see samekey.lookups.")
        return existing, operation

    def _is_held(self, existing: Existing) -> bool:
        """Whether somebody may be at work on it: of a process of another boot or host only the lease tells (R5b)."""
        lease = existing.record.lease_expires_at
        return existing.alive and lease is not None and self._engine.clock.wall() <= lease

    def _cautious(self, record: Record) -> Operation:
        """The record's operation; where its contract is not at hand, one that asks for caution, as it might."""
        known = self._operations.declared.get(record.operation_name)
        return known or Operation(record.operation_name, on_server_error="review")
