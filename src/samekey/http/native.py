"""Whether what handles a request is the library's own, and not what a mock or a tracer has put in its place."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def handler_of(kind: type[Any]) -> Any:
    """What a kind of client, transport, pool or connection handles a request with."""
    return getattr(kind, "handle_async_request", None) or getattr(kind, "handle_request", None)


def is_native(function: Any, package: str) -> bool:
    """Whether a method is still the one that its package has defined.

    Wrappers may say of themselves whatever the function inside says; their type they cannot hide.
    """
    if type(function) is not FunctionType:
        return False
    owner: str = function.__globals__.get("__name__", "")
    return owner.partition(".")[0] == package
