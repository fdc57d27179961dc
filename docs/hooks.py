"""Pages that are made from the code, so that they cannot say something else than it does.

`<!-- made: states -->` in a page becomes the diagram and the table of `samekey._core.states`.
"""

from __future__ import annotations

from typing import Any

from samekey._core.states import TRANSITIONS, UNSETTLED, Status

MARK = "<!-- made: states -->"


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


def on_page_markdown(markdown: str, **_context: Any) -> str:
    """MkDocs calls this for each page before it is rendered."""
    return markdown.replace(MARK, states()) if MARK in markdown else markdown
