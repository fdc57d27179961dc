"""`samekey recover`, `recheck` and `doctor`."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey.stores import SQLiteStore
from samekey.testing import Fault
from tests.cli.conftest import QUICK
from tests.cli.desk import desk, put, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from samekey.testing import FlakyServer

__all__ = ["desk"]

MODULE = """
import samekey
from samekey.lookups import lookup_list

look_up = lookup_list("/effects", items="/effects", reference="/reference")
order = samekey.Operation("order", scope=("cart",), reference="/id", reconcile=look_up)

def make_client():
    return samekey.Client({url!r}, operations=[order], store={place!r}, {more})

number = 7
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Writes the user's module, of which each test has its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(server: FlakyServer, more: str) -> str:
        place = str(tmp_path / "samekey.db")
        (tmp_path / "shop_desk.py").write_text(MODULE.format(url=server.url, place=place, more=more))
        return place

    yield write
    sys.modules.pop("shop_desk", None)


def lose(server: FlakyServer, place: str, provider: Any) -> None:
    server.script(Fault.COMMIT_THEN_DROP)
    once = QUICK.model_copy(update={"attempts": 1})
    with (
        samekey.Client(server.url, provider=provider, store=place, retry=once) as client,
        pytest.raises((samekey.OutcomeUnknownError, samekey.NeedsReviewError)),
        client.action("order", scope={"cart": "c-1"}) as action,
    ):
        action.post("/orders", json={"total": "CANARY"})


def test_recover_shows_first_and_sends_only_when_told_to(server: FlakyServer, program: Any) -> None:
    place = program(server, "provider='stripe-v1'")
    lose(server, place, "stripe-v1")
    shown = run("recover", "--client", "shop_desk:make_client").stdout
    assert "1 action would be sent again, 0 left: add --send." in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert len(server.requests) == 1
    told = json.loads(run("recover", "--client", "shop_desk:make_client", "--send", "--json").stdout)
    assert [record["status"] for record in told["settled"]] == ["succeeded"]
    assert "CANARY" not in json.dumps(told)
    assert [seen.key for seen in server.requests] == [server.requests[0].key] * 2
    assert len(server.effects) == 1
    assert "Nothing was left behind" in run("recover", "--client", "shop_desk:make_client", "--send").stdout


def test_recover_says_by_its_code_that_something_is_left(server: FlakyServer, program: Any) -> None:
    place = program(server, "provider='stripe-v1', retry=samekey.RetryPolicy(attempts=1)")
    lose(server, place, "stripe-v1")
    server.script(Fault.COMMIT_THEN_DROP)
    told = run("recover", "--client", "shop_desk:make_client", "--send", code=6).stdout
    assert "0 actions settled, 1 left" in told


def test_recheck_asks_the_look_up_and_settles(server: FlakyServer, program: Any) -> None:
    place = program(server, "provider='keyless'")
    lose(server, place, "keyless")
    store = SQLiteStore(place)
    (record,) = store.find()
    store.close()
    told = " ".join(run("recheck", record.idempotency_key[:8], "--client", "shop_desk:make_client").stdout.split())
    assert "succeeded" in told
    assert "looked up found: GET" in told
    assert "reference order_1" in told
    assert len(server.effects) == 1


def test_recheck_says_by_its_code_that_it_is_still_open(server: FlakyServer, program: Any) -> None:
    place = program(server, "provider='keyless', retry=samekey.RetryPolicy(attempts=1)")
    lose(server, place, "keyless")
    server.close()
    store = SQLiteStore(place)
    (record,) = store.find()
    store.close()
    told = run("recheck", record.idempotency_key, "--client", "shop_desk:make_client", "--json", code=6).stdout
    assert json.loads(told)["timeline"][-1]["detail"] == "inconclusive: it raised ConnectError"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("shop_desk", "is not of the form module:name"),
        ("no_such_module_here:x", "cannot be loaded: ModuleNotFoundError"),
        ("shop_desk:nothing", "cannot be loaded: AttributeError"),
        ("shop_desk:number", "is a int; name a samekey.Client"),
        ("os:getcwd", "is a str; name a samekey.Client"),
    ],
)
def test_what_is_not_a_client_is_told(server: FlakyServer, program: Any, spec: str, says: str) -> None:
    program(server, "provider='keyless'")
    assert says in run("recover", "--client", spec, code=2).stderr


# --- doctor


def checks(store: SQLiteStore, code: int = 0) -> dict[str, tuple[bool, str]]:
    document = json.loads(run("doctor", "--store", store.location, "--json", code=code).stdout)
    assert document["ok"] is (code == 0)
    return {check["check"]: (check["ok"], check["detail"]) for check in document["checks"]}


def test_a_store_that_is_well(desk: SQLiteStore) -> None:
    put(desk, "c-1")
    put(desk, "c-2", samekey.Status.IN_FLIGHT)
    found = checks(desk)
    names = ["directory", "database", "log", "secret", "disk", "schema", "pages", "clock", "log size", "processes"]
    assert list(found) == [*names, "open actions"]
    assert found["open actions"][1].startswith("1 in_flight, 1 needs_review, of which 1 by processes that have ended")
    told = run("doctor", "--store", desk.location).stdout
    assert "is well" in told
    assert max(len(line) for line in told.splitlines()[:-1]) <= 80


@pytest.mark.parametrize(("name", "suffix"), [("database", ""), ("secret", ".secret")])
def test_what_others_can_read_is_not_well(desk: SQLiteStore, name: str, suffix: str) -> None:
    os.chmod(desk.location + suffix, 0o644)
    well, told = checks(desk, code=1)[name]
    assert not well
    assert f"chmod 600 {desk.location}{suffix}" in told


@pytest.mark.parametrize(("mode", "code"), [(0o755, 0), (0o1777, 0), (0o775, 1), (0o757, 1)])
def test_a_directory_in_which_others_can_replace_files_is_not_well(desk: SQLiteStore, mode: int, code: int) -> None:
    os.chmod(os.path.dirname(desk.location), mode)
    assert checks(desk, code=code)["directory"][0] is (code == 0)


def test_a_clock_that_was_set_back_is_not_well(desk: SQLiteStore) -> None:
    put(desk, "c-1", age=-3600.0)
    well, told = checks(desk, code=1)["clock"]
    assert not well
    assert "behind what the store has seen" in told


def test_a_damaged_store_is_not_well(desk: SQLiteStore) -> None:
    for number in range(200):
        put(desk, f"c-{number}")
    desk.close()
    with open(desk.location, "r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 4096 * 3)
    found = checks(desk, code=1)
    assert not all(well for well, _ in found.values())
