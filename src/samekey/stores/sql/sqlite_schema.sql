-- Schema 1 of a samekey store in SQLite. Column names are the fields of samekey's Record; times are seconds since
-- 1970 in UTC; scope, field_digests, response_headers and volatile are JSON.

-- A rowid table on purpose: WITHOUT ROWID needs three times the space for rows of this size, and random keys make it
-- ten times slower at ten million rows.
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    identity TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    operation_name TEXT NOT NULL,
    scope TEXT NOT NULL,
    generation INTEGER NOT NULL,
    request_fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    last_seen_at REAL NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    origin TEXT NOT NULL,
    provider TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    open_attempts INTEGER NOT NULL,
    response_reference TEXT,
    expires_at REAL,
    correlation_id TEXT,
    error_summary TEXT,
    field_digests TEXT NOT NULL,
    frozen_request BLOB,
    window_seconds REAL,
    first_sent_at REAL,
    holder TEXT,
    lease_expires_at REAL,
    boot_id TEXT,
    boot_time REAL,
    credential_digest TEXT,
    response_status INTEGER,
    response_headers TEXT NOT NULL,
    response_body BLOB,
    completed_at REAL,
    trace_context TEXT,
    reason TEXT,
    volatile TEXT NOT NULL,
    claim_nonce TEXT NOT NULL,
    max_delay_seconds REAL NOT NULL,
    guarded INTEGER NOT NULL,
    -- Zeros, kept free for the answer while it is awaited: so its row does not outgrow the page that it is on, and the
    -- settlement writes one page where it would have split it in two.
    room BLOB,
    -- Whether it counts as open for longer than a moment, see actions_open.
    listed INTEGER,
    UNIQUE (identity, generation)
);

-- What is open decides what opening and recovery cost, not what was ever done. What is open has not been completed; a
-- list of its states would have SQLite build a table of them for each row that it writes. Nearly every action is
-- completed a moment after it was begun, and would be put into this index only to be taken out again: two pages more in
-- the log. So the newest block of 512 rows is not in it and is read as it is; what is still open in a block when the next
-- one begins, is listed. A block is long beside what is under way at once, all of which would be listed otherwise.
CREATE INDEX actions_open ON actions (listed)
WHERE listed = 1 AND completed_at IS NULL;

CREATE TRIGGER actions_next_block AFTER INSERT ON actions WHEN new.id % 512 = 0
BEGIN
    UPDATE actions SET listed = 1 WHERE id >= new.id - 512 AND id < new.id AND completed_at IS NULL;
END;

-- The search for another action with the same payload.
CREATE INDEX actions_guarded ON actions (operation_name, request_fingerprint)
WHERE guarded = 1;

-- What is not the happy path, append only.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    idempotency_key TEXT NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);

CREATE INDEX events_by_key ON events (idempotency_key);

-- The scope names of each operation, as a JSON list: other names would be other identities.
CREATE TABLE operations (
    name TEXT PRIMARY KEY,
    scope_names TEXT NOT NULL
);

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
