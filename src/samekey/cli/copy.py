"""`samekey copy`: moves a store, unsettled actions and tombstones included, and compares what came of it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final

import typer

from samekey._core.states import Status
from samekey.cli.exits import Exit, leave
from samekey.cli.finding import is_alive
from samekey.cli.options import JsonOption, existing_store, made_store
from samekey.cli.render import as_json, console, count, safe
from samekey.errors import UsageError
from samekey.settings import secret_of
from samekey.stores import Portable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from samekey._core.model import Record
    from samekey.stores import Store

PAGE: Final = 200
"""Records in one transaction of the target, and in memory at once."""
MOST_SHOWN: Final = 3

FromOption = Annotated[str, typer.Option("--from", metavar="PATH|URL", help="The store to read; it stays as it is.")]
ToOption = Annotated[str, typer.Option("--to", metavar="PATH|URL", help="The store to write; it may be a new one.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Count what there is to copy, without opening the target.")
]


def copy(source: FromOption, target: ToOption, dry_run: DryRunOption = False, json: JsonOption = False) -> None:
    """Copy every action to another store: its key, state, timeline, tombstones, and the secret of its keys.

    Stop the scripts that use either store first, and let them use only the new one afterwards. What is there
    already is not written twice, so a copy that was interrupted is simply started again. At the end all is compared.
    """
    with existing_store(source) as old:
        portable = _portable(old)
        _refuse_at_work(old)
        if dry_run:
            found = Counter(entry.record.status for entry in portable.export())
            _tell(old.location, None, found, 0, json=json)
            return
        with made_store(target) as new:
            if new.location == old.location:
                raise UsageError("--from and --to name the same store.")
            receiver = _portable(new)
            _bind(old, new, receiver)
            names = _names(portable, receiver)
            written, found = _write(portable, receiver, names)
            again, compared = _write(portable, receiver, names)
            if again or compared != found:
                leave(
                    Exit.REFUSED,
                    f"{old.location} was written to while it was copied; stop the scripts that use it, and copy again.",
                )
            _tell(old.location, new.location, found, written, json=json)


def _portable(store: Store) -> Portable:
    if not isinstance(store, Portable):
        raise UsageError(
            f"the store {store.location} cannot be copied: it is none of samekey's own on disk or a server."
        )
    return store


def _refuse_at_work(store: Store) -> None:
    """Of what is being sent now, the outcome would be written into the old store."""
    alive = [record for record in store.find(statuses={Status.IN_FLIGHT}) if is_alive(store, record)]
    if alive:
        leave(
            Exit.REFUSED,
            f"{count(len(alive), 'action')} of {store.location} may be being sent now ({_shown(alive)}); stop the scripts "
            "that use it, wait until their leases are over, and copy again.",
        )


def _bind(old: Store, new: Store, receiver: Portable) -> None:
    """The same secret: under another one the same action would have another key (R13)."""
    given = secret_of(None)
    secret = old.secret(given)
    if given is None:
        receiver.adopt_secret(secret)
    else:
        new.secret(given)


def _names(portable: Portable, receiver: Portable) -> Mapping[str, tuple[str, ...]]:
    names, known = portable.operations(), receiver.operations()
    differ = [name for name in names if name in known and sorted(names[name]) != sorted(known[name])]
    if differ:
        leave(
            Exit.REFUSED,
            f"the target knows {', '.join(sorted(differ)[:MOST_SHOWN])} with other scope fields, so nothing was copied; "
            "copy into another store.",
        )
    return names


def _write(portable: Portable, receiver: Portable, names: Mapping[str, tuple[str, ...]]) -> tuple[int, Counter[Status]]:
    """How many were written, and how many there are by status. Ends the command where the target has others."""
    written, found = 0, Counter[Status]()
    entries = portable.export()
    while page := list(islice(entries, PAGE)):
        adopted = receiver.adopt(names, page)
        written += adopted.written
        found.update(entry.record.status for entry in page)
        if adopted.conflicts:
            leave(
                Exit.REFUSED,
                f"the target has other records of the same actions ({_shown(adopted.conflicts)}), which were left as they "
                "are; copy into a store that nobody has used, or remove this one if everything in it is in the other.",
            )
    return written, found


def _shown(records: list[Record] | tuple[Record, ...]) -> str:
    more = ", …" if len(records) > MOST_SHOWN else ""
    return ", ".join(record.label for record in records[:MOST_SHOWN]) + more


def _tell(old: str, new: str | None, found: Counter[Status], written: int, *, json: bool) -> None:
    total = found.total()
    by_status = {status.value: found[status] for status in Status if found[status]}
    if json:
        document = {"from": old, "to": new, "actions": total, "written": written, "by_status": by_status}
        print(as_json(document | {"verified": new is not None}))
        return
    kinds = ", ".join(f"{number} {status}" for status, number in by_status.items()) or "none"
    if new is None:
        said = f"{safe(old)} has {count(total, 'action')} to copy: {kinds}. Nothing was written."
    else:
        before = f", {total - written} were there already" if written < total else ""
        said = f"{written} of {count(total, 'action')} written to {safe(new)}{before}; compared, all equal: {kinds}."
    console().print(said, soft_wrap=True)
