from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import samekey
from samekey.cli.app import app
from samekey.cli.render import SHORT_KEY
from tests.cli.conftest import CANARIES, SHARP, create_order, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from samekey import Client
    from samekey.testing import FlakyServer

runner = CliRunner()


def invoke(*arguments: str) -> str:
    result = runner.invoke(app, ["list", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    document = json.loads(invoke("--json", *arguments))
    assert document.keys() == {"store", "actions", "more"}
    actions: list[dict[str, Any]] = document["actions"]
    return actions


def carts(actions: list[dict[str, Any]]) -> list[str]:
    return [action["scope"].get("cart", action["scope"].get("parcel")) for action in actions]


def test_actions_come_newest_first_with_what_one_wants_to_know(store: str) -> None:
    lines = invoke("--store", store).splitlines()
    text = "\n".join(lines)
    assert lines[0].split() == ["key", "action", "status", "attempts", "reference", "seen"]
    assert text.index("ship_parcel(") < text.index("'c-3'") < text.index("'c-2'") < text.index("'c-1'")
    made = next(line for line in lines if "order_2" in line).split()
    assert made[-5:-2] == ["succeeded", "2", "order_2"]
    assert " ".join(lines[-2:]).strip() == (
        "4 actions: 2 succeeded, 1 rejected, 1 unknown. See one with: samekey show KEY. Name the same --store there."
    )


LONG = "a-cart-with-a-name-longer-than-any-table-has-room-for-" + "x" * 90


def test_in_a_pipe_each_action_has_one_line(
    store: str, connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    with connect() as client:
        write(client, LONG)
    (line,) = [line for line in invoke("--store", store).splitlines() if LONG in line]
    assert len(line.split()[0]) == SHORT_KEY


def test_the_table_fits_eighty_columns_and_ends_no_line_with_blanks(
    store: str, connect: Callable[[], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with connect() as client:
        write(client, LONG)
    lines = invoke("--store", store).splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("way", [[], ["--json"]])
def test_no_payload_no_credential_and_no_query_is_shown(store: str, way: list[str]) -> None:
    shown = invoke("--store", store, *way)
    assert [canary for canary in CANARIES if canary in shown] == []


def test_what_comes_from_outside_cannot_steer_the_terminal(connect: Callable[[], Client], place: Path) -> None:
    with connect() as client:
        write(client, SHARP)
    shown = invoke("--store", str(place))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[bold]" in shown


def test_it_filters_by_status_and_operation(store: str) -> None:
    assert carts(listed("--store", store, "--status", "rejected", "--status", "unknown")) == ["p-1", "c-3"]
    assert carts(listed("--store", store, "--operation", "ship_parcel")) == ["p-1"]
    assert carts(listed("--store", store, "--operation", "create_order", "--status", "unknown")) == []


def test_a_limit_shows_the_newest_and_says_that_there_are_more(store: str) -> None:
    assert carts(listed("--store", store, "--limit", "2")) == ["p-1", "c-3"]
    assert "The newest 2 actions" in invoke("--store", store, "--limit", "2")
    assert "more" not in invoke("--store", store, "--limit", "4")


def test_json_says_of_payloads_only_their_size(store: str) -> None:
    unknown, refused, made, _ = listed("--store", store)
    assert unknown["frozen_request"]["kept"]
    assert unknown["frozen_request"]["bytes"] > 100
    assert refused["frozen_request"] == {"kept": False, "bytes": 0}
    assert made["response_body"]["kept"]
    assert made["response_reference"] == "order_2"
    assert made["created_at"].endswith("Z")


def test_an_empty_store_says_how_actions_get_there(connect: Callable[[], Client], place: Path) -> None:
    with connect() as client:
        assert client.record(create_order, scope={"customer": 1, "cart": "c"}) is None
    assert "No actions yet in " in invoke("--store", str(place))
    assert "No action in " in invoke("--store", str(place), "--status", "unknown")


def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    result = runner.invoke(app, ["list", "--store", str(tmp_path / "none" / "samekey.db")])
    assert result.exit_code == 3
    assert "no store at" in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_without_an_option_the_store_is_the_one_of_the_environment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEKEY_STORE", store)
    assert len(listed()) == 4


def test_without_either_it_is_the_default_one_and_is_not_created(tmp_path: Path) -> None:
    result = runner.invoke(app, ["list"])
    assert result.exit_code == 3
    assert "--store or SAMEKEY_STORE" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_looking_needs_no_secret_and_leaves_the_store_usable(server: FlakyServer, place: Path, tmp_path: Path) -> None:
    from datetime import timedelta

    fleet = "a secret of the fleet, not on this machine"
    window = timedelta(hours=24)
    with samekey.Client(server.url, window=window, store=place, secret=fleet) as client:
        write(client, "c-1")
    assert len(listed("--store", str(place))) == 1
    with samekey.Client(server.url, window=window, store=place, secret=fleet) as client:
        write(client, "c-1")
    assert len(server.effects) == 1
