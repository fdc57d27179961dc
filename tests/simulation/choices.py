"""Where a history's luck comes from: a seed, a recorded list (replay, shrinking), or every possibility in turn."""

import random
from collections.abc import Callable, Iterator, Sequence


class Choices:
    """Draws small numbers and remembers them. 0 is always the benign choice: no fault, no delay, no crash.

    Args:
        seed: draws pseudo-randomly.
        given: replays these draws; what is missing is 0.
    """

    def __init__(self, seed: int | None = None, given: Sequence[int] | None = None) -> None:
        self._random = random.Random(seed) if given is None else None
        self._given = given or ()
        self.drawn: list[int] = []
        self.widths: list[int] = []

    def pick(self, width: int, weights: Sequence[int] | None = None) -> int:
        """A number from 0 to `width - 1`."""
        position = len(self.drawn)
        if self._random is None:
            number = self._given[position] if position < len(self._given) else 0
            number = number if number < width else 0
        elif weights is not None:
            number = self._random.choices(range(width), weights)[0]
        else:
            number = self._random.randrange(width)
        self.drawn.append(number)
        self.widths.append(width)
        return number

    def chance(self, percent: float) -> bool:
        """True in `percent` of all cases."""
        if self._random is None:
            return self.pick(2) == 1
        hit = self._random.random() * 100 < percent
        self.drawn.append(int(hit))
        self.widths.append(2)
        return hit


def shrink(drawn: Sequence[int], fails: Callable[[Sequence[int]], bool], *, tries: int = 600) -> list[int]:
    """A shorter and more benign list of draws that still fails."""
    best = list(drawn)
    size = max(1, len(best) // 2)
    while size and tries > 0:
        position, improved = 0, False
        while position < len(best) and tries > 0:
            for candidate in _simpler(best, position, size):
                tries -= 1
                if fails(candidate):
                    best, improved = candidate, True
                    break
            else:
                position += size
        size = size if improved and size == 1 else size // 2
    while best and best[-1] == 0:
        best.pop()
    return best


def _simpler(draws: list[int], position: int, size: int) -> Iterator[list[int]]:
    chunk = draws[position : position + size]
    yield draws[:position] + draws[position + size :]
    if any(chunk):
        yield draws[:position] + [0] * len(chunk) + draws[position + size :]


def every(run: Callable[[Choices], None], *, most: int) -> int:
    """Runs all combinations of draws, depth first. Returns how many there were.

    Raises:
        RuntimeError: there are more than `most`.
    """
    prefix: list[int] = []
    count = 0
    while True:
        choices = Choices(given=prefix)
        run(choices)
        count += 1
        if count > most:
            raise RuntimeError(f"more than {most} histories; bound the scope")
        drawn, widths = choices.drawn, choices.widths
        while drawn and drawn[-1] + 1 >= widths[len(drawn) - 1]:
            drawn.pop()
        if not drawn:
            return count
        prefix = [*drawn[:-1], drawn[-1] + 1]
