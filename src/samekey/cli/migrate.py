"""`samekey migrate`: makes a store on a server, or brings an older one to this version's schema."""

from __future__ import annotations

from samekey.cli.exits import sentences
from samekey.cli.options import JsonOption, StoreOption
from samekey.cli.render import as_json, console, safe
from samekey.errors import UsageError
from samekey.stores import open_store


def migrate(store: StoreOption = None, json: JsonOption = False) -> None:
    """Make the store of a server, or bring an older one to this version's schema.

    A store in a file needs none: it is made when it is first used.
    """
    with sentences():
        opened = open_store(store)
        change = getattr(opened, "migrate", None)
        if change is None:
            raise UsageError(f"{opened.location} needs no migration; stores in PostgreSQL do.")
        try:
            done = change()
        finally:
            opened.close()
    if json:
        print(as_json({"store": opened.location, "before": done.before, "after": done.after}))
        return
    if done.before == done.after:
        what = f"has schema {done.after} already"
    elif done.before == 0:
        what = f"was made, with schema {done.after}"
    else:
        what = f"went from schema {done.before} to {done.after}"
    console().print(f"{safe(opened.location)} {what}.", soft_wrap=True)
