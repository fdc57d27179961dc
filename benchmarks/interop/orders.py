"""The application behind every middleware: it makes orders, fails as a request's own plan says, and lists what it did.

It knows nothing of keys. A plan concerns the first execution for an order; later ones go well, so that an effect that
a middleware lets happen twice is seen twice.
"""

import json
import threading
from dataclasses import dataclass
from typing import Any

SLOW_SECONDS = 0.8


@dataclass(frozen=True)
class Steps:
    """What one execution of the handler does, in this order."""

    order: str
    pause: float = 0.0
    effect: bool = True
    pause_after: float = 0.0
    status: int = 201
    crash: bool = False


class Orders:
    """The orders that were made, and what is to be done next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executions: dict[str, int] = {}
        self.effects: list[dict[str, str]] = []

    def begin(self, body: Any) -> Steps:
        """Counts an execution and tells its steps."""
        order, plan = str(body["order"]), str(body["plan"])
        with self._lock:
            self._executions[order] = self._executions.get(order, 0) + 1
            first = self._executions[order] == 1
        if plan == "refuse":
            return Steps(order, effect=False, status=402)
        if not first:
            return Steps(order)
        return {
            "well": Steps(order),
            "slow": Steps(order, pause=SLOW_SECONDS),
            "slow after": Steps(order, pause_after=SLOW_SECONDS),
            "error after": Steps(order, status=500),
            "error before": Steps(order, effect=False, status=500),
            "crash after": Steps(order, crash=True),
        }[plan]

    def make(self, steps: Steps) -> str:
        """The effect."""
        with self._lock:
            reference = f"ord_{len(self.effects) + 1}"
            self.effects.append({"order": steps.order, "reference": reference})
        return reference

    def listed(self) -> bytes:
        """All effects, as JSON."""
        with self._lock:
            return json.dumps({"effects": self.effects}).encode()


def answer(steps: Steps, reference: str) -> dict[str, str]:
    """The body of the answer."""
    return {"id": reference, "order": steps.order} if steps.status == 201 else {"error": f"status {steps.status}"}
