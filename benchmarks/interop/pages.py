"""The tables of the interoperability page, from the results and nothing else."""

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from _common import placed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "interop.json"
PAGE = ROOT / "docs" / "explanation" / "interop.md"

OPEN = {"OutcomeUnknownError", "ActionInProgressError", "NeedsReviewError"}


def wrong_of(facts: dict[str, Any]) -> list[str]:
    """What a server does with a key that its caller would not want."""
    said: list[str] = []

    def fact(name: str, *, more: str, otherwise: tuple[bool, str] = (False, "")) -> None:
        if facts[name]["effects"] > 1:
            said.append(more)
        elif otherwise[0]:
            said.append(otherwise[1])

    again, other, crash = facts["again"], facts["other data"], facts["after a crash"]
    status = again["statuses"][1]
    fact("again", more="executes a repetition", otherwise=(status >= 300, f"answers a repetition with {status}"))
    status = other["statuses"][1]
    fact(
        "other data",
        more="executes other data under the same key",
        otherwise=(not 400 <= status < 500, "does not notice other data" if status < 300 else f"other data: {status}"),
    )
    status = facts["while running"]["statuses"][1]
    unclear = not 200 <= status < 300 and status not in {409, 423, 425, 429}
    fact("while running", more="executes two that come at once", otherwise=(unclear, f"still running: {status}"))
    status = facts["after the client left"]["statuses"][1]
    fact(
        "after the client left",
        more="executes it again when the client has left",
        otherwise=(status not in {200, 201}, f"stays at {status} when the client has left"),
    )
    turned = facts["after a 500"]["statuses"][0]
    fact(
        "after a 500",
        more="forgets the key after a 500, the effect notwithstanding",
        otherwise=(turned < 300, f"makes a {turned} of a 500"),
    )
    status = crash["statuses"][1]
    fact(
        "after a crash",
        more="forgets the key after a crash, the effect notwithstanding",
        otherwise=(status in {409, 425}, f"stays at {status} after a crash"),
    )
    turned = facts["after a refusal"]["statuses"][0]
    if turned < 300:
        said.append(f"makes a {turned} of a 402")
    return said


AFTER_ERRORS = ("after a 500", "after a crash")
"""Facts about a key whose request had its effect and then failed at the server."""
FAILING = ("500 after the effect", "the application crashes after the effect")
"""The cases in which a server that forgets such a key doubles, since the client has the word that it may ask again."""


def honours(server: dict[str, Any], *, errors: bool = True) -> bool:
    """Whether no way of asking twice, of this table, had two effects; without `errors`: while the application is well."""
    facts = server["facts"].items()
    return all(fact["effects"] <= 1 for name, fact in facts if errors or name not in AFTER_ERRORS)


def cell(case: dict[str, Any]) -> str:
    """One fault at one server, in a word or two."""
    if case["untrue"]:
        return "**untrue**"
    many = f"**{case['effects']} effects** " if case["effects"] > 1 else ""
    if case["told"] == "done":
        return f"{many}done".strip() if case["effects"] else "**lost**"
    if case["told"] in OPEN:
        return f"{many}{'review' if case['told'] == 'NeedsReviewError' else 'open'}"
    return many + {"KeyReusedError": "other data", "ActionRejectedError": "refused", "NotSentError": "not sent"}.get(
        case["told"], case["told"]
    )


def counts(server: dict[str, Any]) -> dict[str, int]:
    """Sums over the cases in which the server's answers are declared; what was told untruly counts in all of them."""
    cases = [case for case in server["cases"] if not case["bare"]]
    return {
        "done": sum(case["told"] == "done" for case in cases),
        "open": sum(case["told"] in OPEN for case in cases),
        "duplicates": sum(case["duplicates"] for case in cases),
        "lost": sum(case["lost"] for case in cases),
        "untrue": sum(bool(case["untrue"]) for case in server["cases"]),
    }


def summary(server: dict[str, Any]) -> str:
    """A server in one line."""
    return f"{server['server']:28} {counts(server)} {wrong_of(server['facts'])}"


def servers_table(facts: dict[str, Any]) -> str:
    """What each server does wrong, and what became of it with samekey."""
    lines = [
        "| server | what it does with a key that one would not want | done | open, told so | duplicates | lost | untrue |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for server in facts["servers"]:
        found = counts(server)
        wrong = "; ".join(wrong_of(server["facts"])) or "nothing found"
        name = f"{server['server']} {facts['versions'][server['server']]}"
        numbers = " | ".join(str(found[column]) for column in ("done", "open", "duplicates", "lost", "untrue"))
        lines.append(f"| {name} | {wrong} | {numbers} |")
    return "\n".join(lines)


def cases_table(facts: dict[str, Any]) -> str:
    """A row per fault, a column per server; the servers by number."""
    numbers = [str(number) for number, _ in enumerate(facts["servers"], 1)]
    lines = [f"| fault | {' | '.join(numbers)} |", f"|---|{'---|' * len(numbers)}"]
    rows = zip(*(server["cases"] for server in facts["servers"]), strict=True)
    lines += [f"| {row[0]['case']} | {' | '.join(map(cell, row))} |" for row in rows]
    return "\n".join(lines)


def legend(facts: dict[str, Any]) -> str:
    return ", ".join(f"{number} {server['server']}" for number, server in enumerate(facts["servers"], 1)) + "."


def total(facts: dict[str, Any]) -> str:
    """The sums: of all servers, of those that honour keys while the application is well, and of those that always do."""
    servers, machine = facts["servers"], facts["machine"]
    bare = sum(case["bare"] for case in servers[0]["cases"])
    sums = {name: sum(counts(server)[name] for server in servers) for name in ("duplicates", "lost", "untrue")}
    well = [server for server in servers if honours(server, errors=False)]
    doubled = sum(case["duplicates"] for server in well for case in server["cases"] if case["case"] not in FAILING)
    always = [server for server in servers if honours(server)]
    return (
        f"Run of {facts['date']}, Python {machine['python']}, {machine['system']}, {machine['cores']} cores: "
        f"{len(servers)} servers, {len(servers[0]['cases'])} cases each, {bare} of them with answers not declared. "
        f"Told untruly: {sums['untrue']}. Lost: {sums['lost']}.\n\n"
        f"{len(well)} servers execute a key once while their application is well: there, {doubled} duplicates in all "
        f"cases but the two in which it fails after its effect and may be asked again. {len(always)} of them keep the key "
        f"even then: {sum(counts(server)['duplicates'] for server in always)} duplicates. "
        f"At all servers in all cases: {sums['duplicates']}, each of them the same key and the same bytes, executed twice."
    )


def sections(facts: dict[str, Any]) -> dict[str, str]:
    return {
        "interop total": total(facts),
        "interop servers": servers_table(facts),
        "interop cases": cases_table(facts),
        "interop legend": legend(facts),
    }


def check(facts: dict[str, Any]) -> list[str]:
    """What the page says that the results do not."""
    text, made = PAGE.read_text(), sections(facts)
    missing = [f"{name} is not on the page" for name in made if f"<!-- figures: {name} -->" not in text]
    return missing or ([] if text == placed(text, made) else [f"{PAGE.name} differs from {RESULTS.name}"])


def write_page(facts: dict[str, Any]) -> None:
    PAGE.write_text(placed(PAGE.read_text(), sections(facts)))
