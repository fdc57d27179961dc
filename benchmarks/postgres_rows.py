"""What settled rows cost in PostgreSQL: verbs, sizes and plans at no rows, and at a million or more.

The rows are made by SQL out of one genuine action, through the store's own schema, with random identities and keys, as
purged or not; the verbs are then timed over `PostgresStore`, one caller, medians. Exits with 1 if a bar does not hold.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from _common import MICRO, Bar, machine, parser, report, scratch

from samekey._core.model import Event
from samekey._core.states import UNSETTLED
from samekey._core.verbs import Claim
from samekey.stores import PostgresStore
from tests.servers import postgres as servers
from tests.stores.builders import record, settlement

COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'samekey.actions'::regclass AND attnum > 0 AND attname <> 'id' ORDER BY attnum
"""
SIZES = """
SELECT relname, pg_total_relation_size(oid)::bigint FROM pg_class WHERE oid = 'samekey.actions'::regclass
UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index
WHERE indrelid = 'samekey.actions'::regclass
"""

BODY = b'{"id":"ord_1","note":"' + b"x" * 1000 + b'"}'


def fill(database: servers.Postgres, rows: int) -> float:
    """Copies the one settled row until there are so many; returns the seconds it took."""
    columns = [name for (name,) in database.execute(COLUMNS)]
    fresh = {
        "identity": "encode(sha256(n::text::bytea), 'hex')",
        "idempotency_key": "gen_random_uuid()::text",
        "claim_nonce": "replace(gen_random_uuid()::text, '-', '')",
        "created_at": "now() - (n * interval '1 second')",
        "expires_at": "now() + interval '30 days' - (n * interval '1 second')",
        "request_fingerprint": "'1:' || encode(sha256(('f' || n)::bytea), 'hex')",
        "response_body": f"convert_to(rpad(gen_random_uuid()::text, {len(BODY)}, md5(n::text)), 'UTF8')",
    }
    selected = ", ".join(fresh.get(name, f"one.{name}") for name in columns)
    before = time.perf_counter()
    step = 250_000
    for first in range(1, rows, step):
        database.execute(
            f"INSERT INTO samekey.actions ({', '.join(columns)}) SELECT {selected} FROM "
            f"(SELECT * FROM samekey.actions WHERE identity = 'identity-seed') one, "
            f"generate_series({first}, {min(first + step, rows) - 1}) n"
        )
    database.execute("VACUUM ANALYZE samekey.actions")
    return time.perf_counter() - before


def timed(work: Any, times: int) -> float:
    """Median microseconds."""
    taken = []
    for number in range(times):
        before = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - before)
    return median(taken) * MICRO


def verbs(store: PostgresStore, mark: str, times: int) -> dict[str, float]:
    """Microseconds of each verb."""
    now = datetime.now(UTC)
    lease = now + timedelta(minutes=1)
    rows = [
        record(store, f"{mark}-{number}", created_at=now, last_seen_at=now, first_sent_at=now, lease_expires_at=lease)
        for number in range(times)
    ]
    guarded = [record(store, f"{mark}-g{number}", created_at=now) for number in range(times)]
    return {
        "claim": timed(lambda number: store.claim(Claim(rows[number])), times),
        "settle": timed(
            lambda number: store.settle(settlement(rows[number], expires_at=now + timedelta(days=30))), times
        ),
        "get": timed(lambda number: store.get(rows[number].identity), times),
        "claim with a search for duplicates": timed(
            lambda number: store.claim(Claim(guarded[number], duplicates_since=now - timedelta(days=1))), times
        ),
        "unsettled, oldest 50": timed(lambda _: store.find(statuses=UNSETTLED, limit=50), 20),
        "by the start of a key": timed(lambda number: store.find(key_prefix=rows[number].idempotency_key), times),
        "note": timed(lambda number: store.note(rows[number], Event(now, "replay")), times),
        "purge, nothing due": timed(lambda _: store.purge(now - timedelta(days=400), limit=500), 20),
    }


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=1_000_000, help="settled rows (default 1000000)")
    options.add_argument("--times", type=int, default=300, help="calls of each verb (default 300)")
    given = options.parse_args()
    rows = min(given.rows, 100_000) if given.quick else given.rows
    with scratch(given.dir) as directory:
        where = machine(directory)
        directory.chmod(0o755)
        servers.MEMORY = str(directory)
        with servers.Postgres(shared_buffers="512MB", max_wal_size="4GB", maintenance_work_mem="512MB") as database:
            store = PostgresStore(database.url)
            store.secret(None)
            verbs(store, "warm", 50)
            seed = record(store, "seed")
            store.claim(Claim(seed))
            store.settle(settlement(seed))
            empty = verbs(store, "empty", given.times)
            filled = fill(database, rows)
            verbs(store, "warm again", 50)
            full = verbs(store, "full", given.times)
            sizes = dict(database.execute(SIZES))
            due = datetime.now(UTC) + timedelta(days=40)
            before = time.perf_counter()
            purged = store.purge(due, limit=5_000)
            purge = purged / (time.perf_counter() - before)
            store.close()
    lines = ["", f"{rows:,} rows made in {filled:.0f} s", ""]
    lines += [f"{name:36}{empty[name]:9.0f} µs empty{full[name]:9.0f} µs full" for name in full]
    lines += ["", *(f"{name:46}{size / rows:8.0f} bytes a row" for name, size in sizes.items())]
    lines += ["", f"{purge:.0f} tombstones a second"]
    pair = {name: found["claim"] + found["settle"] for name, found in (("empty", empty), ("full", full))}
    bars = [Bar(f"claim and settlement at {rows:,} rows ÷ at none", pair["full"] / pair["empty"], 1.5)]
    figures = {"rows": rows, "empty": empty, "full": full, "bytes": sizes, "purged_per_second": purge}
    return report(f"postgres_rows: {where}", figures, bars, lines, as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())
