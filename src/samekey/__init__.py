"""One idempotency key per business action, on disk before anything is sent.

See `Client`; the exceptions are described in `samekey.errors`.

Each name is imported when it is first used: who only catches exceptions need not wait for an HTTP client to load.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samekey._core.keys import Scope, ScopeValue
    from samekey._core.model import Record
    from samekey._core.states import Status
    from samekey.actions import Action
    from samekey.aio import AsyncClient
    from samekey.ambient import AmbientAction, action
    from samekey.async_actions import AsyncAction
    from samekey.async_transport import AsyncTransport
    from samekey.batch import Batch
    from samekey.client import Client
    from samekey.client_base import Recovery
    from samekey.contracts import Operation, RetryBudget, RetryPolicy
    from samekey.errors import (
        ActionAbandonedError,
        ActionInProgressError,
        ActionRejectedError,
        ConflictError,
        DuplicateActionError,
        KeyReusedError,
        NeedsReviewError,
        NotSentError,
        OutcomeUnknownError,
        SamekeyError,
        StoreError,
        StoreFormatError,
        StoreUnavailableError,
        UsageError,
    )
    from samekey.provider import Provider
    from samekey.reconcile import Absent, Found, Inconclusive, LookUp
    from samekey.telemetry.signals import Stats
    from samekey.transport import Transport

    __version__: str

__all__ = [
    "Absent",
    "Action",
    "ActionAbandonedError",
    "ActionInProgressError",
    "ActionRejectedError",
    "AmbientAction",
    "AsyncAction",
    "AsyncClient",
    "AsyncTransport",
    "Batch",
    "Client",
    "ConflictError",
    "DuplicateActionError",
    "Found",
    "Inconclusive",
    "KeyReusedError",
    "LookUp",
    "NeedsReviewError",
    "NotSentError",
    "Operation",
    "OutcomeUnknownError",
    "Provider",
    "Record",
    "Recovery",
    "RetryBudget",
    "RetryPolicy",
    "SamekeyError",
    "Scope",
    "ScopeValue",
    "Stats",
    "Status",
    "StoreError",
    "StoreFormatError",
    "StoreUnavailableError",
    "Transport",
    "UsageError",
    "action",
]

_HOMES = {
    "samekey._core.keys": ("Scope", "ScopeValue"),
    "samekey._core.model": ("Record",),
    "samekey._core.states": ("Status",),
    "samekey.actions": ("Action",),
    "samekey.ambient": ("AmbientAction", "action"),
    "samekey.batch": ("Batch",),
    "samekey.aio": ("AsyncClient",),
    "samekey.async_actions": ("AsyncAction",),
    "samekey.async_transport": ("AsyncTransport",),
    "samekey.client": ("Client",),
    "samekey.client_base": ("Recovery",),
    "samekey.contracts": ("Operation", "RetryBudget", "RetryPolicy"),
    "samekey.provider": ("Provider",),
    "samekey.errors": (
        "ActionAbandonedError",
        "ActionInProgressError",
        "ActionRejectedError",
        "ConflictError",
        "DuplicateActionError",
        "KeyReusedError",
        "NeedsReviewError",
        "NotSentError",
        "OutcomeUnknownError",
        "SamekeyError",
        "StoreError",
        "StoreFormatError",
        "StoreUnavailableError",
        "UsageError",
    ),
    "samekey.reconcile": ("Absent", "Found", "Inconclusive", "LookUp"),
    "samekey.telemetry.signals": ("Stats",),
    "samekey.transport": ("Transport",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_PARTS = frozenset(
    {"client", "contract_files", "contracts", "errors", "lookups", "providers", "reconcile", "stores", "testing"}
)


if not TYPE_CHECKING:  # with these, a type checker would take any misspelt name for one of ours

    def __getattr__(name: str) -> object:
        """A public name, or a part of the package, on its first use."""
        from importlib import import_module

        if name == "__version__":
            from importlib.metadata import version

            return version("samekey")
        if name in _PARTS:
            return import_module(f"samekey.{name}")
        if name not in _HOME_OF:
            raise AttributeError(f"module 'samekey' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        """All public names, used or not."""
        return sorted({*globals(), *__all__, *_PARTS})


del TYPE_CHECKING
