"""Opening a store's database, and making it where there is none.

Safe against the end of the process at any point, because each step is complete before the next begins, and the next to
open goes on from there: directory, lock file, empty database file, schema, secret file, the secret's check value. Only
a database that has its check value is complete; and a secret file is never written before the database has bytes, so
that a secret without a database means that the database has vanished.
"""

import hashlib
import hmac
import os
import re
import sqlite3
from contextlib import suppress
from importlib.resources import files as resources
from typing import Final

from samekey.errors import StoreFormatError
from samekey.stores import _sql
from samekey.stores._connection import Connect, Connection, read_write, set_up, untouched
from samekey.stores._errors import KEEP, NOTHING_SENT
from samekey.stores._files import Files, read_small, refuse_unfit, reserve, write_durably

SCHEMA: Final = 1

_CHECK: Final = "secret_check"
_MARKER: Final = b"given\n"
"""Stands in the secret file of a store whose secret is kept elsewhere."""


def open_database(files: Files, connect: Connect) -> Connection:
    """Opens the database, and makes it if there is none. The caller holds the lock file.

    Raises:
        StoreFormatError, StoreUnavailableError: see `refuse_unfit`, and what SQLite raises.
        sqlite3.Error, OSError: to be translated.
    """
    refuse_unfit(files)
    reserve(files)
    connection = connect(read_write(files.database))
    try:
        mode = set_up(connection)
        if mode != "wal":
            raise StoreFormatError(
                f"the store {files.shown} cannot use a write-ahead log here (journal mode {mode!r}), {NOTHING_SENT}; "
                "choose a path on a local disk."
            )
        if _is_empty(connection, files):
            _make_schema(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_foreign(files: Files, connect: Connect) -> None:
    """Looks into an existing file before anything is made beside it.

    Raises:
        StoreFormatError: it is not ours, or newer than us.
        sqlite3.Error: it is damaged, or cannot be read.
    """
    if not (os.path.isfile(files.database) and os.path.getsize(files.database)):
        return
    connection = connect(untouched(files.database))
    try:
        _is_empty(connection, files)
    except sqlite3.DatabaseError as error:
        # Between two pages of somebody's checkpoint a sound file looks damaged, and so does one whose making a power
        # loss has torn, until its journal is rolled back; with the lock it is read again.
        name = getattr(error, "sqlite_errorname", "")
        torn = os.path.lexists(f"{files.database}-journal")
        if not os.path.lexists(files.lock) or (name.startswith("SQLITE_NOTADB") and not torn):
            raise
    finally:
        connection.close()


def _is_empty(connection: Connection, files: Files) -> bool:
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == _sql.APPLICATION_ID:
        if version > SCHEMA:
            raise StoreFormatError(
                f"{files.shown} was written by a newer samekey (schema {version}, this one reads {SCHEMA}), "
                f"{NOTHING_SENT}; upgrade samekey, and {KEEP}."
            )
        return False
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application or version or tables:
        raise StoreFormatError(
            f"{files.shown} is the database of another program, {NOTHING_SENT}; give store= another path."
        )
    return True


def _make_schema(connection: Connection) -> None:
    """In one transaction, and under EXTRA: see `set_up`; with less, a power loss could take the file with it."""
    text = resources("samekey.stores").joinpath("sql/sqlite_schema.sql").read_text(encoding="utf-8")
    connection.execute("BEGIN IMMEDIATE")
    for statement in re.sub(r"^--.*\n", "", text, flags=re.MULTILINE).split("\n\n"):  # a trigger has more than one ";"
        if statement.strip():
            connection.execute(statement)
    connection.execute(_sql.SET_APPLICATION_ID).fetchall()
    connection.execute(f"PRAGMA user_version = {SCHEMA}").fetchall()
    connection.execute("COMMIT")


# --- the secret ----------------------------------------------------------------------------------------------


def is_bound(connection: Connection) -> bool:
    """Whether the store is bound to a secret already."""
    return connection.execute(_sql.META, (_CHECK,)).fetchone() is not None


def settle_secret(connection: Connection, files: Files, given: bytes | None, *, keep: bool = False) -> bytes:
    """Returns the store's secret, and binds a new store to one. The caller holds the lock file; EXTRA is on.

    Args:
        connection: to the database.
        files: where the store is.
        given: the fleet's secret, or None for the store's own.
        keep: whether a new store keeps the given one beside it, as it does its own.

    Raises:
        StoreFormatError: the store was made under another secret, or its secret is gone.
    """
    stored = _stored(files)
    row = connection.execute(_sql.META, (_CHECK,)).fetchone()
    if row is None:
        return _bind(connection, files, given, stored, keep=keep)
    secret = given if given is not None else stored
    if not secret:
        raise _without_secret(files, marked=stored is not None)
    if not hmac.compare_digest(_check_value(secret), str(row[0])):
        raise StoreFormatError(
            f"the store {files.shown} was made under another secret, under which its actions have other keys, "
            f"{NOTHING_SENT}; use the secret of that time (SAMEKEY_SECRET, or {files.secret}), or another store."
        )
    if stored is None:
        write_durably(files.secret, _MARKER)
    return secret


def _bind(connection: Connection, files: Files, given: bytes | None, stored: bytes | None, *, keep: bool) -> bytes:
    if connection.execute(_sql.ANY_ACTION).fetchone() is not None:
        raise StoreFormatError(
            f"the store {files.shown} is damaged (it has actions, but not what tells their secret), {NOTHING_SENT}; "
            f"restore it from a backup, and {KEEP}."
        )
    if given is not None:
        write_durably(files.secret, given.hex().encode() + b"\n" if keep else _MARKER)
        secret = given
    elif stored:
        secret = stored
    else:
        secret = os.urandom(32)
        write_durably(files.secret, secret.hex().encode() + b"\n")
    connection.execute(_sql.SET_META, (_CHECK, _check_value(secret)))
    return secret


def _stored(files: Files) -> bytes | None:
    """The secret beside the database: None if there is no such file, empty if it is only the marker."""
    text = read_small(files.secret)
    if text is None or text == _MARKER:
        return None if text is None else b""
    with suppress(ValueError):
        secret = bytes.fromhex(text.decode("ascii"))
        if len(secret) == 32:
            return secret
    raise StoreFormatError(
        f"{files.secret} is damaged, {NOTHING_SENT}; restore it from a backup: without it, keys would change."
    )


def _without_secret(files: Files, *, marked: bool) -> StoreFormatError:
    if marked:
        return StoreFormatError(
            f"the store {files.shown} was made under a secret that was given, {NOTHING_SENT}; set SAMEKEY_SECRET, or "
            "pass secret=."
        )
    return StoreFormatError(
        f"the store {files.shown} has lost its secret ({files.secret} is missing), {NOTHING_SENT}; restore that file: "
        "without it, keys would change."
    )


def _check_value(secret: bytes) -> str:
    return hmac.new(secret, b"samekey secret check", hashlib.sha256).hexdigest()
