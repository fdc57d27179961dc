"""The texts of all statements. They are constant: SQLite keeps prepared what it has seen before.

Built from the names of `Record`'s fields and from nothing else; values are always parameters.
"""
# ruff: noqa: S608 - built from constants of this module alone, which a test looks at

from typing import Final

from samekey.stores._rows import FIELDS

_COLUMNS: Final = ", ".join(FIELDS)
_PLACES: Final = ", ".join(f"?{number}" for number in range(1, len(FIELDS) + 1))
_IDENTITY: Final = f"?{FIELDS.index('identity') + 1}"
_SELECT: Final = f"SELECT {_COLUMNS} FROM actions"

# Literally the condition of the partial index, or SQLite would not use it.
_OPEN: Final = "completed_at IS NULL"

ROOM: Final = 1024
"""Bytes that a claim keeps free for its answer: most answers to a create, and the digests of its fields."""

INSERT: Final = f"INSERT INTO actions ({_COLUMNS}, room) VALUES ({_PLACES}, zeroblob({ROOM}))"

# The first claim of an identity, in one statement: its row count says whether there was none. It has generation 1,
# which is there if any later one is: no row ever goes.
CLAIM: Final = f"""
{INSERT}
ON CONFLICT (identity, generation) DO NOTHING
"""

# A whole row over the one of the same identity and generation; the parameters are those of INSERT.
REWRITE: Final = f"""
UPDATE actions SET {", ".join(f"{name} = ?{number}" for number, name in enumerate(FIELDS, 1))}, room = NULL
WHERE identity = {_IDENTITY} AND generation = ?{FIELDS.index("generation") + 1}
"""

# The usual settlement, compare and set in one statement. Its first parameters are those of `SETTLED_FIELDS`.
SETTLED_FIELDS: Final = (
    "status",
    "holder",
    "last_seen_at",
    "open_attempts",
    "completed_at",
    "expires_at",
    "reason",
    "field_digests",
    "frozen_request",
    "first_sent_at",
    "boot_id",
    "boot_time",
    "error_summary",
    "window_seconds",
    "response_status",
    "response_headers",
    "response_body",
    "response_reference",
)
_AFTER: Final = len(SETTLED_FIELDS)
SETTLE: Final = f"""
UPDATE actions SET {", ".join(f"{name} = ?{number}" for number, name in enumerate(SETTLED_FIELDS, 1))}, room = NULL
WHERE identity = ?{_AFTER + 1} AND generation = ?{_AFTER + 2}
AND fence = ?{_AFTER + 3} AND status = ?{_AFTER + 4} AND holder IS ?{_AFTER + 5}
AND claim_nonce = ?{_AFTER + 6}
AND NOT EXISTS (SELECT 1 FROM actions WHERE identity = ?{_AFTER + 1} AND generation > ?{_AFTER + 2})
"""

HIGHEST: Final = f"{_SELECT} WHERE identity = ?1 ORDER BY generation DESC LIMIT 1"
GENERATIONS: Final = f"{_SELECT} WHERE identity = ?1 ORDER BY generation"
VERSION_OF: Final = "SELECT generation, fence, status FROM actions WHERE identity = ?1 ORDER BY generation DESC LIMIT 1"
LATEST_TIME: Final = "SELECT max(last_seen_at) FROM actions"
NEWEST_TIME: Final = "SELECT created_at FROM actions ORDER BY id DESC LIMIT 1"
ANY_ACTION: Final = "SELECT 1 FROM actions LIMIT 1"

DUPLICATE: Final = f"""
{_SELECT} INDEXED BY actions_guarded
WHERE guarded = 1 AND operation_name = ?1 AND request_fingerprint = ?2 AND identity <> ?3 AND created_at >= ?4
ORDER BY id DESC LIMIT 1
"""

DUE: Final = f"""
{_SELECT} WHERE expires_at <= ?1 AND status IN ('succeeded', 'rejected', 'abandoned') AND request_fingerprint <> ''
ORDER BY id LIMIT ?2
"""

CONTENTS: Final = f"""
SELECT id, {_COLUMNS} FROM actions
WHERE id > ?1 AND (frozen_request IS NOT NULL OR response_body IS NOT NULL OR response_headers <> '[]')
ORDER BY id LIMIT ?2
"""

ADD_EVENT: Final = "INSERT INTO events (idempotency_key, at, kind, detail) VALUES (?1, ?2, ?3, ?4)"
EVENTS: Final = "SELECT at, kind, detail FROM events WHERE idempotency_key = ?1 ORDER BY id"
FORGET_EVENTS: Final = "DELETE FROM events WHERE idempotency_key = ?1"
SEEN: Final = "UPDATE actions SET last_seen_at = max(last_seen_at, ?2) WHERE idempotency_key = ?1"

SCOPE_NAMES: Final = "SELECT scope_names FROM operations WHERE name = ?1"
ADD_OPERATION: Final = "INSERT INTO operations (name, scope_names) VALUES (?1, ?2)"

OPERATIONS: Final = "SELECT name, scope_names FROM operations"

# To move records from one store to another.
AFTER: Final = f"SELECT id, {_COLUMNS} FROM actions WHERE id > ?1 ORDER BY id LIMIT ?2"
SAME: Final = f"{_SELECT} WHERE (identity = ?1 AND generation = ?2) OR idempotency_key = ?3"

META: Final = "SELECT value FROM meta WHERE name = ?1"
SET_META: Final = "INSERT INTO meta (name, value) VALUES (?1, ?2)"

TRUNCATE: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
RESTART: Final = "PRAGMA wal_checkpoint(RESTART)"
PASSIVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"

# ?1 to ?6: the key's start and its end, statuses as ",a,b,", operation, actor, origin; ?7: limit, -1 for none.
_FILTERS: Final = """
(?3 IS NULL OR instr(?3, ',' || status || ',') > 0) AND (?4 IS NULL OR operation_name = ?4)
AND (?5 IS NULL OR actor_id = ?5) AND (?6 IS NULL OR origin = ?6)
"""
_BY_KEY: Final = f"{_SELECT} WHERE idempotency_key >= ?1 AND idempotency_key < ?2 AND {_FILTERS}"
_BY_STATE: Final = f"{_SELECT} INDEXED BY actions_unsettled WHERE {_OPEN} AND ?1 IS NULL AND ?2 IS NULL AND {_FILTERS}"
_BY_NOTHING: Final = f"{_SELECT} WHERE ?1 IS NULL AND ?2 IS NULL AND {_FILTERS}"

FIND: Final = {
    (way, newest_first): f"{text} ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ?7"
    for way, text in (("key", _BY_KEY), ("unsettled", _BY_STATE), ("all", _BY_NOTHING))
    for newest_first in (False, True)
}
"""The statement of `find` by what narrows it most, and its order."""
