"""How the values of one action are made: they are many, and live for a moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def fixed(cls: type[T], /) -> type[T]: ...
@overload
def fixed(*, kw_only: bool = ...) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def fixed(cls: type[Any] | None = None, /, *, kw_only: bool = False) -> Any:
    """A dataclass with slots that the type checker keeps frozen.

    Python itself does not, because that would cost each field of each value a call: a fifth of what a whole action may
    cost. What users get to see (`Record`, `Event`, …) is frozen at run time too.
    """
    make = dataclass(slots=True, kw_only=kw_only)
    return make if cls is None else make(cls)
