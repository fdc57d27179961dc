"""`samekey reencrypt`: puts what is stored under another encryption key, or makes a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey.cli.exits import Exit, sentences
from samekey.cli.options import JsonOption, StoreOption, existing_store
from samekey.cli.render import as_json, console, count, safe
from samekey.errors import UsageError
from samekey.stores import SQLiteStore
from samekey.stores._vault import VARIABLE, Vault, configured, new_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey._core.model import Record

BATCH: Final = 200
"""Records in one transaction: short enough that scripts which write meanwhile hardly wait."""

NewKeyOption = Annotated[bool, typer.Option("--new-key", help="Print a new key instead, and change nothing.")]
DecryptOption = Annotated[bool, typer.Option("--decrypt", help="Store it without encryption.")]


def reencrypt(
    store: StoreOption = None, decrypt: DecryptOption = False, new_key_: NewKeyOption = False, json: JsonOption = False
) -> None:
    """Encrypt stored requests and answers with the first key of SAMEKEY_ENCRYPTION_KEY; the others decrypt.

    To replace a key: set "NEW,OLD" for all programs, run this, and then set "NEW".
    """
    if new_key_:
        with sentences():
            print(new_key())
        return
    with existing_store(store) as opened:
        if not isinstance(opened, SQLiteStore):
            raise UsageError(
                "only SQLite stores are rewritten; elsewhere keep the old key behind the new one until the records of its "
                "time are purged."
            )
        keys = configured(None)
        if keys is None:
            raise UsageError(f"there is no key; set {VARIABLE} to the new key, a comma and the old one.")
        vault = Vault(keys)
        change = vault.opened if decrypt else vault.renewed
        changed, busy = _rewrite(opened, change)
        opened.tidy()
        location = opened.location
    if json:
        print(as_json({"store": location, "changed": changed, "in_flight": busy}))
    else:
        what = f"{count(changed, 'action')} {'decrypted' if decrypt else 'encrypted'} in {safe(location)}."
        left = f" {count(busy, 'action')} in flight left as they were: run it again when they are settled."
        console().print(what + (left if busy else ""), soft_wrap=True)
    if busy:
        raise typer.Exit(Exit.OPEN)


def _rewrite(store: SQLiteStore, change: Callable[[Record], Record]) -> tuple[int, int]:
    changed = busy = 0
    after: int | None = 0
    while after is not None:
        done = store.rewrite(change, after=after, limit=BATCH)
        changed, busy, after = changed + done.changed, busy + done.busy, done.last
    return changed, busy
