"""The texts of all statements of the PostgreSQL store, for one schema of a database.

Built from the names of `Record`'s fields and the schema's checked name, and from nothing else; values are always
parameters. Every table is named with its schema, so that no session has to be prepared. `$1` and so on are those of
the protocol.
"""
# ruff: noqa: S608 - built from constants of this module alone

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from samekey.stores._postgres_codec import TYPES
from samekey.stores._rows import FIELDS
from samekey.stores._rulings import ERASED
from samekey.stores._sql import SETTLED_FIELDS

_COLUMNS: Final = ", ".join(FIELDS)
_SETTLED: Final = "('succeeded', 'rejected', 'abandoned')"

RENEWED_FIELDS: Final = (
    "status",
    "open_attempts",
    "holder",
    "fence",
    "lease_expires_at",
    "claim_nonce",
    "last_seen_at",
)
"""What a renewal sets, beside the number of attempts."""

ERASED_FIELDS: Final = tuple(ERASED)


def _place(number: int, name: str) -> str:
    return f"${number}::{TYPES.get(name, 'text')}"


def _places(names: Iterable[str], first: int = 1) -> str:
    return ", ".join(_place(number, name) for number, name in enumerate(names, first))


def _sets(names: Iterable[str], first: int = 1) -> str:
    return ", ".join(f"{name} = {_place(number, name)}" for number, name in enumerate(names, first))


def _parameter(name: str) -> str:
    return _place(FIELDS.index(name) + 1, name)


# The lease is as long as the sender believes; when it ends, is the store's clock to say.
_LEASE: Final = f"now() + ({_parameter('lease_expires_at')} - {_parameter('last_seen_at')})"
_FIRST_SENT: Final = f"CASE WHEN {_parameter('first_sent_at')} IS NULL THEN NULL ELSE now() END"


_SCHEMA: Final = "SCHEMA"
"""Stands for the schema's name in the table of texts; no schema that is permitted is called so."""

_ACTIONS, _EVENTS, _OPERATIONS, _META = (f"{_SCHEMA}.{name}" for name in ("actions", "events", "operations", "meta"))

# $1, $2: the key's start and its end; statuses as an array, operation, actor, origin; $7: limit, NULL for none.
_WAYS: Final = {
    "key": "idempotency_key >= $1::text AND idempotency_key < $2::text AND",
    "unsettled": "completed_at IS NULL AND $1::text IS NULL AND $2::text IS NULL AND",
    "all": "$1::text IS NULL AND $2::text IS NULL AND",
}
_FILTERS: Final = """
($3::text[] IS NULL OR status = ANY ($3::text[])) AND ($4::text IS NULL OR operation_name = $4::text)
AND ($5::text IS NULL OR actor_id = $5::text) AND ($6::text IS NULL OR origin = $6::text)
"""


def channel(schema: str) -> str:
    """Where those listen who wait for a holder."""
    return f"samekey_{schema}"


