"""`samekey purge`: forgets what was done long ago, but not that it was done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import as_json, console, count, safe

BATCH: Final = 500
"""Records in one transaction: short enough that scripts which write meanwhile hardly wait."""


def purge(store: StoreOption = None, json: JsonOption = False) -> None:
    """Erase answers, scopes and timelines of actions that are settled and whose retention is over.

    What is unsettled is never purged. Of the others a tombstone stays for ever: a rerun still sends nothing.
    """
    with existing_store(store) as opened:
        now, purged = datetime.now(UTC), 0
        while batch := opened.purge(now, limit=BATCH):
            purged += batch
        opened.tidy()
        location = opened.location
    if json:
        print(as_json({"store": location, "purged": purged}))
        return
    what = count(purged, "action") if purged else "Nothing"
    tail = "; a rerun of them still sends nothing" if purged else ": no action is settled and over its retention"
    console().print(f"{what} purged in {safe(location)}{tail}.", soft_wrap=True)
