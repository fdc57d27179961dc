"""`samekey providers`: what the shipped profiles say, and where it is from."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from samekey.cli.exits import sentences
from samekey.cli.options import JsonOption
from samekey.cli.render import as_json, console, put
from samekey.provider import Provider
from samekey.providers import NAMES, load
from samekey.providers.facts import facts, window

NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]",
        help="A profile, or the file of one of your own (.toml, .json); all that ship if left out.",
        show_default=False,
    ),
]


def providers(name: NameArgument = None, json: JsonOption = False) -> None:
    """Show the provider profiles: how each API takes keys, how long it knows them, and who says so."""
    with sentences():
        chosen = [_read(each) for each in ([name] if name else NAMES)]
    if json:
        documents = [each.model_dump(mode="json", exclude_none=True) for each in chosen]
        print(as_json(documents[0] if name else documents))
        return
    if name:
        put(console(), _sheet(facts(chosen[0])))
        return
    table = _grid("name", "key", "in", "window", "5xx", "tier")
    for provider in chosen:
        keyed = provider.carrier.kind != "none"
        table.add_row(
            provider.name,
            provider.carrier.name if keyed else "",
            provider.carrier.kind if keyed else "",
            window(provider),
            "same key" if provider.after_5xx == "resend" else "stop",
            provider.tier or "",
        )
    out = console()
    put(out, table)
    out.print()
    put(out, Text("unknown: declare it, with window=. One profile whole: samekey providers NAME", style="dim"))


def _read(name: str) -> Provider:
    return Provider.load(name) if name.endswith((".toml", ".json")) else load(name)


def _grid(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title == "name")
    return table


def _sheet(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for title, text in rows:
        table.add_row(title, Text(text))
    return table
