"""Where a store in PostgreSQL is, as the user wrote it, and how to get there."""

import re
from dataclasses import field
from typing import Any, Final
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from samekey._core.values import fixed
from samekey.errors import UsageError
from samekey.stores._postgres_codec import CONTEXT

CONNECT_SECONDS: Final = 10
"""How long to wait for a connection, unless the address says something else."""

OWN: Final = frozenset({"schema", "prepare", "listen"})
"""Options of a store's URL that are ours."""

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_KEEPALIVES: Final = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""A server whose machine has vanished closes no connection: seconds, seconds, tries, milliseconds."""


@fixed
class Address:
    """A checked address.

    Attributes:
        conninfo: for libpq, with the password.
        schema: the schema that holds the tables.
        location: for people, without a password.
        password: to be kept out of sentences.
        prepare: whether statements are prepared on the server; None where it depends on what is in between.
    """

    conninfo: str = field(repr=False)
    schema: str
    location: str
    password: str | None = field(repr=False)
    prepare: bool | None

    @classmethod
    def of(cls, text: str, *, schema: str, prepare: bool | None) -> "Address":
        """Reads a URL or a list of `name=value`.

        Raises:
            UsageError: it is none, or the schema's name is not a plain one.
        """
        if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
            raise UsageError(
                f"schema={schema!r} is no plain name; give at most 40 of a-z, 0-9 and _, not beginning with a digit."
            )
        if not text.strip():
            raise UsageError("a PostgresStore needs an address; give postgresql://user@host/database.")
        try:
            given = conninfo_to_dict(text)
        except psycopg.Error:
            # Not from it: libpq repeats what it could not read, and a password may be in it.
            raise UsageError(
                "the address of the store is none that PostgreSQL reads; give postgresql://user@host/database."
            ) from None
        defaults: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "samekey", **_KEEPALIVES}
        conninfo = make_conninfo(**{**defaults, **given})
        password = given.get("password")
        return cls(conninfo, schema, _shown(given, schema), str(password) if password else None, prepare)

    def options(self, cursor: type, *, direct: bool = False) -> dict[str, Any]:
        """What `connect` is told beside the address.

        Args:
            cursor: the kind that takes `$1`.
            direct: whether the sessions are the server's own.
        """
        # A pooler that lends a server's session for one transaction knows no statement prepared in another.
        threshold = 5 if (direct if self.prepare is None else self.prepare) else None
        return {"autocommit": True, "prepare_threshold": threshold, "context": CONTEXT, "cursor_factory": cursor}


def split_url(url: str) -> tuple[str, dict[str, str]]:
    """A URL without what libpq does not know, and that."""
    before, mark, query = url.partition("?")
    own: dict[str, str] = {}
    left = []
    for part in query.split("&") if mark else ():
        name, _, value = part.partition("=")
        if name in OWN:
            own[name] = unquote(value)
        else:
            left.append(part)
    return before + ("?" + "&".join(left) if left else ""), own


def _shown(given: dict[str, Any], schema: str) -> str:
    hosts = str(given.get("host") or given.get("hostaddr") or "").split(",")
    ports = str(given.get("port") or "").split(",")
    where = ",".join(
        quote(host, safe="") + (f":{port}" if (port := ports[min(number, len(ports) - 1)]) else "")
        for number, host in enumerate(hosts)
    )
    user = f"{quote(str(given['user']), safe='')}@" if given.get("user") else ""
    database = quote(str(given.get("dbname") or given.get("user") or ""), safe="")
    return f"postgresql://{user}{where}/{database}" + (f"?schema={schema}" if schema != "samekey" else "")
