"""One idempotency key per business action, on disk before anything is sent.

See `Client`; the exceptions are described in `samekey.errors`.
"""

from samekey._core.keys import Scope, ScopeValue
from samekey._core.model import Record
from samekey._core.states import Status
from samekey.action import Action
from samekey.client import Client, Recovery
from samekey.contracts import Operation, Provider, RetryBudget, RetryPolicy
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
from samekey.reconcile import Absent, Found, Inconclusive, LookUp

__all__ = [
    "Absent",
    "Action",
    "ActionAbandonedError",
    "ActionInProgressError",
    "ActionRejectedError",
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
    "Status",
    "StoreError",
    "StoreFormatError",
    "StoreUnavailableError",
    "UsageError",
]
