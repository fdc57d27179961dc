"""Pages that are made from the code, so that they cannot say something else than it does.

A mark in a page, `<!-- made: states -->`, becomes the diagram and the table of `samekey._core.states`;
`commands` becomes the help of each command, `exits` the table of exit codes, `providers` what the profiles say, `signals` their
definitions, and `log` the events of the log.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

from samekey._core.states import TRANSITIONS, UNSETTLED, Status
from samekey.cli.exits import EXIT_CODES
from samekey.providers import NAMES, load
from samekey.providers.facts import carrier, facts, window
from samekey.telemetry.log import EVENTS
from samekey.telemetry.signals import SIGNALS

COMMANDS = (
    "demo", "list", "show", "review", "resolve", "recheck", "recover", "stats", "report", "audit", "doctor", "purge",
    "migrate", "copy", "reencrypt", "export", "contract", "providers", "probe",
)  # fmt: skip


def diagram() -> str:
    """The transition table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {Status.IN_FLIGHT.value}: claim"]
    for status, moves in TRANSITIONS.items():
        by_target: dict[Status, list[str]] = {}
        for move, target in moves.items():
            by_target.setdefault(target, []).append(move.value)
        lines += [
            f"    {status.value} --> {target.value}: {', '.join(names)}"
            for target, names in by_target.items()
            if target is not status
        ]
    return "\n".join(["```mermaid", *lines, "```"])


def table() -> str:
    """The transition table as a Markdown table."""
    rows = [
        f"| `{status.value}` | `{move.value}` | `{target.value}` |"
        for status, moves in TRANSITIONS.items()
        for move, target in moves.items()
    ]
    return "\n".join(["| in | on | becomes |", "|---|---|---|", *rows])


def states() -> str:
    """What stands in the place of the mark."""
    unsettled = ", ".join(f"`{status.value}`" for status in Status if status in UNSETTLED)
    return f"{diagram()}\n\n{table()}\n\nNot settled, and therefore never removed by age: {unsettled}."


def commands() -> str:
    """What each command says of itself."""
    return "\n\n".join(f"## samekey {name}\n\n```text\n{usage(name)}\n```" for name in COMMANDS)


def usage(name: str) -> str:
    """The help of one command, without the exit codes, which are the same for all."""
    told = subprocess.run(
        [sys.executable, "-m", "samekey.cli", name, "--help"],
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        check=True,
        text=True,
    )
    return told.stdout.partition("  Exit codes:")[0].strip()


def exits() -> str:
    """The exit codes as a Markdown table."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def providers() -> str:
    """All profiles as one table, then a section for each."""
    rows = ["| profile | key | window | after a 5xx | tier |", "|---|---|---|---|---|"]
    sections = []
    for provider in map(load, NAMES):
        again = "same key" if provider.after_5xx == "resend" else "stop"
        name = f"[`{provider.name}`](#{provider.name})"
        rows.append(f"| {name} | {carrier(provider.carrier)} | {window(provider)} | {again} | {provider.tier or ''} |")
        told = [f"| {title} | {linked(text)} |" for title, text in facts(provider)]
        sections.append("\n".join([f"## {provider.name} {{ #{provider.name} }}", "", "| fact | |", "|---|---|", *told]))
    return "\n\n".join(["\n".join(rows), *sections])


def linked(text: str) -> str:
    """Text with its addresses as links, safe in a table."""
    words = [f"<{word}>" if word.startswith("https://") else word for word in text.replace("|", "\\|").split("; ")]
    return "; ".join(words)


def signals() -> str:
    """Each signal with its definition."""
    return "\n\n".join(
        f"## {signal.title} {{ #{name} }}\n\n"
        f"| | |\n|---|---|\n| numerator | {signal.numerator} |\n| denominator | {signal.denominator or 'none'} |\n"
        f"| what moves it | {signal.moves} |\n| what to do | {signal.act} |"
        for name, signal in SIGNALS.items()
    )


def log_events() -> str:
    """The events of the log with their levels and fields."""
    rows = ["| event | level | when | fields beside the usual |", "|---|---|---|---|"]
    for name, event in EVENTS.items():
        level = "WARNING or INFO" if event.level is None else logging.getLevelName(event.level)
        usual = "" if event.about_action else "only `event`"
        told = ", ".join(f"`{field}`" for field in event.fields) or usual
        rows.append(f"| `{name}` | {level} | {event.meaning} | {told} |")
    return "\n".join(rows)


MADE = {
    "<!-- made: signals -->": signals,
    "<!-- made: log -->": log_events,
    "<!-- made: providers -->": providers,
    "<!-- made: states -->": states,
    "<!-- made: commands -->": commands,
    "<!-- made: exits -->": exits,
}


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """MkDocs calls this for each page before it is rendered."""
    for mark, make in MADE.items():
        if mark in markdown:
            markdown = markdown.replace(mark, make())
    return markdown
