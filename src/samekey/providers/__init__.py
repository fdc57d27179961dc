"""Profiles that ship, one data file per API, read when they are asked for."""

import difflib
import json
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from samekey.contracts import Provider
from samekey.errors import UsageError

ProviderName = Literal["keyless", "stripe-v1"]
"""The names of the profiles that ship."""

NAMES: tuple[str, ...] = get_args(ProviderName)


@cache
def load(name: str) -> Provider:
    """Reads a profile by its name.

    Raises:
        UsageError: no profile has that name.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
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
