"""Making, migrating and opening: what is made, by whom, and what is refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import samekey
from samekey.cli.app import run
from samekey.stores import AsyncPostgresStore, PostgresStore, open_store
from samekey.stores._postgres_schema import migrations, statements
from tests.servers.postgres import Postgres

CATALOG = """
SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text || ' '
    || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text || a.attcollation::regcollation::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = '{0}'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL SELECT 'index', indexname, replace(indexdef, '{0}.', '') FROM pg_indexes WHERE schemaname = '{0}'
UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = '{0}'::regnamespace
ORDER BY 1, 2, 3
"""


def catalog(postgres: Postgres, schema: str) -> list[Any]:
    return postgres.execute(CATALOG.format(schema))


def test_the_schema_is_the_sum_of_the_migrations(postgres: Postgres, schema: str) -> None:
    whole, summed = f"{schema}_whole", f"{schema}_summed"
    files = {whole: ["postgres_schema.sql"], summed: [f"postgres/{name}" for name in migrations()]}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        for name, parts in files.items():
            connection.execute(f"CREATE SCHEMA {name}".encode())
            connection.execute(f"SET search_path TO {name}".encode())
            for part in parts:
                for statement in statements(part):
                    connection.execute(statement.encode())
    assert catalog(postgres, whole) == catalog(postgres, summed) != []


def test_an_empty_database_is_made_a_store_by_its_first_use_by_many_at_once(postgres: Postgres, schema: str) -> None:
    stores = [PostgresStore(postgres.url, schema=schema) for _ in range(12)]
    with ThreadPoolExecutor(12) as pool:
        secrets = set(pool.map(lambda store: store.secret(None), stores))
    assert len(secrets) == 1
    assert len(secrets.pop()) == 32
    names = [row[0] for row in postgres.execute(f"SELECT name FROM {schema}.meta ORDER BY name")]
    assert names == ["schema", "secret", "secret_check", "store_id"]
    for store in stores:
        store.close()


def test_who_does_not_want_a_store_made_is_told_what_makes_it(postgres: Postgres, schema: str) -> None:
    store = PostgresStore(postgres.url, schema=schema, create=False)
    with pytest.raises(samekey.StoreUnavailableError, match="samekey migrate"):
        store.secret(None)
    assert postgres.execute(f"SELECT to_regnamespace('{schema}')") == [(None,)]


def test_the_command_makes_a_store_once(postgres: Postgres, schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{postgres.url}?schema={schema}"
    assert run(["migrate", "--store", url]) == 0
    assert capsys.readouterr().out.endswith(f"/postgres?schema={schema} was made, with schema 1.\n")
    assert run(["migrate", "--store", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"store": url, "before": 1, "after": 1}
    assert run(["list", "--store", url]) == 0
    assert run(["migrate", "--store", "somewhere.db"]) == 2
    assert "needs no migration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "told"),
    [("2", "newer samekey"), ("x", "another program"), ("0", "samekey migrate")],
)
def test_another_schema_is_refused_and_left_alone(postgres: Postgres, schema: str, version: str, told: str) -> None:
    PostgresStore(postgres.url, schema=schema).secret(None)
    # An older one there has not been yet: 0 stands for it.
    postgres.execute(f"UPDATE {schema}.meta SET value = '{version}' WHERE name = 'schema'")
    before = catalog(postgres, schema)
    with pytest.raises(samekey.StoreError, match=told):
        PostgresStore(postgres.url, schema=schema, create=False).secret(None)
    assert catalog(postgres, schema) == before
    assert postgres.execute(f"SELECT value FROM {schema}.meta WHERE name = 'schema'") == [(version,)]


def test_tables_of_another_program_are_refused(postgres: Postgres, schema: str) -> None:
    postgres.execute(f"CREATE SCHEMA {schema}")
    postgres.execute(f"CREATE TABLE {schema}.actions (id int)")
    with pytest.raises(samekey.StoreFormatError, match="another program"):
        PostgresStore(postgres.url, schema=schema).secret(None)


def test_r13_a_store_keeps_the_secret_that_it_was_made_with(postgres: Postgres, schema: str) -> None:
    fleet = b"a secret of the fleet, long enough"
    assert PostgresStore(postgres.url, schema=schema).secret(fleet) == fleet
    assert postgres.execute(f"SELECT value FROM {schema}.meta WHERE name = 'secret'") == [("given",)]
    with pytest.raises(samekey.StoreFormatError, match="SAMEKEY_SECRET"):
        PostgresStore(postgres.url, schema=schema).secret(None)
    with pytest.raises(samekey.StoreFormatError, match="another secret"):
        PostgresStore(postgres.url, schema=schema).secret(b"of another fleet, long enough, too")
    assert PostgresStore(postgres.url, schema=schema).find() == []  # who only looks needs none


# --- addresses -----------------------------------------------------------------------------------------------


def test_a_password_is_in_no_location_repr_or_error() -> None:
    url = "postgresql://ada:hunter2@127.0.0.1:1/db?schema=mine&sslmode=disable"
    for store in (open_store(url), PostgresStore("host=127.0.0.1 port=1 user=ada password=hunter2 dbname=db")):
        assert "hunter2" not in store.location + repr(store)
        assert store.location.startswith("postgresql://ada@127.0.0.1:1/db")
        with pytest.raises(samekey.StoreUnavailableError, match="so nothing was sent") as raised:
            store.secret(None)
        assert "hunter2" not in str(raised.value)
        assert not raised.value.uncertain


@pytest.mark.parametrize("wrong", ["", "postgresql://ada:hunter2@[", "what is this", "postgresql://h/d?schema=a%20b"])
def test_a_wrong_address_is_refused_without_repeating_it(wrong: str) -> None:
    from samekey.stores.postgres import from_url

    with pytest.raises(samekey.UsageError) as raised:
        from_url(wrong)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_loop_store_that_was_not_opened_says_so(postgres: Postgres, schema: str) -> None:
    store = AsyncPostgresStore(postgres.url, schema=schema)
    with pytest.raises(samekey.UsageError, match="await"):
        _ = store.holder


# --- durability ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "durable"), [("off", False), ("local", True), ("on", True)])
def test_r17_it_is_told_whether_a_claim_can_be_lost(postgres: Postgres, schema: str, level: str, durable: bool) -> None:
    store = PostgresStore(f"{postgres.url}?options=-csynchronous_commit%3D{level}", schema=schema)
    assert store.claim_durable is durable
    store.close()


def test_r17_an_api_without_keys_is_refused_where_a_claim_can_be_lost(postgres: Postgres, schema: str) -> None:
    store = PostgresStore(f"{postgres.url}?options=-csynchronous_commit%3Doff", schema=schema)
    with (
        samekey.Client("http://127.0.0.1:9", provider="keyless", store=store, verify=False) as client,
        pytest.raises(samekey.UsageError, match="can lose what it has acknowledged"),
        client.action("order", scope={"order": 1}) as action,
    ):
        action.post("/orders", json={})
    assert store.find() == []
    store.close()
