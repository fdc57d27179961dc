"""The texts of all statements. They are constant: SQLite keeps prepared what it has seen before.

Built from the names of `Record`'s fields and from nothing else; values are always parameters, in the order of the question
marks: numbered ones make Python 3.12 warn of each value, before 3.12.4, which takes longer than the statement.
"""
# ruff: noqa: S608 - built from constants of this module alone, which a test looks at

from typing import Final

from samekey.stores._rows import FIELDS

_COLUMNS: Final = ", ".join(FIELDS)
_PLACES: Final = ", ".join("?" for _ in FIELDS)
_SELECT: Final = f"SELECT {_COLUMNS} FROM actions"

# What is open: what is listed (literally the condition of the partial index, or SQLite would not use it), and what is open
# in the newest block, see the schema.
OPEN: Final = """
completed_at IS NULL AND id IN (
    SELECT id FROM actions INDEXED BY actions_open WHERE listed = 1 AND completed_at IS NULL
    UNION ALL
    SELECT id FROM actions WHERE id >= (SELECT max(id) - max(id) % 512 FROM actions)
)
"""

APPLICATION_ID: Final = 0x534B_4559  # "SKEY"
"""By which a file is known as a store."""

ROOM: Final = 1024
"""Bytes that a claim keeps free for its answer: most answers to a create, and the digests of its fields."""

INSERT: Final = f"INSERT INTO actions ({_COLUMNS}, room) VALUES ({_PLACES}, zeroblob({ROOM}))"

# The first claim of an identity, in one statement: its row count says whether there was none. It has generation 1,
# which is there if any later one is: no row ever goes.
CLAIM: Final = f"""
{INSERT}
ON CONFLICT (identity, generation) DO NOTHING
"""

# A claim of which it is told that nothing was sent.
TAKE_BACK: Final = "DELETE FROM actions WHERE identity = ? AND generation = ? AND claim_nonce = ?"

# A whole row over the one of the same identity and generation; the parameters are those of INSERT, and these two.
REWRITE: Final = f"""
UPDATE actions SET {", ".join(f"{name} = ?" for name in FIELDS)}, room = NULL, listed = 1
WHERE identity = ? AND generation = ?
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
SETTLE: Final = f"""
UPDATE actions SET {", ".join(f"{name} = ?" for name in SETTLED_FIELDS)}, room = NULL
WHERE identity = ? AND generation = ? AND fence = ? AND status = ? AND holder IS ? AND claim_nonce = ?
AND NOT EXISTS (
    SELECT 1 FROM actions AS later WHERE later.identity = actions.identity AND later.generation > actions.generation
)
"""

HIGHEST: Final = f"{_SELECT} WHERE identity = ? ORDER BY generation DESC LIMIT 1"
GENERATIONS: Final = f"{_SELECT} WHERE identity = ? ORDER BY generation"
VERSION_OF: Final = "SELECT generation, fence, status FROM actions WHERE identity = ? ORDER BY generation DESC LIMIT 1"
LATEST_TIME: Final = "SELECT max(last_seen_at) FROM actions"
NEWEST_TIME: Final = "SELECT created_at FROM actions ORDER BY id DESC LIMIT 1"
ANY_ACTION: Final = "SELECT 1 FROM actions LIMIT 1"

DUPLICATE: Final = f"""
{_SELECT} INDEXED BY actions_guarded
WHERE guarded = 1 AND operation_name = ? AND request_fingerprint = ? AND identity <> ?
AND coalesce(first_sent_at, created_at) >= ?
ORDER BY id DESC LIMIT 1
"""

DUE: Final = f"""
{_SELECT} WHERE expires_at <= ? AND status IN ('succeeded', 'rejected', 'abandoned') AND request_fingerprint <> ''
ORDER BY id LIMIT ?
"""

CONTENTS: Final = f"""
SELECT id, {_COLUMNS} FROM actions
WHERE id > ? AND (frozen_request IS NOT NULL OR response_body IS NOT NULL OR response_headers <> '[]')
ORDER BY id LIMIT ?
"""

ADD_EVENT: Final = "INSERT INTO events (idempotency_key, at, kind, detail) VALUES (?, ?, ?, ?)"
EVENTS: Final = "SELECT at, kind, detail FROM events WHERE idempotency_key = ? ORDER BY id"
FORGET_EVENTS: Final = "DELETE FROM events WHERE idempotency_key = ?"
SEEN: Final = "UPDATE actions SET last_seen_at = max(last_seen_at, ?) WHERE idempotency_key = ?"

SCOPE_NAMES: Final = "SELECT scope_names FROM operations WHERE name = ?"
ADD_OPERATION: Final = "INSERT INTO operations (name, scope_names) VALUES (?, ?)"

OPERATIONS: Final = "SELECT name, scope_names FROM operations"

# To move records from one store to another.
AFTER: Final = f"SELECT id, {_COLUMNS} FROM actions WHERE id > ? ORDER BY id LIMIT ?"
SAME: Final = f"{_SELECT} WHERE (identity = ? AND generation = ?) OR idempotency_key = ?"

META: Final = "SELECT value FROM meta WHERE name = ?"
SET_META: Final = "INSERT INTO meta (name, value) VALUES (?, ?)"

TRUNCATE: Final = "PRAGMA wal_checkpoint(TRUNCATE)"
RESTART: Final = "PRAGMA wal_checkpoint(RESTART)"
PASSIVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"

SET_APPLICATION_ID: Final = f"PRAGMA application_id = {APPLICATION_ID}"
TOUCH: Final = SET_APPLICATION_ID
"""Writes a page of a store, and changes nothing."""

# In their order: the key's start and its end, statuses as ",a,b,", operation, actor, origin; the limit, -1 for none.
# What is not asked for is NULL; no such column is.
_FILTERS: Final = """
instr(coalesce(?, ',' || status || ','), ',' || status || ',') > 0 AND operation_name = coalesce(?, operation_name)
AND actor_id = coalesce(?, actor_id) AND origin = coalesce(?, origin)
"""
_BY_KEY: Final = f"{_SELECT} WHERE idempotency_key >= ? AND idempotency_key < ? AND {_FILTERS}"
_BY_STATE: Final = f"{_SELECT} WHERE {OPEN} AND ? IS NULL AND ? IS NULL AND {_FILTERS}"
_BY_NOTHING: Final = f"{_SELECT} WHERE ? IS NULL AND ? IS NULL AND {_FILTERS}"

FIND: Final = {
    (way, newest_first): f"{text} ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ?"
    for way, text in (("key", _BY_KEY), ("unsettled", _BY_STATE), ("all", _BY_NOTHING))
    for newest_first in (False, True)
}
"""The statement of `find` by what narrows it most, and its order."""
