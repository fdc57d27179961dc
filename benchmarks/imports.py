"""What `import samekey` costs beside importing its four dependencies: medians of interleaved fresh interpreters.

pydantic's package imports nothing until a name is taken from it, so its `BaseModel` is what is imported here. Exits
with 1 if a bar does not hold.
"""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from _common import Bar, parser, report, scratch

DEPENDENCIES = "import httpx, tenacity, platformdirs; from pydantic import BaseModel"
STATEMENTS = {
    "import samekey": "import samekey",
    "its four dependencies": DEPENDENCIES,
    "the four, pydantic untouched": "import httpx, tenacity, platformdirs, pydantic",
    "samekey after the four": f"{DEPENDENCIES}; before = perf_counter(); import samekey",
}
CODE = "from time import perf_counter; before = perf_counter(); {}; print(perf_counter() - before)"


def once(statement: str, compiled: Path) -> float:
    """Seconds that a statement takes in a fresh interpreter; all byte code is kept under `compiled`."""
    command = [sys.executable, "-c", CODE.format(statement)]
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    child = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(child.stdout)


def measure(rounds: int, compiled: Path) -> dict[str, list[float]]:
    """Seconds by statement and round."""
    for statement in STATEMENTS.values():
        once(statement, compiled)  # compiles everything, ours and theirs alike
    results: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for number in range(rounds):
        for name in sorted(STATEMENTS, reverse=number % 2 == 1):
            results[name].append(once(STATEMENTS[name], compiled))
    return results


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=25, help="rounds to take the median of (default 25)")
    given = options.parse_args()
    rounds = min(given.rounds, 7) if given.quick else given.rounds
    with scratch(given.dir) as compiled:
        results = measure(rounds, compiled)
    ours, theirs = results["import samekey"], results["its four dependencies"]
    quotient = median(a / b for a, b in zip(ours, theirs, strict=True))
    figures = {name: median(seconds) * 1000 for name, seconds in results.items()} | {"ratio": quotient}
    lines = ["", *(f"{name:32}{median(seconds) * 1000:8.1f} ms" for name, seconds in results.items())]
    version = ".".join(map(str, sys.version_info[:3]))
    bars = [Bar("import samekey ÷ importing its four dependencies", quotient, 1.15)]
    title = f"imports: {rounds} rounds; Python {version}"
    return report(title, figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
