"""Options that several commands share, and the store they mean."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey.cli.exits import Exit, leave, sentences
from samekey.errors import UsageError
from samekey.stores import MemoryStore, SQLiteStore, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey.stores import Store

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|URL",
        help="The store; else SAMEKEY_STORE, else the default one of this user.",
        show_default=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

NOTHING: Final = "no store at {place}: nothing has been written there yet, and looking does not create it"
"""Said of a store that does not exist."""


def same_store(spec: str | None) -> str:
    """What the next command must be given too, if this one was given it; not repeated, for a URL has a password."""
    return "" if spec is None else " Name the same --store there."


@contextmanager
def existing_store(spec: str | None) -> Iterator[Store]:
    """Opens a store that is there, and closes it. Ends the command if it is not there or cannot be used."""
    with made_store(spec) as store:
        if not _exists(store):
            leave(Exit.NOT_FOUND, NOTHING.format(place=store.location) + _hint(spec))
        yield store


@contextmanager
def made_store(spec: str | None) -> Iterator[Store]:
    """Opens a store, which may be a new one, and closes it. Ends the command if it cannot be used."""
    with sentences():
        store = open_store(spec)
        if isinstance(store, MemoryStore):
            raise UsageError("memory:// lives inside the program that uses it; give the path of a store on disk.")
        try:
            yield store
        finally:
            store.close()


def _exists(store: Store) -> bool:
    if isinstance(store, SQLiteStore):
        return _is_there(store.location)
    look = getattr(store, "exists", None)  # of stores on a server
    return look is None or bool(look())


def _is_there(path: str) -> bool:
    # A database that vanished has left its secret: that is not "no store" but an error, which the store explains.
    return any(os.path.lexists(name) for name in (path, f"{os.path.realpath(path)}.secret"))


def _hint(spec: str | None) -> str:
    if spec is not None:
        return "."
    return "; name another one with --store or SAMEKEY_STORE."
