"""`samekey contract`: the operations as the document that a team signs off."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey.cli.exits import Exit, complain, sentences
from samekey.cli.factory import load_object
from samekey.cli.options import JsonOption
from samekey.cli.render import as_json
from samekey.client import Client
from samekey.contract_files import load
from samekey.contracts import Operation
from samekey.errors import UsageError
from samekey.providers.facts import span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

SpecArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONTRACTS",
        help="A TOML file, or MODULE:NAME of a samekey.Client, of operations, or of a function that makes them.",
    ),
]
CheckOption = Annotated[
    Path | None,
    typer.Option(
        "--check", metavar="FILE", help="Compare with this document, as it was signed, and exit with 1 if it differs.",
        show_default=False,
    ),
]  # fmt: skip

COLUMNS: Final = ("operation", "what it does", "scope", "window", "retention", "duplicates", "when in doubt", "owner")


def contract(spec: SpecArgument, check: CheckOption = None, json: JsonOption = False) -> None:
    """Print the contracts of operations as a Markdown table."""
    with sentences():
        operations = _operations(spec)
        rows = [row(operation) for operation in operations]
        if check is not None:
            _compare(check, markdown(rows))
        elif json:
            print(as_json([dict(zip(COLUMNS, each, strict=True)) for each in rows]))
        else:
            print(markdown(rows), end="")


def _operations(spec: str) -> Sequence[Operation]:
    if spec.endswith(".toml"):
        return load(spec)
    found = load_object(spec, "CONTRACTS", "shop.contracts:operations, nor a .toml file")
    if callable(found) and not isinstance(found, Client | Operation):
        found = found()
    if isinstance(found, Client):
        with found:
            return found.operations
    listed = [found] if isinstance(found, Operation) else list(found) if isinstance(found, Iterable) else []
    if not listed or not all(isinstance(each, Operation) for each in listed):
        raise UsageError(f"CONTRACTS {spec!r} has no operations; name a samekey.Client, or samekey.Operation objects.")
    return listed


def row(operation: Operation) -> tuple[str, ...]:
    """One operation, in the order of `COLUMNS`."""
    return (
        operation.name,
        operation.description or "",
        "any fields" if operation.scope is None else ", ".join(operation.scope),
        "the profile's" if operation.window is None else f"{_span(operation.window)}, or the profile's if shorter",
        _span(operation.retention),
        _duplicates(operation),
        _doubt(operation),
        operation.owner or "",
    )


def _duplicates(operation: Operation) -> str:
    if operation.duplicates == "allow":
        return "allowed"
    word = {"warn": "warned of", "reject": "rejected"}[operation.duplicates]
    return f"{word} within {_span(operation.duplicate_window)}"


def _doubt(operation: Operation) -> str:
    told = "a person decides"
    if operation.reconcile is not None:
        told = f"a look-up, absent after {_span(operation.absent_after)}; else a person"
    return told if operation.on_server_error == "profile" else f"{told}; 5xx: {operation.on_server_error}"


def markdown(rows: Sequence[tuple[str, ...]]) -> str:
    """The document."""
    lines = [_line(COLUMNS), "|".join(["", *("---" for _ in COLUMNS), ""]), *map(_line, rows)]
    return "\n".join([*lines, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in cells)} |"


def _span(length: timedelta) -> str:
    return span(length.total_seconds(), " ")


def _compare(signed: Path, now: str) -> None:
    try:
        text = signed.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--check {signed} cannot be read: {type(error).__name__}.") from None
    known, found = _table_of(text), _table_of(now)
    changed = [f"+ {line}" for line in found if line not in known] + [
        f"- {line}" for line in known if line not in found
    ]
    if not changed:
        print(f"{signed} is what the contracts say.")
        return
    print("\n".join(changed))
    complain(f"{signed} is not what the contracts say; let their owners sign it anew.")
    raise typer.Exit(Exit.FAILED)


def _table_of(text: str) -> list[str]:
    """The lines of tables: a signed document may have words around them."""
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("|")]
