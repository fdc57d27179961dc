from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import samekey
from samekey.cli.app import app
from samekey.stores import SQLiteStore
from tests.cli.conftest import CANARIES, SHARP, create_order, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from samekey import Client
    from samekey.testing import FlakyServer

runner = CliRunner()


def keys(store: str) -> dict[str, str]:
    """Cart or parcel → key."""
    opened = SQLiteStore(store)
    try:
        return {list(record.scope.values())[-1]: record.idempotency_key for record in opened.find()}
    finally:
        opened.close()


def invoke(*arguments: str) -> str:
    result = runner.invoke(app, ["show", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_tells_what_is_known_and_what_happened_when(store: str) -> None:
    key = keys(store)["c-2"]
    text = invoke(key, "--store", store)
    assert text.startswith("create_order(customer=42, cart='c-2')  succeeded\n")
    assert key in text
    story = ["Timeline (UTC)", "created", "first sent", "tried again", "succeeded", "HTTP 201", "It is done."]
    places = [text.index(word, text.index("Timeline")) for word in story]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("c-3", "Correct the data and run the script again."),
        ("p-1", "It may have happened. Run the script again before 20"),
    ],
)
def test_it_says_what_to_do_next(store: str, name: str, advice: str) -> None:
    assert advice in " ".join(invoke(keys(store)[name], "--store", store).split())


def test_of_an_action_in_flight_it_says_whether_its_process_is_alive(
    server: FlakyServer, connect: Callable[[], Client], place: Path
) -> None:
    seen: list[str] = []

    def look(_: object) -> None:
        seen.append(invoke(next(iter(keys(str(place)).values())), "--store", str(place)))

    server.on_request = look
    with connect() as client:
        write(client, "c-1")
    assert "which is at work" in seen[0]
    assert "It is being sent now." in seen[0]


def test_the_beginning_of_a_key_is_enough_in_either_case(store: str) -> None:
    key = keys(store)["c-1"]
    assert key in invoke(key[:8].upper(), "--store", store)
    assert key in invoke(f"{key[:8]}…", "--store", store)


def test_a_beginning_that_fits_several_lists_them(connect: Callable[[], Client], place: Path) -> None:
    with connect() as client:
        for number in range(17):  # one more than there are first characters
            write(client, f"c-{number}")
    result = runner.invoke(app, ["show", _shared(list(keys(str(place)).values())), "--store", str(place)])
    assert result.exit_code == 2
    assert "fits more than one action" in result.stderr
    assert result.stderr.count("create_order(") >= 2
    assert result.stderr.count("\n") == 1


def _shared(found: list[str]) -> str:
    firsts = [key[0] for key in found]
    return max(firsts, key=firsts.count)


@pytest.mark.parametrize("key", ["zzzz", "0" * 36, "%"])
def test_an_unknown_key_is_not_found(store: str, key: str) -> None:
    result = runner.invoke(app, ["show", key, "--store", store])
    assert result.exit_code == 3
    assert "no action in" in result.stderr


def test_an_empty_key_is_an_error_of_use(store: str) -> None:
    assert runner.invoke(app, ["show", " ", "--store", store]).exit_code == 2


def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    result = runner.invoke(app, ["show", "0", "--store", str(tmp_path / "samekey.db")])
    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_fields_of_the_record_and_the_timeline(store: str) -> None:
    document: dict[str, Any] = json.loads(invoke(keys(store)["c-2"], "--store", store, "--json"))
    record = {field.name for field in fields(samekey.Record)} - {"claim_nonce", "guarded"}
    assert document.keys() == record | {"timeline", "version"}
    assert document["frozen_request"] == {"kept": False, "bytes": 0}
    assert document["response_body"]["kept"] is True
    assert document["scope"] == {"customer": "42", "cart": "c-2"}
    assert [line["what"] for line in document["timeline"]] == ["created", "first_sent", "retry", "succeeded"]
    assert all(line.keys() == {"at", "what", "detail"} for line in document["timeline"])


@pytest.mark.parametrize("way", [[], ["--json"]])
@pytest.mark.parametrize("name", ["c-1", "c-2", "c-3", "p-1"])
def test_no_payload_no_credential_and_no_query_is_shown(store: str, name: str, way: list[str]) -> None:
    shown = invoke(keys(store)[name], "--store", store, *way)
    assert [canary for canary in CANARIES if canary in shown] == []


def test_it_fits_eighty_columns(store: str) -> None:
    for key in keys(store).values():
        assert max(map(len, invoke(key, "--store", store).splitlines())) <= 80


def test_what_comes_from_outside_cannot_steer_the_terminal(connect: Callable[[], Client], place: Path) -> None:
    with connect() as client:
        write(client, SHARP)
    shown = invoke(keys(str(place))[SHARP], "--store", str(place))
    assert "\x1b" not in shown
    assert "\\x1b[31m[bold]evil\\x07" in shown


def test_a_rerun_is_seen_in_the_timeline(store: str, connect: Callable[[], Client]) -> None:
    with connect() as client, client.action(create_order, scope={"customer": 42, "cart": "c-1"}) as action:
        action.post("/orders?token=CANARY-QUERY", json={"total": "CANARY-BODY", "cart": "c-1"})
    assert "asked again" in invoke(keys(store)["c-1"], "--store", store)
