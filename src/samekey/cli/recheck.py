"""`samekey recheck KEY`: asks the look-up now."""

from __future__ import annotations

import typer

from samekey.cli.exits import Exit, sentences
from samekey.cli.factory import ClientOption, load_client
from samekey.cli.finding import KeyArgument, find, is_alive
from samekey.cli.options import JsonOption
from samekey.cli.render import as_json, console
from samekey.cli.sheet import sheet
from samekey.cli.show import document
from samekey.cli.timeline import timeline


def recheck(key: KeyArgument, client: ClientOption, json: JsonOption = False) -> None:
    """Look up what became of one action, with the look-up of its operation. Nothing else is sent.

    The client's module brings the credentials, the store and the operations.
    """
    with sentences(), load_client(client) as opened:
        store = opened.store
        record = opened.recheck(find(store, key))
        lines = timeline(record, store.events(record.idempotency_key))
        alive = is_alive(store, record)
    if json:
        print(as_json(document(record, lines)))
    else:
        sheet(console(), record, lines, alive=alive)
    if not record.settled:
        raise typer.Exit(Exit.OPEN)
