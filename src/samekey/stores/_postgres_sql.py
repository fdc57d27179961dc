"""The texts of all statements of the PostgreSQL store, for one schema of a database.

Built from the names of `Record`'s fields and the schema's checked name, and from nothing else; values are always
parameters. Every table is named with its schema, so that no session has to be prepared. `$1` and so on are those of
the protocol.
"""
# ruff: noqa: S608 - built from constants of this module alone

from collections.abc import Iterable
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


class Texts:
    """The statements.

    Args:
        schema: the name of a schema, checked.
    """

    def __init__(self, schema: str) -> None:
        self.schema: str = schema
        actions, events, operations = f"{schema}.actions", f"{schema}.events", f"{schema}.operations"
        after = len(FIELDS)
        found = (
            f"{_COLUMNS}, extract(epoch FROM clock_timestamp() - first_sent_by_store)::double precision, "
            "extract(epoch FROM lease_until - clock_timestamp())::double precision, "
            f"(SELECT created_at FROM {actions} ORDER BY id DESC LIMIT 1)"
        )
        wake = f"pg_notify('{channel(schema)}', identity)"
        tell = f"INSERT INTO {events} (idempotency_key, at, kind, detail)"

        inserted = f"INSERT INTO {actions} ({_COLUMNS}, first_sent_by_store, lease_until)"
        fresh = f"{_places(FIELDS)}, {_FIRST_SENT}, {_LEASE}"
        # Without naming the index: of two equal claims at once, the second may meet the first at any of them.
        self.claim = f"{inserted} VALUES ({fresh}) ON CONFLICT DO NOTHING RETURNING 1"
        """The first claim of an identity. It has generation 1, which is there if any later one is: no row ever goes."""

        names, operation = f"${after + 1}::text", _parameter("operation_name")
        self.claim_and_names = f"""
            WITH known AS (SELECT scope_names FROM {operations} WHERE name = {operation}),
            added AS (
                INSERT INTO {operations} (name, scope_names)
                SELECT {operation}, {names} WHERE NOT EXISTS (SELECT 1 FROM known)
                ON CONFLICT DO NOTHING RETURNING 1
            ), claimed AS (
                {inserted} SELECT {fresh}
                WHERE EXISTS (SELECT 1 FROM known WHERE scope_names = {names}) OR EXISTS (SELECT 1 FROM added)
                ON CONFLICT DO NOTHING RETURNING 1
            )
            SELECT (SELECT scope_names FROM known), EXISTS (SELECT 1 FROM added), EXISTS (SELECT 1 FROM claimed)
        """
        """The same for an operation whose scope names this process has not read yet; `{names}` are the claim's."""

        self.revive = f"""
            UPDATE {actions} SET {_sets(FIELDS)}, first_sent_by_store = {_FIRST_SENT}, lease_until = {_LEASE}
            WHERE identity = {_parameter("identity")} AND generation = {_parameter("generation")}
        """
        self.rewrite = f"""
            UPDATE {actions} SET {_sets(FIELDS)}
            WHERE identity = {_parameter("identity")} AND generation = {_parameter("generation")}
        """
        self.scope_names = f"SELECT scope_names FROM {operations} WHERE name = $1"
        self.add_operation = f"INSERT INTO {operations} (name, scope_names) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        self.duplicate = f"""
            SELECT {_COLUMNS} FROM {actions}
            WHERE guarded AND operation_name = $1 AND request_fingerprint = $2 AND identity <> $3 AND created_at >= $4
            ORDER BY id DESC LIMIT 1
        """
        # Two claims of one payload must see each other; the lock ends with its transaction, so poolers allow it.
        self.one_by_one = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"

        first = len(RENEWED_FIELDS) + 1
        where = (
            f"identity = ${first}::text AND generation = ${first + 1}::integer AND fence = ${first + 2}::integer "
            f"AND status = ${first + 3}::text"
        )
        latest = (
            f"NOT EXISTS (SELECT 1 FROM {actions} later WHERE later.identity = ${first}::text "
            f"AND later.generation > ${first + 1}::integer)"
        )
        renewed = f"""
            UPDATE {actions} SET {_sets(RENEWED_FIELDS)}, attempts = attempts + 1,
            lease_until = now() + ({_place(5, "lease_expires_at")} - {_place(7, "last_seen_at")})
            WHERE {where} AND (${first + 4}::text IS NULL OR holder = ${first + 4}::text)
            AND (${first + 5}::integer IS NULL OR attempts = ${first + 5}::integer) AND {latest}
            RETURNING {_COLUMNS}, awaited
        """
        self.renew = f"""
            WITH done AS ({renewed}), told AS (
                {tell} SELECT idempotency_key, ${first + 6}::timestamptz, ${first + 7}::text, ${first + 8}::text
                FROM done WHERE ${first + 7}::text IS NOT NULL
            )
            SELECT {_COLUMNS}, CASE WHEN awaited THEN {wake} END FROM done
        """

        first = len(SETTLED_FIELDS) + 1
        settled = f"""
            UPDATE {actions} SET {_sets(SETTLED_FIELDS)}
            WHERE identity = ${first}::text AND generation = ${first + 1}::integer AND fence = ${first + 2}::integer
            AND status = ${first + 3}::text AND holder IS NOT DISTINCT FROM ${first + 4}::text
            AND claim_nonce = ${first + 5}::text
            AND NOT EXISTS (SELECT 1 FROM {actions} later WHERE later.identity = ${first}::text
                            AND later.generation > ${first + 1}::integer)
            RETURNING identity, idempotency_key, awaited
        """
        # set_config(…, true) holds for this transaction only: the statement itself, which is over with its commit.
        answer = f"""
            SELECT CASE WHEN ${first + 6}::boolean THEN set_config('synchronous_commit', 'off', true) END,
            CASE WHEN awaited THEN {wake} END FROM done
        """
        self.settle = f"WITH done AS ({settled}) {answer}"
        self.settle_told = f"""
            WITH done AS ({settled}), told AS (
                {tell} SELECT idempotency_key, ${first + 7}::timestamptz, ${first + 8}::text, ${first + 9}::text FROM done
            ) {answer}
        """

        # The row of the first generation stands for all of an identity: who has locked it sees them all, to come included.
        self.lock = f"SELECT 1 FROM {actions} WHERE identity = $1 AND generation = 1 FOR UPDATE"
        self.generations = f"SELECT {found} FROM {actions} WHERE identity = $1 ORDER BY generation FOR UPDATE"
        self.highest = f"SELECT {found} FROM {actions} WHERE identity = $1 ORDER BY generation DESC LIMIT 1"
        self.version = (
            f"SELECT generation, fence, status FROM {actions} WHERE identity = $1 ORDER BY generation DESC LIMIT 1"
        )
        self.await_it = f"""
            UPDATE {actions} SET awaited = true
            WHERE identity = $1 AND generation = $2 AND fence = $3 AND status = $4 AND NOT awaited
        """
        self.wake = f"SELECT {wake} FROM {actions} WHERE identity = $1 AND awaited LIMIT 1"

        count = len(ERASED_FIELDS)
        self.purge = f"""
            WITH due AS (
                SELECT id FROM {actions} WHERE expires_at <= ${count + 1}::timestamptz AND status IN {_SETTLED}
                AND request_fingerprint <> '' ORDER BY expires_at, id LIMIT ${count + 2}::bigint FOR UPDATE SKIP LOCKED
            ), turned AS (
                UPDATE {actions} SET {_sets(ERASED_FIELDS)},
                last_seen_at = greatest(last_seen_at, ${count + 1}::timestamptz)
                FROM due WHERE actions.id = due.id RETURNING actions.idempotency_key
            ), forgotten AS (
                DELETE FROM {events} USING turned WHERE events.idempotency_key = turned.idempotency_key
            ), told AS (
                {tell} SELECT idempotency_key, ${count + 1}::timestamptz, ${count + 3}::text, '' FROM turned
            )
            SELECT count(*) FROM turned
        """

        self.add_event = f"{tell} VALUES ($1, $2, $3, $4)"
        self.note = f"""
            WITH told AS ({tell} VALUES ($1::text, $2::timestamptz, $3::text, $4::text)),
            seen AS (
                UPDATE {actions} SET last_seen_at = $2::timestamptz
                WHERE idempotency_key = $1::text AND last_seen_at < $2::timestamptz
            )
            SELECT set_config('synchronous_commit', 'off', true)
        """
        self.events = f"SELECT at, kind, detail FROM {events} WHERE idempotency_key = $1 ORDER BY id"
        self.find = {
            (way, newest): f"SELECT {_COLUMNS} FROM {actions} WHERE {narrow} {_FILTERS} "
            f"ORDER BY id {'DESC' if newest else 'ASC'} LIMIT $7"
            for way, narrow in _WAYS.items()
            for newest in (False, True)
        }
        """The statement of `find` by what narrows it most, and its order."""

        self.operations = f"SELECT name, scope_names FROM {operations} ORDER BY name"
        self.after = f"SELECT id, {_COLUMNS} FROM {actions} WHERE id > $1 ORDER BY id LIMIT $2"
        self.events_of = f"SELECT idempotency_key, at, kind, detail FROM {events} WHERE idempotency_key = ANY ($1::text[]) ORDER BY id"
        # Of what another store knew, the sender's own clock is all that there is.
        by_sender = f"{_parameter('first_sent_at')}, {_parameter('lease_expires_at')}"
        self.adopt = f"{inserted} VALUES ({_places(FIELDS)}, {by_sender}) ON CONFLICT DO NOTHING RETURNING 1"
        self.same = f"""
            SELECT {_COLUMNS} FROM {actions} WHERE identity = $1 AND generation = $2 OR idempotency_key = $3 ORDER BY id
        """

        self.condition = (
            "SELECT current_setting('server_version'), clock_timestamp(), "
            f"(SELECT created_at FROM {actions} ORDER BY id DESC LIMIT 1)"
        )

        self.meta = f"SELECT value FROM {schema}.meta WHERE name = $1"
        self.set_meta = f"INSERT INTO {schema}.meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        self.all_meta = f"SELECT name, value FROM {schema}.meta"
        self.update_meta = f"UPDATE {schema}.meta SET value = $2 WHERE name = $1"
        self.any_action = f"SELECT 1 FROM {actions} LIMIT 1"


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


@lru_cache(maxsize=64)
def texts(schema: str) -> Texts:
    """The statements for a schema."""
    return Texts(schema)
