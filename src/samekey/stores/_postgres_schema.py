"""Making, migrating and opening a store in PostgreSQL. Generators, as in `_postgres_verbs`.

Each change is one transaction under an advisory lock that ends with it, so that many processes may open a new store at
the same time, and a pooler may lie between.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Iterator
from importlib.resources import files as resources
from typing import Final

from samekey._core.values import fixed
from samekey.errors import StoreFormatError, StoreUnavailableError
from samekey.stores._errors import NOTHING_SENT
from samekey.stores._postgres_errors import KEEP
from samekey.stores._postgres_sql import Texts
from samekey.stores._postgres_verbs import BEGIN, COMMIT, ROLLBACK, Ask, Verb

_GIVEN: Final = "given"
"""Stands for the secret of a store whose secret is kept elsewhere."""

# Not to_regclass: it answers from what the session remembers, also after it has waited for somebody who made the table.
_TABLES: Final = """
SELECT relname::text FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = $1 AND relkind IN ('r', 'p')
"""


@fixed
class Opened:
    """A store that can be used.

    Attributes:
        store_id: names it, whatever its address.
        secret: what keys are derived from; empty for who only looks and was not told.
        claim_durable: whether the server has a commit on disk before it says so.
    """

    store_id: str
    secret: bytes
    claim_durable: bool


@fixed
class Migrated:
    """What a migration did: from which schema to which."""

    before: int
    after: int


def open_store(
    texts: Texts, location: str, given: bytes | None, *, asked: bool, create: bool, keep: bool = False
) -> Verb[Opened]:
    """Opens a store, and makes it if there is none.

    Args:
        texts: the statements.
        location: the store, for people.
        given: the fleet's secret; None for the store's own.
        asked: whether the secret is wanted; who only looks need not know it.
        create: whether a missing store is made.
        keep: whether a store that has no secret yet keeps the given one, as it does its own.

    Raises:
        StoreFormatError: it is not ours, older or newer than us, or was made under another secret.
        StoreUnavailableError: it is not there, and is not to be made.
    """
    version = yield from _version(texts, location)
    if version == 0:
        if not create:
            raise StoreUnavailableError(
                f"there is no store in schema {texts.schema} of {location}, {NOTHING_SENT}; run 'samekey migrate', which makes "
                f"it, or name another one."
            )
        yield from migrate_store(texts, location)
        version = yield from _version(texts, location)
    if version < newest():
        raise StoreFormatError(
            f"the store {location} was written by an older samekey (schema {version}, this one needs {newest()}), {NOTHING_SENT}; "
            f"run 'samekey migrate' once, while nobody uses the older one."
        )
    meta = yield from _meta(texts)
    secret = b""
    if asked or "secret_check" not in meta:
        if "secret_check" not in meta:
            meta = yield from _bind(texts, location, given, keep=keep)
        secret = _checked(meta, location, given)
    ((level, fsync, standbys),) = yield Ask(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('synchronous_standby_names')"
    )
    # "local" is durable on one machine; where a standby is to know of each commit first, it takes that back.
    durable = fsync == "on" and level != "off" and not (level == "local" and standbys)
    return Opened(meta["store_id"], secret, durable)


def migrate_store(texts: Texts, location: str) -> Verb[Migrated]:
    """Makes a store, or brings an older one to today's schema: one transaction.

    Raises:
        StoreFormatError: it is not ours, or newer than us.
    """
    yield BEGIN
    yield Ask("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", [f"samekey migrate {texts.schema}"])
    before = yield from _version(texts, location)
    if before == newest():
        yield ROLLBACK
        return Migrated(before, before)
    if not (yield Ask("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", [texts.schema])):
        yield Ask(f"CREATE SCHEMA {texts.schema}")
    yield Ask(f"SET LOCAL search_path TO {texts.schema}")
    for statement in _schema() if before == 0 else _since(before):
        yield Ask(statement)
    if before == 0:
        yield Ask(texts.set_meta, ["store_id", os.urandom(16).hex()])
        yield Ask(texts.set_meta, ["schema", str(newest())])
    else:
        yield Ask(texts.update_meta, ["schema", str(newest())])
    yield COMMIT
    return Migrated(before, newest())


def is_there(texts: Texts, location: str) -> Verb[bool]:
    """Whether there is a store; makes none."""
    return (yield from _version(texts, location)) != 0


def _version(texts: Texts, location: str) -> Verb[int]:
    """The schema of a store; 0 if there is none."""
    tables = {name for (name,) in (yield Ask(_TABLES, [texts.schema]))}
    meta, actions = "meta" in tables, "actions" in tables
    if not meta and not actions:
        return 0
    rows = (yield Ask(texts.meta, ["schema"])) if meta else []
    if not rows or not rows[0][0].isdecimal():
        raise StoreFormatError(
            f"the schema {texts.schema} of {location} belongs to another program, {NOTHING_SENT}; give the store another schema=."
        )
    version = int(rows[0][0])
    if version > newest():
        raise StoreFormatError(
            f"the store {location} was written by a newer samekey (schema {version}, this one reads {newest()}), {NOTHING_SENT}; "
            f"upgrade samekey, and {KEEP}."
        )
    return version


# --- the secret ----------------------------------------------------------------------------------------------


def _meta(texts: Texts) -> Verb[dict[str, str]]:
    rows = yield Ask(texts.all_meta)
    return {name: value for name, value in rows}  # noqa: C416 - rows are no pairs to the type checker


def _bind(texts: Texts, location: str, given: bytes | None, *, keep: bool) -> Verb[dict[str, str]]:
    """Binds a new store to a secret: the first one that gets there; the others are compared with it."""
    if (yield Ask(texts.any_action)):
        raise StoreFormatError(
            f"the store {location} is damaged (it has actions, but not what tells their secret), {NOTHING_SENT}; restore it "
            f"from a backup, and {KEEP}."
        )
    secret = os.urandom(32) if given is None else given
    yield BEGIN
    yield Ask("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", [f"samekey secret {texts.schema}"])
    meta = yield from _meta(texts)
    if "secret_check" not in meta:
        yield Ask(texts.set_meta, ["secret", secret.hex() if given is None or keep else _GIVEN])
        yield Ask(texts.set_meta, ["secret_check", check_value(secret)])
        meta = yield from _meta(texts)
    yield COMMIT
    return meta


def _checked(meta: dict[str, str], location: str, given: bytes | None) -> bytes:
    kept = meta.get("secret", _GIVEN)
    if given is None and kept == _GIVEN:
        raise StoreFormatError(
            f"the store {location} was made under a secret that was given, {NOTHING_SENT}; set SAMEKEY_SECRET, or pass secret=."
        )
    secret = given if given is not None else bytes.fromhex(kept)
    if not hmac.compare_digest(check_value(secret), meta["secret_check"]):
        raise StoreFormatError(
            f"the store {location} was made under another secret, under which its actions have other keys, {NOTHING_SENT}; use "
            f"the secret of that time (SAMEKEY_SECRET), or another store."
        )
    return secret


def check_value(secret: bytes) -> str:
    """Tells a secret from another without giving it away (R13)."""
    return hmac.new(secret, b"samekey secret check", hashlib.sha256).hexdigest()


# --- the files -----------------------------------------------------------------------------------------------


def migrations() -> list[str]:
    """The names of all migrations, in order."""
    folder = resources("samekey.stores").joinpath("sql/postgres")
    return sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))


def newest() -> int:
    """The schema that this version reads and writes."""
    return len(migrations())


def statements(name: str) -> Iterator[str]:
    """The statements of a file of `sql/`."""
    text = resources("samekey.stores").joinpath("sql", name).read_text(encoding="utf-8")
    for statement in re.sub(r"^\s*--.*\n", "", text, flags=re.MULTILINE).split(";"):
        if statement.strip():
            yield statement


def _schema() -> Iterator[str]:
    return statements("postgres_schema.sql")


def _since(version: int) -> Iterator[str]:
    for name in migrations()[version:]:
        yield from statements(f"postgres/{name}")
