"""Which fault a request meets: the script first, then chaos."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from typing import TYPE_CHECKING

from samekey.testing._values import WRITE_METHODS
from samekey.testing.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNIT = 1 << 64


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """Which requests are meant. Without a method: every write."""

    method: str | None = None
    path: str | None = None

    def __call__(self, method: str, path: str) -> bool:
        """Tell if a request is meant."""
        if self.path is not None and path != self.path:
            return False
        return method in WRITE_METHODS if self.method is None else method == self.method


class Script:
    """A queue of faults; each is met once, by the first request that it is meant for."""

    def __init__(self) -> None:
        self._queue: list[tuple[Match, Fault]] = []

    @property
    def pending(self) -> list[Fault]:
        """The faults that no request has met yet."""
        return [fault for _, fault in self._queue]

    def add(self, match: Match, faults: Sequence[Fault]) -> None:
        """Append faults for the requests that `match`."""
        self._queue.extend((match, fault) for fault in faults)

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request and remove it, or None."""
        for index, (match, fault) in enumerate(self._queue):
            if match(method, path):
                del self._queue[index]
                return fault
        return None

    def clear(self) -> None:
        """Forget the faults that were not met."""
        self._queue.clear()


class Chaos:
    """A fault with some probability, a pure function of seed, subject and occurrence.

    How requests interleave therefore changes nothing: the third try of one order meets the same
    fault in every run.
    """

    def __init__(self, rate: float, faults: Sequence[Fault], seed: int) -> None:
        if not 0 <= rate <= 1:
            msg = f"chaos: rate is a probability between 0 and 1, not {rate}"
            raise ValueError(msg)
        if not faults:
            msg = "chaos: give at least one fault"
            raise ValueError(msg)
        self._rate = rate
        self._faults = tuple(faults)
        self._seed = seed
        self._occurrences: collections.Counter[bytes] = collections.Counter()

    def draw(self, subject: bytes) -> Fault:
        """Return what the next request about `subject` meets."""
        digest = hashlib.blake2b(subject, digest_size=16).digest()
        self._occurrences[digest] += 1
        text = f"{self._seed}:{self._occurrences[digest]}:".encode() + digest
        drawn = hashlib.blake2b(text, digest_size=16).digest()
        if int.from_bytes(drawn[:8], "big") / _UNIT >= self._rate:
            return Fault.NONE
        return self._faults[int.from_bytes(drawn[8:], "big") % len(self._faults)]
