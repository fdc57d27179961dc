-- Schema 1 of a samekey store in PostgreSQL: the sum of the migrations in postgres/, which a test compares with it.
-- Column names are the fields of samekey's Record; scope, field_digests, response_headers and volatile are JSON as text.
-- Run with the store's own schema as the only one in search_path.

CREATE TABLE actions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- "C": keys are found by their first letters, and no upgrade of a locale can disturb what prevents duplicates.
    idempotency_key text COLLATE "C" NOT NULL UNIQUE,
    identity text COLLATE "C" NOT NULL,
    actor_id text NOT NULL,
    operation_name text COLLATE "C" NOT NULL,
    scope text NOT NULL,
    generation integer NOT NULL,
    request_fingerprint text COLLATE "C" NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    method text NOT NULL,
    url text NOT NULL,
    origin text NOT NULL,
    provider text NOT NULL,
    attempts integer NOT NULL,
    fence integer NOT NULL,
    open_attempts integer NOT NULL,
    response_reference text,
    expires_at timestamptz,
    correlation_id text,
    error_summary text,
    field_digests text NOT NULL,
    frozen_request bytea,
    window_seconds double precision,
    first_sent_at timestamptz,
    holder text,
    lease_expires_at timestamptz,
    boot_id text,
    boot_time double precision,
    credential_digest text,
    response_status integer,
    response_headers text NOT NULL,
    response_body bytea,
    completed_at timestamptz,
    trace_context text,
    reason text,
    volatile text NOT NULL,
    claim_nonce text NOT NULL,
    max_delay_seconds double precision NOT NULL,
    guarded boolean NOT NULL,
    -- By the clock of this database, which all hosts share: when the first attempt was permitted, until when the last one
    -- may hold the action. The columns above have the sender's own clock, which the sender compares with itself.
    first_sent_by_store timestamptz,
    lease_until timestamptz,
    -- Whether somebody waits for the holder: only then its settlement is worth a NOTIFY.
    awaited boolean NOT NULL DEFAULT false,
    UNIQUE (identity, generation)
);

-- What is open decides what opening and recovery cost, not what was ever done.
CREATE INDEX actions_unsettled ON actions (id) WHERE completed_at IS NULL;

-- The search for another action with the same payload.
CREATE INDEX actions_guarded ON actions (operation_name, request_fingerprint) WHERE guarded;

-- What a purge finds; a tombstone leaves it.
CREATE INDEX actions_due ON actions (expires_at, id) WHERE expires_at IS NOT NULL;

-- What is not the happy path, append only.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    idempotency_key text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL
);

CREATE INDEX events_by_key ON events (idempotency_key, id);

-- The scope names of each operation, sorted, as a JSON list: other names would be other identities.
CREATE TABLE operations (
    name text COLLATE "C" PRIMARY KEY,
    scope_names text NOT NULL
);

CREATE TABLE meta (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
