"""Profiles that ship, one data file per API, read when they are asked for."""

import difflib
import json
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from samekey.errors import UsageError
from samekey.provider import KEY_LENGTH, Provider

ProviderName = Literal[
    "adyen", "alpaca-trading", "aws-dynamodb-transact", "aws-ec2", "azure-acs", "checkout-com", "circle", "dwolla", "gce",
    "gocardless", "ietf-draft-07", "increase", "keyless", "klarna", "modern-treasury", "mollie", "paypal-orders-v2",
    "paypal-payments-v2", "plaid-transfer-authorization", "quickbooks-online", "razorpay-payouts", "resend",
    "shopify-graphql", "square-payments", "stripe-v1", "stripe-v2", "wise-transfer", "zendesk-tickets",
]  # fmt: skip
"""The names of the profiles that ship."""

NAMES: tuple[str, ...] = get_args(ProviderName)


@cache
def load(name: str) -> Provider:
    """Reads a profile by its name.

    Raises:
        UsageError: no profile has that name.
    """
    if name not in NAMES:
        near = [each for each in NAMES if name and each.startswith(name)] or difflib.get_close_matches(name, NAMES, n=1)
        hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
        raise UsageError(f"{name!r} is not a provider profile{hint}; there are {', '.join(NAMES)}.")
    return Provider(**_facts(name))


def suggest(host: str) -> str | None:
    """The profile of a known host, or None."""
    for name in NAMES:
        if host.lower() in _facts(name).get("hosts", ()):
            return name
    return None


def _facts(name: str) -> dict[str, Any]:
    text = resources.files("samekey.providers").joinpath("data", f"{name}.json").read_text(encoding="utf-8")
    facts: dict[str, Any] = json.loads(text)
    return facts


def choose(provider: Provider | str | None, window: timedelta | None, base_url: str) -> Provider:
    """The profile that a client is built with.

    Raises:
        UsageError: nobody has said what the API does with keys, or what was said cannot be.
    """
    if isinstance(provider, str):
        provider = load(provider)
    if provider is None:
        if window is None:
            raise UsageError(_nothing_declared(base_url))
        return Provider("generic", window=window, after_5xx="resend")
    if not isinstance(provider, Provider):
        raise UsageError(f"provider= is a {type(provider).__name__}; give a profile's name or a Provider.")
    if provider.carrier.kind == "none" and window is not None:
        raise UsageError(f"{provider.name}: an API without keys has no window; leave window= out.")
    longest, shortest = provider.max_key_len, provider.min_key_len
    if (longest is not None and longest < KEY_LENGTH) or (shortest is not None and shortest > KEY_LENGTH):
        raise UsageError(
            f"{provider.name}: its keys have {shortest or 0} to {longest or 'any number of'} characters, and samekey's have "
            f'{KEY_LENGTH}; treat this API as provider="keyless".'
        )
    return provider


def _nothing_declared(base_url: str) -> str:
    parts = urlsplit(base_url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.hostname else "this API"
    known = suggest(parts.hostname) if parts.hostname else None
    text = f"{shown}: nobody has said what this API does with keys; "
    if known:
        return f'{text}this looks like {known.split("-")[0].capitalize()}; pass provider="{known}".'
    return (
        f'{text}pass provider="…" (see samekey.providers), or window= copied from the API\'s documentation, or '
        f'provider="keyless", which never sends twice.'
    )
