"""What an operation, a client and an API amount to together, worked out once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from samekey._core.values import fixed
from samekey._testmode import TESTMODE
from samekey.http.secrets import Secrets
from samekey.reconcile import looks_up

if TYPE_CHECKING:
    from samekey._core.plan import Contract, Profile
    from samekey._core.policy import Backoff
    from samekey.contracts import Operation, RetryBudget, RetryPolicy
    from samekey.provider import Provider

MOST_TERMS: Final = 256
"""Operations whose terms are kept; who makes a new Operation for each action must not fill the memory."""


@fixed
class Terms:
    """What counts for an action.

    Attributes:
        operation: its operation.
        profile: the API's rules at its endpoint.
        contract: the operation's rules.
        backoff: when to try again.
        budget: the retry budget, if any.
        window_seconds: the strictest of the windows that are declared.
        max_delay_seconds: D.
    """

    operation: Operation
    profile: Profile
    contract: Contract
    backoff: Backoff
    budget: RetryBudget | None
    window_seconds: float | None
    max_delay_seconds: float

    def backoff_now(self) -> Backoff:
        """When to try again; a test may have capped the attempts."""
        most = TESTMODE.attempts
        return self.backoff if most is None else replace(self.backoff, attempts=min(most, self.backoff.attempts))


class TermBook:
    """The terms of one client's operations. Thread-safe: at worst the same is worked out twice."""

    def __init__(self, provider: Provider, window: timedelta | None, retry: RetryPolicy) -> None:
        self.profile: Profile = provider.profile()
        self._provider = provider
        self._lookup = provider.lookup
        self._window = window
        self._retry = retry
        self._has_secrets = bool(provider.secret_query or provider.secret_body)
        self._endpoints = [(each, provider.at(each).profile()) for each in provider.endpoints]
        self._known: dict[tuple[int, int], Terms] = {}

    def profile_at(self, method: str, url: Any) -> Profile:
        """The profile as it is at an endpoint; `url` is one of the client's library."""
        if not self._endpoints:
            return self.profile
        path = url.path
        return next((profile for each, profile in self._endpoints if each.matches(method, path)), self.profile)

    def secrets(self, operation: Operation) -> Secrets | None:
        """What of a request of this operation is not stored; None if all of it is."""
        provider = self._provider
        of_operation, of_provider = operation.secret_query or operation.secret_body, self._has_secrets
        if not (of_operation or of_provider):
            return None
        return Secrets(operation.secret_query, operation.secret_body, provider.secret_query, provider.secret_body)

    def of(self, operation: Operation, profile: Profile) -> Terms:
        """The terms of an operation at an endpoint with this profile."""
        which = (id(operation), id(profile))
        known = self._known.get(which)
        if known is None or known.operation is not operation:
            if len(self._known) >= MOST_TERMS:
                self._known.clear()
            known = self._known[which] = self._new(operation, profile)
        return known

    def _new(self, operation: Operation, profile: Profile) -> Terms:
        policy = operation.retry or self._retry
        windows = [window.total_seconds() for window in (self._window, operation.window) if window]
        if profile.window_seconds is not None:
            windows.append(profile.window_seconds)
        own_delay = operation.max_delay.total_seconds() if operation.max_delay else 0.0
        return Terms(
            operation=operation,
            profile=profile,
            contract=replace(
                operation.contract(),
                looks_up=looks_up(operation, self._lookup),
                secret_response=(*operation.secret_response, *self._provider.secret_response),
            ),
            backoff=policy.backoff(),
            budget=policy.budget,
            window_seconds=min(windows, default=None),
            max_delay_seconds=own_delay or profile.max_delay_seconds,
        )
