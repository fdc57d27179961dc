"""The PostgreSQL store in numbers, counted by the server; see `_counting` for SQLite's way to the same."""
# ruff: noqa: S608 - built from constants and the schema's checked name

from datetime import datetime
from functools import lru_cache
from typing import Final

from samekey._core.states import Status
from samekey._core.tally import CREATING, NAMES_A_REFERENCE, Left, Rows, Tally, told_reference
from samekey.stores._counting import alone_or_not
from samekey.stores._postgres_verbs import COMMIT, Ask, Verb

# One look, so that the numbers belong together.
_LOOK: Final = Ask("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

# $1: since, $2: operation, $3: length of a stretch, 0 for none.
_STRETCH: Final = "CASE WHEN $3::bigint = 0 THEN 0 ELSE floor(extract(epoch FROM {at}) / $3::bigint)::bigint END"
_OPERATION: Final = "($2::text IS NULL OR operation_name = $2::text)"
_SINCE: Final = "($1::timestamptz IS NULL OR {at} >= $1::timestamptz)"
_CLAIMED: Final = f"{_SINCE.format(at='created_at')} AND {_OPERATION}"
_DONE: Final = "status = 'succeeded'"
_NAMED: Final = f"method = '{CREATING}' AND response_reference <> ''"
_KINDS: Final = ", ".join(f"'{kind}'" for kind in NAMES_A_REFERENCE)
_MARK: Final = told_reference("")


class _Texts:
    """The statements for one schema."""

    def __init__(self, schema: str) -> None:
        actions, events = f"{schema}.actions", f"{schema}.events"
        self.rows: str = f"""
            SELECT operation_name, {_STRETCH.format(at="created_at")}, count(*), count(*) FILTER (WHERE {_DONE}),
            count(*) FILTER (WHERE status = 'rejected'), sum(attempts), count(*) FILTER (WHERE attempts > 1),
            count(*) FILTER (WHERE attempts > 1 AND {_DONE}), count(*) FILTER (WHERE {_DONE} AND ({_NAMED}) IS NOT TRUE)
            FROM {actions} WHERE {_CLAIMED} GROUP BY 1, 2
        """
        self.events: str = f"""
            SELECT operation_name, {_STRETCH.format(at="at")}, kind, count(*)
            FROM {events} JOIN {actions} USING (idempotency_key)
            WHERE {_SINCE.format(at="at")} AND {_OPERATION} GROUP BY 1, 2, 3
        """
        self.left: str = f"""
            SELECT DISTINCT ON (operation_name, status) operation_name, status,
            count(*) OVER (PARTITION BY operation_name, status), coalesce(first_sent_at, created_at), window_seconds
            FROM {actions} WHERE completed_at IS NULL AND ($1::text IS NULL OR operation_name = $1::text)
            ORDER BY operation_name, status, coalesce(first_sent_at, created_at), id
        """
        # As in `_counting.EFFECTS`: who is alone is counted, the others come out.
        self.effects: str = f"""
            WITH pairs AS MATERIALIZED (
                SELECT operation_name, origin, response_reference AS reference, identity, idempotency_key
                FROM {actions} WHERE {_CLAIMED} AND {_DONE} AND {_NAMED}
                UNION ALL
                SELECT operation_name, origin, substr(detail, {len(_MARK) + 1}), identity, idempotency_key
                FROM {events} JOIN {actions} USING (idempotency_key)
                WHERE kind IN ({_KINDS}) AND starts_with(detail, '{_MARK}') AND length(detail) > {len(_MARK)}
                AND method = '{CREATING}' AND {_CLAIMED}
            )
            SELECT count(*), operation_name, '', '', '', '' FROM pairs GROUP BY operation_name
            UNION ALL
            SELECT 0, operation_name, origin, reference, identity, idempotency_key FROM pairs
            WHERE identity IN (SELECT identity FROM pairs GROUP BY 1 HAVING count(*) > 1)
            OR (operation_name, origin, reference) IN (
                SELECT operation_name, origin, reference FROM pairs GROUP BY 1, 2, 3 HAVING count(*) > 1
            )
        """


_texts = lru_cache(_Texts)


def tally(schema: str, since: datetime | None, operation_name: str | None, stretch_seconds: int | None) -> Verb[Tally]:
    """Counts, see `Tallies.tally`."""
    texts, asked = _texts(schema), (since, operation_name, stretch_seconds or 0)
    yield _LOOK
    rows = yield Ask(texts.rows, asked)
    told = yield Ask(texts.events, asked)
    left = yield Ask(texts.left, (operation_name,))
    writes, clashes = alone_or_not((yield Ask(texts.effects, asked[:2])))
    yield COMMIT
    return Tally(
        {(name, stretch): Rows(*counts) for name, stretch, *counts in rows},
        {(name, stretch, kind): count for name, stretch, kind, count in told},
        {(name, Status(status)): Left(count, sent, window) for name, status, count, sent, window in left},
        writes,
        clashes,
    )
