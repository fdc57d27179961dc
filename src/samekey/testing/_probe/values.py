"""What a probe plans, sees and reports: frozen values, without I/O."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

Step = Literal["first", "again", "other", "together", "later"]


class ProbeVerdict(StrEnum):
    """How what was seen compares with the profile."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_SEEN = "not seen"
    """It could not be brought about, or could not be told."""
    UNKNOWN = "unknown in the profile"
    """It was seen, and the profile has no word about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """What a probe is going to do.

    Attributes:
        provider: the profile's name.
        method: of the writes.
        url: where they go, without credentials.
        origin: scheme, host and port.
        writes: how many writes are sent.
        expected: how many effects they have if the API does as the profile says.
        most: how many they have if it ignores the key.
        reads: how many look-ups are made.
        retention: seconds that are waited before the last write; None if it is not asked for.
    """

    provider: str
    method: str
    url: str
    origin: str
    writes: int
    expected: int
    most: int
    reads: int
    retention: float | None

    def as_json(self) -> dict[str, Any]:
        """Return the plan for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSend:
    """One write that was sent.

    Attributes:
        step: "first"; "again", the same; "other", other data under the same key; "together", one of two at once under a
            second key; "later", the same as the first, after the retention.
        key: the first characters of its key, "" for none.
        sent: False only if it is proven that no byte of it left.
        status: of the answer; None if there was none.
        told: the answer in words: `HTTP 409, error.code = key_in_use`, `no answer within 30 s`.
        reference: the object's id in the answer.
    """

    step: Step
    key: str
    sent: bool
    status: int | None
    told: str
    reference: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the write for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFact:
    """One thing that the API does with a key.

    Attributes:
        name: which.
        says: what the profile says.
        saw: what was seen.
        verdict: how the two compare.
        counted: whether effects were counted; False where they were told by the answers, or do not matter.
    """

    name: str
    says: str
    saw: str
    verdict: ProbeVerdict
    counted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the fact for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """What a probe has seen.

    Attributes:
        plan: what it set out to do.
        sends: every write that was sent, in order.
        facts: what was compared.
        effects: how many effects were counted in all; None if they were not, or not to the end.
        stopped: why it ended early; "" if it did not.
        notes: what else a reader should know.
        learned: what was seen, as fields of a `Provider`.
    """

    plan: ProbePlan
    sends: tuple[ProbeSend, ...]
    facts: tuple[ProbeFact, ...]
    effects: int | None
    stopped: str = ""
    notes: tuple[str, ...] = ()
    learned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """Whether the probe came to its end and nothing that was seen differs from the profile."""
        return not self.stopped and all(fact.verdict is not ProbeVerdict.DIFFERS for fact in self.facts)

    def draft(self, on: date) -> dict[str, Any] | None:
        """A draft of a profile for JSON: what was seen, and nothing else. `samekey.Provider(**draft)` takes it.

        Args:
            on: the day of the probe, which its sources tell.

        Returns:
            None if the probe ended early, or could not tell whether the API honours the key: there is nothing to state.
        """
        if not self.learned:
            return None
        counted = "not counted" if self.effects is None else "counted"
        source = f"samekey probe, {on.isoformat()}, {self.plan.origin}, effects {counted}"
        base = self.plan.provider.removesuffix("-probed")
        return {
            "name": f"{base}-probed",
            **self.learned,
            "tier": "probed",
            "sources": [f"{source}: {name}" for name in self.learned if name != "notes"],
        }

    def as_json(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "agrees": self.agrees,
            "stopped": self.stopped or None,
            "plan": self.plan.as_json(),
            "sends": [send.as_json() for send in self.sends],
            "facts": [fact.as_json() for fact in self.facts],
            "effects": self.effects,
            "notes": list(self.notes),
        }
