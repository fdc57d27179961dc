"""The effect ledger: what really happened at the model API, and what it was asked."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from samekey.testing._values import Headers, Reply, find_header, path_of

if TYPE_CHECKING:
    from samekey.testing.faults import Fault


@dataclasses.dataclass(frozen=True, slots=True)
class Effect:
    """One thing that the API did: an order made, changed or deleted.

    Attributes:
        number: 1, 2, … in the order in which effects happened.
        method: of the request that caused it.
        path: of that request, without query.
        key: the idempotency key it carried, or None.
        body: the exact bytes of its body.
        reference: the id of the object that was made, changed or deleted.
        at: the API's clock, in seconds.
    """

    number: int
    method: str
    path: str
    key: str | None
    body: bytes
    reference: str
    at: float

    def as_json(self) -> dict[str, Any]:
        """Return the effect for JSON; `body` is None where the bytes are not UTF-8."""
        fields = dataclasses.asdict(self)
        try:
            fields["body"] = self.body.decode()
        except UnicodeDecodeError:
            fields["body"] = None
        fields["body_base64"] = base64.b64encode(self.body).decode()
        return fields


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """One request that reached the API, whatever became of it.

    Attributes:
        number: 1, 2, … in order of arrival.
        method: as sent.
        target: as sent: path and query, or an absolute URL.
        headers: name and value pairs as sent, in their order.
        body: the bytes of the body, without transfer coding.
        key: the idempotency key, or None.
        fault: what it met.
    """

    number: int
    method: str
    target: str
    headers: Headers
    body: bytes
    key: str | None
    fault: Fault

    @property
    def path(self) -> str:
        """The path of the target, without query."""
        return path_of(self.target)

    def header(self, name: str) -> str | None:
        """Return the first value of the header `name`, whatever its case, or None."""
        return find_header(self.headers, name)


class Ledger:
    """Effects and the objects they left. Its user holds the lock."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self._objects: dict[str, dict[str, Any]] = {}

    def record(self, seen: Seen, at: float) -> Reply:
        """Let the effect of `seen` happen; return the answer of the application."""
        path = seen.path.rstrip("/")
        number = len(self.effects) + 1
        parent, _, last = path.rpartition("/")
        made = seen.method == "POST"
        reference = f"{last.removesuffix('s') or 'object'}_{number}" if made else last
        effect = Effect(number, seen.method, seen.path, seen.key, seen.body, reference, at)
        self.effects.append(effect)
        return self._apply(effect, f"{path if made else parent}/{reference}")

    def read(self, path: str) -> Reply:
        """Return the object at `path`, or 404."""
        known = self._objects.get(path)
        if known is None:
            return Reply.json(404, {"error": {"type": "not_found"}})
        return Reply.json(200, known)

    def _apply(self, effect: Effect, address: str) -> Reply:
        if effect.method == "DELETE":
            self._objects.pop(address, None)
            return Reply.json(200, {"id": effect.reference, "deleted": True})
        data = _parse(effect.body)
        if effect.method == "PATCH":
            before = self._objects.get(address, {}).get("data")
            if isinstance(before, dict) and isinstance(data, dict):
                data = before | data
        current = {"id": effect.reference, "data": data}
        self._objects[address] = current
        if effect.method == "POST":
            return Reply.json(201, current, (("Location", address),))
        return Reply.json(200, current)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
