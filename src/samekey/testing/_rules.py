"""The options of the model API: names and types for signatures, defaults and checks."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

Keys = Literal["honour", "ignore"]
AfterError = Literal["stored", "released", "kept_success"]


class Behaviour(TypedDict, total=False):
    """The options that `ModelAPI`, `FlakyServer` and `FaultTransport` share; see `ModelAPI`."""

    keys: Keys
    window: float | None
    clock: Callable[[], float]
    key_header: str
    latency: float
    on_mismatch: int
    in_progress: int
    errors_stored: bool
    after_error: AfterError
    replay_header: tuple[str, str] | None
    seed: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`Behaviour` with its defaults, checked."""

    keys: Keys = "honour"
    window: float | None = None
    clock: Callable[[], float] = time.time
    key_header: str = "Idempotency-Key"
    latency: float = 0.0
    on_mismatch: int = 422
    in_progress: int = 409
    errors_stored: bool = False
    after_error: AfterError = "kept_success"
    replay_header: tuple[str, str] | None = ("Idempotent-Replayed", "true")
    seed: int = 0

    def __post_init__(self) -> None:
        if self.keys not in {"honour", "ignore"}:
            msg = f'keys is "honour" or "ignore", not {self.keys!r}'
            raise ValueError(msg)
        if self.after_error not in {"stored", "released", "kept_success"}:
            msg = f'after_error is "stored", "released" or "kept_success", not {self.after_error!r}'
            raise ValueError(msg)
        if self.latency < 0 or (self.window is not None and self.window < 0):
            msg = "latency and window are seconds and cannot be negative"
            raise ValueError(msg)