class Texts:
    """The statements: a table of texts, into which the name of a schema is put.

    Args:
        schema: the name of a schema, checked.
    """

    def __init__(self, schema: str) -> None:
        self.schema: str = schema
        for name, text in vars(Texts).items():
            if isinstance(text, str) and not name.startswith("_"):
                setattr(self, name, text.replace(_SCHEMA, schema))
        self.find = {way: text.replace(_SCHEMA, schema) for way, text in Texts.find.items()}

    _after = len(FIELDS)
    _found = (
        f"{_COLUMNS}, extract(epoch FROM clock_timestamp() - first_sent_by_store)::double precision, "
        "extract(epoch FROM lease_until - clock_timestamp())::double precision, "
        f"(SELECT created_at FROM {_ACTIONS} ORDER BY id DESC LIMIT 1)"
    )
    _wake = f"pg_notify('{channel(_SCHEMA)}', identity)"
    _tell = f"INSERT INTO {_EVENTS} (idempotency_key, at, kind, detail)"

    _inserted = f"INSERT INTO {_ACTIONS} ({_COLUMNS}, first_sent_by_store, lease_until)"
    _fresh = f"{_places(FIELDS)}, {_FIRST_SENT}, {_LEASE}"
    # Without naming the index: of two equal claims at once, the second may meet the first at any of them.
    claim: str = f"{_inserted} VALUES ({_fresh}) ON CONFLICT DO NOTHING RETURNING 1"
    """The first claim of an identity. It has generation 1, which is there if any later one is: no row ever goes."""

    _names, _operation = f"${_after + 1}::text", _parameter("operation_name")
    claim_and_names: str = f"""
        WITH known AS (SELECT scope_names FROM {_OPERATIONS} WHERE name = {_operation}),
        added AS (
            INSERT INTO {_OPERATIONS} (name, scope_names)
            SELECT {_operation}, {_names} WHERE NOT EXISTS (SELECT 1 FROM known)
            ON CONFLICT DO NOTHING RETURNING 1
        ), claimed AS (
            {_inserted} SELECT {_fresh}
            WHERE EXISTS (SELECT 1 FROM known WHERE scope_names = {_names}) OR EXISTS (SELECT 1 FROM added)
            ON CONFLICT DO NOTHING RETURNING 1
        )
        SELECT (SELECT scope_names FROM known), EXISTS (SELECT 1 FROM added), EXISTS (SELECT 1 FROM claimed)
    """
    """The same for an operation whose scope names this process has not read yet; `{_names}` are the claim's."""

    revive: str = f"""
        UPDATE {_ACTIONS} SET {_sets(FIELDS)}, first_sent_by_store = {_FIRST_SENT}, lease_until = {_LEASE}
        WHERE identity = {_parameter("identity")} AND generation = {_parameter("generation")}
    """
    rewrite: str = f"""
        UPDATE {_ACTIONS} SET {_sets(FIELDS)}
        WHERE identity = {_parameter("identity")} AND generation = {_parameter("generation")}
    """
    scope_names: str = f"SELECT scope_names FROM {_OPERATIONS} WHERE name = $1"
    add_operation: str = f"INSERT INTO {_OPERATIONS} (name, scope_names) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    duplicate: str = f"""
        SELECT {_COLUMNS} FROM {_ACTIONS}
        WHERE guarded AND operation_name = $1 AND request_fingerprint = $2 AND identity <> $3
            AND coalesce(first_sent_at, created_at) >= $4
        ORDER BY id DESC LIMIT 1
    """
    # Two claims of one payload must see each other; the lock ends with its transaction, so poolers allow it.
    one_by_one: str = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"

    _first = len(RENEWED_FIELDS) + 1
    _where = (
        f"identity = ${_first}::text AND generation = ${_first + 1}::integer AND fence = ${_first + 2}::integer "
        f"AND status = ${_first + 3}::text"
    )
    _latest = (
        f"NOT EXISTS (SELECT 1 FROM {_ACTIONS} later WHERE later.identity = ${_first}::text "
        f"AND later.generation > ${_first + 1}::integer)"
    )
    _renewed = f"""
        UPDATE {_ACTIONS} SET {_sets(RENEWED_FIELDS)}, attempts = attempts + 1,
        lease_until = now() + ({_place(5, "lease_expires_at")} - {_place(7, "last_seen_at")})
        WHERE {_where} AND (${_first + 4}::text IS NULL OR holder = ${_first + 4}::text)
        AND (${_first + 5}::integer IS NULL OR attempts = ${_first + 5}::integer) AND {_latest}
        RETURNING {_COLUMNS}, awaited
    """
    renew: str = f"""
        WITH done AS ({_renewed}), told AS (
            {_tell} SELECT idempotency_key, ${_first + 6}::timestamptz, ${_first + 7}::text, ${_first + 8}::text
            FROM done WHERE ${_first + 7}::text IS NOT NULL
        )
        SELECT {_COLUMNS}, CASE WHEN awaited THEN {_wake} END FROM done
    """

    _past = len(SETTLED_FIELDS) + 1
    _settled = f"""
        UPDATE {_ACTIONS} SET {_sets(SETTLED_FIELDS)}
        WHERE identity = ${_past}::text AND generation = ${_past + 1}::integer AND fence = ${_past + 2}::integer
        AND status = ${_past + 3}::text AND holder IS NOT DISTINCT FROM ${_past + 4}::text
        AND claim_nonce = ${_past + 5}::text
        AND NOT EXISTS (SELECT 1 FROM {_ACTIONS} later WHERE later.identity = ${_past}::text
                        AND later.generation > ${_past + 1}::integer)
        RETURNING identity, idempotency_key, awaited
    """
    # set_config(…, true) holds for this transaction only: the statement itself, which is over with its commit.
    _answer = f"""
        SELECT CASE WHEN ${_past + 6}::boolean THEN set_config('synchronous_commit', 'off', true) END,
        CASE WHEN awaited THEN {_wake} END FROM done
    """
    settle: str = f"WITH done AS ({_settled}) {_answer}"
    settle_told: str = f"""
        WITH done AS ({_settled}), told AS (
            {_tell} SELECT idempotency_key, ${_past + 7}::timestamptz, ${_past + 8}::text, ${_past + 9}::text FROM done
        ) {_answer}
    """

    # The row of the first generation stands for all of an identity: who has locked it sees them all, to come included.
    lock: str = f"SELECT 1 FROM {_ACTIONS} WHERE identity = $1 AND generation = 1 FOR UPDATE"
    generations: str = f"SELECT {_found} FROM {_ACTIONS} WHERE identity = $1 ORDER BY generation FOR UPDATE"
    highest: str = f"SELECT {_found} FROM {_ACTIONS} WHERE identity = $1 ORDER BY generation DESC LIMIT 1"
    version: str = (
        f"SELECT generation, fence, status FROM {_ACTIONS} WHERE identity = $1 ORDER BY generation DESC LIMIT 1"
    )
    await_it: str = f"""
        UPDATE {_ACTIONS} SET awaited = true
        WHERE identity = $1 AND generation = $2 AND fence = $3 AND status = $4 AND NOT awaited
    """
    wake: str = f"SELECT {_wake} FROM {_ACTIONS} WHERE identity = $1 AND awaited LIMIT 1"

    _count = len(ERASED_FIELDS)
    purge: str = f"""
        WITH due AS (
            SELECT id FROM {_ACTIONS} WHERE expires_at <= ${_count + 1}::timestamptz AND status IN {_SETTLED}
            AND request_fingerprint <> '' ORDER BY expires_at, id LIMIT ${_count + 2}::bigint FOR UPDATE SKIP LOCKED
        ), turned AS (
            UPDATE {_ACTIONS} SET {_sets(ERASED_FIELDS)},
            last_seen_at = greatest(last_seen_at, ${_count + 1}::timestamptz)
            FROM due WHERE actions.id = due.id RETURNING actions.idempotency_key
        ), forgotten AS (
            DELETE FROM {_EVENTS} USING turned WHERE events.idempotency_key = turned.idempotency_key
        ), told AS (
            {_tell} SELECT idempotency_key, ${_count + 1}::timestamptz, ${_count + 3}::text, '' FROM turned
        )
        SELECT count(*) FROM turned
    """

    add_event: str = f"{_tell} VALUES ($1, $2, $3, $4)"
    note: str = f"""
        WITH told AS ({_tell} VALUES ($1::text, $2::timestamptz, $3::text, $4::text)),
        seen AS (
            UPDATE {_ACTIONS} SET last_seen_at = $2::timestamptz
            WHERE idempotency_key = $1::text AND last_seen_at < $2::timestamptz
        )
        SELECT set_config('synchronous_commit', 'off', true)
    """
    events: str = f"SELECT at, kind, detail FROM {_EVENTS} WHERE idempotency_key = $1 ORDER BY id"
    find: Mapping[tuple[str, bool], str] = {
        (way, newest): f"SELECT {_COLUMNS} FROM {_ACTIONS} WHERE {narrow} {_FILTERS} "
        f"ORDER BY id {'DESC' if newest else 'ASC'} LIMIT $7"
        for way, narrow in _WAYS.items()
        for newest in (False, True)
    }
    """The statement of `find` by what narrows it most, and its order."""

    operations: str = f"SELECT name, scope_names FROM {_OPERATIONS} ORDER BY name"
    after: str = f"SELECT id, {_COLUMNS} FROM {_ACTIONS} WHERE id > $1 ORDER BY id LIMIT $2"
    events_of: str = (
        f"SELECT idempotency_key, at, kind, detail FROM {_EVENTS} WHERE idempotency_key = ANY ($1::text[]) ORDER BY id"
    )
    # Of what another store knew, the sender's own clock is all that there is.
    _by_sender = f"{_parameter('first_sent_at')}, {_parameter('lease_expires_at')}"
    adopt: str = f"{_inserted} VALUES ({_places(FIELDS)}, {_by_sender}) ON CONFLICT DO NOTHING RETURNING 1"
    same: str = f"""
        SELECT {_COLUMNS} FROM {_ACTIONS} WHERE identity = $1 AND generation = $2 OR idempotency_key = $3 ORDER BY id
    """

    condition: str = (
        "SELECT current_setting('server_version'), clock_timestamp(), "
        f"(SELECT created_at FROM {_ACTIONS} ORDER BY id DESC LIMIT 1)"
    )

    meta: str = f"SELECT value FROM {_META} WHERE name = $1"
    set_meta: str = f"INSERT INTO {_META} (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
    all_meta: str = f"SELECT name, value FROM {_META}"
    update_meta: str = f"UPDATE {_META} SET value = $2 WHERE name = $1"
    any_action: str = f"SELECT 1 FROM {_ACTIONS} LIMIT 1"


@lru_cache(maxsize=64)
def texts(schema: str) -> Texts:
    """The statements for a schema."""
    return Texts(schema)
