"""Takes out one rule or guard at a time and asks whether anything notices.

`python tests/mutants/run.py [--only NAME …] [--list] [--rules | --guards] [--json]`

First everything runs unmutated, and must find nothing. Rules must be found by a broken promise in a simulated history
(`SAMEKEY_HISTORIES`, 100,000 unless told otherwise; `SAMEKEY_SEED`), guards by the tests that the catalogue names. Ends
with 1 if a mutant survived.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import SIMULATION, Mutant
from tests.mutants.workspace import ROOT, ChildError, Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence

HISTORIES = int(os.environ.get("SAMEKEY_HISTORIES", "100000"))
UNMUTATED_HISTORIES = 5_000


def main() -> int:
    """Runs what was asked for."""
    options = _options()
    mutants = _chosen(options)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:<34} {mutant.removes:<44} {mutant.finder}")
        return 0
    wrong = [line for mutant in mutants for line in mutant.missing(ROOT)]
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="samekey-mutants-") as folder:
        workspace = Workspace(Path(folder))
        if not options.trust and not _passes_unmutated(workspace, mutants):
            return 2
        survived = [mutant for mutant in mutants if not _is_found(workspace, mutant, as_json=options.json)]
    if not options.json:
        print(f"{len(mutants) - len(survived)} of {len(mutants)} found")
    return 1 if survived else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these mutants; a part of a name will do")
    parser.add_argument("--list", action="store_true", help="show the catalogue and run nothing")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--rules", action="store_true", help="only what the simulation must find")
    kind.add_argument("--guards", action="store_true", help="only what the tests must find")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--trust", action="store_true", help="leave out the unmutated run")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Mutant]:
    return [
        mutant
        for mutant in MUTANTS
        if (not options.only or any(part in mutant.name for part in options.only))
        and not (options.rules and mutant.finder != SIMULATION)
        and not (options.guards and mutant.finder == SIMULATION)
    ]


def _passes_unmutated(workspace: Workspace, mutants: Sequence[Mutant]) -> bool:
    """A command that fails anyway would find every mutant."""
    finders = {mutant.finder for mutant in mutants}
    tests = sorted({test for finder in finders if finder != SIMULATION for test in finder.split()})
    if SIMULATION in finders:
        run = workspace.run([SIMULATION], histories=min(HISTORIES, UNMUTATED_HISTORIES))
        if run.failed:
            print(f"without any mutant: {run.by}", file=sys.stderr)
            return False
    if tests:
        run = workspace.run(tests, histories=0)
        if run.failed:
            print(f"without any mutant: {run.by} fails", file=sys.stderr)
            return False
    return True


def _is_found(workspace: Workspace, mutant: Mutant, *, as_json: bool) -> bool:
    with workspace.mutated(mutant):
        try:
            run = workspace.run(mutant.finder.split(), histories=HISTORIES)
        except ChildError as error:
            raise SystemExit(f"{mutant.name}: {error}") from None
    if as_json:
        facts = {"name": mutant.name, "removes": mutant.removes, "found": run.failed, "by": run.by}
        print(json.dumps({**facts, "seconds": round(run.seconds, 1)}), flush=True)
    else:
        word = "found   " if run.failed else "SURVIVED"
        print(f"{word} {mutant.name} ({mutant.removes}), by {run.by}, {run.seconds:.1f} s", flush=True)
    return run.failed


if __name__ == "__main__":
    raise SystemExit(main())
