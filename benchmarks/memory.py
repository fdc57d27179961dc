"""Whether memory stays flat over 100,000 actions of one client. The server is a process of its own.

Two figures are taken at every hundredth of the way, after a collection: the resident memory, and the number of blocks
that Python has allocated, which knows no fragmentation. What counts is the slope of each (least squares) after the
first three tenths. `--trace` tells where memory was allocated that is still held. Exits with 1 if a bar does not hold.
"""

import gc
import os
import resource
import sys
import tracemalloc
from pathlib import Path

from _common import Bar, parser, report, scratch
from _contenders import Samekey
from _server import server

WARM_PART = 0.3


def resident() -> int:
    """Bytes of this process in memory now (at most so far, where the system does not tell)."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE")


def slope(points: list[tuple[int, int]]) -> float:
    """Growth per action, by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    across = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--actions", type=int, default=100_000)
    options.add_argument("--trace", action="store_true", help="show what was allocated in the last half (slow)")
    given = options.parse_args()
    actions = min(given.actions, 30_000) if given.quick else given.actions
    step = actions // 100
    memory: list[tuple[int, int]] = []
    blocks: list[tuple[int, int]] = []
    before: tracemalloc.Snapshot | None = None
    lines = [""]
    with scratch(given.dir) as directory, server() as url:
        contender = Samekey(url, directory)
        for number in range(1, actions + 1):
            contender(number)
            if number % step == 0:
                gc.collect()
                memory.append((number, resident()))
                blocks.append((number, sys.getallocatedblocks()))
            if given.trace and number == actions // 2:
                tracemalloc.start()
            if given.trace and number == actions // 2 + step:
                before = tracemalloc.take_snapshot()
        if before is not None:
            held = tracemalloc.take_snapshot().compare_to(before, "lineno")
            lines += [str(line) for line in held[:12]] + [""]
        contender.close()
    warm = int(len(memory) * WARM_PART)
    memory, blocks = memory[warm:], blocks[warm:]
    for number, bytes_ in memory[:: len(memory) // 8]:
        lines.append(f"{number:9,} actions{bytes_ / 1024 / 1024:9.2f} MiB{dict(blocks)[number]:10,} blocks")
    figures = {
        "resident_bytes": memory,
        "allocated_blocks": blocks,
        "bytes_per_action": slope(memory),
        "blocks_per_action": slope(blocks),
    }
    # One object kept per action would be at least one block and some fifty bytes.
    bars = [
        Bar("resident bytes per action", slope(memory), 10.0),
        Bar("allocated blocks per action", slope(blocks), 0.01),
    ]
    return report(f"memory: {actions:,} actions", figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
