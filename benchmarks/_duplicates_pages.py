"""The tables and the plot of `duplicates.py`, from its results and nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

from _common import placed
from _faulty import Kind

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "duplicates.json"
PAGE = ROOT / "docs" / "explanation" / "duplicates.md"
README = ROOT / "README.md"
PLOT = ROOT / "docs" / "assets" / "duplicates.svg"

IN_README = (
    "httpx + tenacity, key outside the loop",
    "httpx + tenacity, derived key",
    "stripe's SDK, its own key",
    "dbos",
    "justonce",
    "samekey",
    "samekey with a look-up",
)
TITLES = {
    Kind.KEYED: "honours keys",
    Kind.LATE: "honours keys, reruns after its window",
    Kind.KEYLESS: "ignores keys",
}


def per_thousand(row: dict[str, Any], fact: str) -> str:
    """A count per 1,000 lost answers; what is not nothing never looks like nothing."""
    count, lost = row[fact], row["lost_answers"]
    if not count:
        return "0"
    rate = 1000 * count / lost
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def lost(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with what counts as lost summed up."""
    return row | {"lost": row["unaware"] + row["false_success"]}


def rows_of(facts: dict[str, Any], kind: Kind) -> list[dict[str, Any]]:
    return [lost(row) for row in facts["rows"] if row["api"] == kind]


def changed(row: dict[str, Any]) -> str:
    """What came of another total under an action that was done."""
    if row["changed_made_anew"]:
        return "made again"
    return "refused" if row["changed_refused"] == row["asked"] else "old answer, unnoticed"


def table(facts: dict[str, Any], kind: Kind) -> str:
    """One API: a row per contender."""
    lines = [
        "| | lost answers | duplicates | lost | for a person | answer known without the API | other data in a rerun |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for row in rows_of(facts, kind):
        known = "yes" if row["known_offline"] == row["asked"] else "no"
        cells = [per_thousand(row, fact) for fact in ("duplicates", "lost", "for_a_person")]
        lines.append(f"| {row['contender']} | {row['lost_answers']} | {' | '.join(cells)} | {known} | {changed(row)} |")
    return "\n".join(lines)


def short_table(facts: dict[str, Any]) -> str:
    """Duplicates and losses of some contenders, all three APIs side by side."""
    titles = " | ".join(TITLES[kind] for kind in Kind)
    lines = [f"| duplicates / lost, when the API | {titles} |", "|---|--:|--:|--:|"]
    for name in IN_README:
        cells = []
        for kind in Kind:
            row = next((row for row in rows_of(facts, kind) if row["contender"] == name), None)
            cells.append("not needed" if row is None else short(row))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def short(row: dict[str, Any]) -> str:
    """Duplicates and losses of one contender, and what it leaves to a person."""
    told = f"{per_thousand(row, 'duplicates')} / {per_thousand(row, 'lost')}"
    return f"{told}, {per_thousand(row, 'for_a_person')} to a person" if row["for_a_person"] else told


def run_line(facts: dict[str, Any]) -> str:
    """When, where and with what it ran."""
    plan, machine = facts["plan"], facts["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"Run of {facts['date']}: seed {plan['seed']}, {plan['actions']} orders, {plan['kills']} kills, "
        f"{plan['rate']:.0%} of the requests meet a fault; Python {machine['python']}, {machine['system']}, "
        f"{machine['cores']} cores; {versions}."
    )


def sections(facts: dict[str, Any]) -> dict[str, str]:
    """What stands between the marks of the pages, by name."""
    made = {f"duplicates {kind}": table(facts, kind) for kind in Kind}
    return made | {"duplicates run": run_line(facts), "duplicates short": short_table(facts)}


def stale(facts: dict[str, Any]) -> list[str]:
    """The pages, and the plot, that say something else than the results."""
    made = sections(facts)
    found = [page.name for page in (PAGE, README) if page.read_text() != placed(page.read_text(), made)]
    texts = PAGE.read_text() + README.read_text()
    found += [name for name in made if f"<!-- figures: {name} -->" not in texts]
    return found if digest(facts) in PLOT.read_text() else [*found, PLOT.name]


def write_pages(facts: dict[str, Any]) -> None:
    for page in (PAGE, README):
        page.write_text(placed(page.read_text(), sections(facts)))


def digest(facts: dict[str, Any]) -> str:
    """Names the results that a plot was made from."""
    return hashlib.sha256(json.dumps(facts["rows"], sort_keys=True).encode()).hexdigest()[:16]


def plot(facts: dict[str, Any]) -> None:
    """Duplicates and losses as bars, one panel per API."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.hashsalt": "samekey", "svg.fonttype": "none", "font.size": 9, "font.family": "sans-serif"}
    )
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True, sharex=True, layout="constrained")
    names = [row["contender"] for row in rows_of(facts, Kind.KEYLESS)][::-1]
    for panel, kind in zip(panels, Kind, strict=True):
        for place, name in enumerate(names):
            row = next((row for row in rows_of(facts, kind) if row["contender"] == name), None)
            if row is None:
                continue
            scale = 1000 / row["lost_answers"]
            parts = [("duplicates", "#c0392b"), ("lost", "#e59866"), ("for_a_person", "#7fb3d5")]
            left = 0.0
            for fact, colour in parts:
                panel.barh(place, row[fact] * scale, left=left, color=colour, height=0.7)
                left += row[fact] * scale
            told = f"{row['duplicates'] * scale:.0f}" if row["duplicates"] else "0"
            panel.annotate(told, (left, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)
        panel.set_title(f"the API {TITLES[kind]}", fontsize=9)
        panel.set_yticks(range(len(names)), names)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.12)
        panel.set_xlabel("per 1,000 lost answers")
    labels = ["duplicates (the number)", "lost: made, and nobody knows", "put to a person"]
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in ("#c0392b", "#e59866", "#7fb3d5")]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None, "Description": f"results {digest(facts)}"})
