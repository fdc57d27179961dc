"""`samekey contract`: the document that a team signs off."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.desk import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOML = """
[operations.create_order]
scope = ["customer", "cart"]
duplicates = "reject"
duplicate_window = "12h"
retention = "400 d"
window = "36h"
reconcile = {get = "/orders/{cart}"}
owner = "payments | team"
description = "orders"

[operations.send_mail]
on_server_error = "review"
"""

DOCUMENT = r"""| operation | what it does | scope | window | retention | duplicates | when in doubt | owner |
|---|---|---|---|---|---|---|---|
| create_order | orders | customer, cart | 36 h, or the profile's if shorter | 400 d | rejected within 12 h | a look-up, absent after 2 min; else a person | payments \| team |
| send_mail |  | any fields | the profile's | 30 d | allowed | a person decides; 5xx: review |  |
"""  # noqa: E501 - a row is one line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "contracts.toml").write_text(TOML)
    (tmp_path / "shop_contracts.py").write_text(
        "import samekey\nfrom samekey import contract_files\n"
        "operations = contract_files.load('contracts.toml')\n"
        "client = samekey.Client(provider='keyless', operations=operations, store='x.db')\n"
        "def make():\n    return operations\n"
        "nothing = 3\n"
    )
    yield tmp_path
    sys.modules.pop("shop_contracts", None)


@pytest.mark.parametrize(
    "spec", ["contracts.toml", "shop_contracts:operations", "shop_contracts:client", "shop_contracts:make"]
)
def test_it_is_one_markdown_table_wherever_the_contracts_are(place: Path, spec: str) -> None:
    assert run("contract", spec).stdout == DOCUMENT
    assert not (place / "x.db").exists()


def test_json_has_the_same(place: Path) -> None:
    first, second = json.loads(run("contract", "contracts.toml", "--json").stdout)
    assert (first["operation"], first["duplicates"], first["owner"]) == (
        "create_order",
        "rejected within 12 h",
        "payments | team",
    )
    assert second["operation"] == "send_mail"


def test_a_signed_document_is_compared_whatever_stands_around_the_table(place: Path) -> None:
    (place / "signed.md").write_text(f"# Contracts\n\nSigned by all.\n\n{DOCUMENT}\n")
    assert "is what the contracts say" in run("contract", "contracts.toml", "--check", "signed.md").stdout
    (place / "contracts.toml").write_text(TOML.replace("400 d", "30 d"))
    told = run("contract", "contracts.toml", "--check", "signed.md", code=1)
    assert [line[:18] for line in told.stdout.splitlines()] == ["+ | create_order |", "- | create_order |"]
    assert "let their owners sign it anew" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["shop_contracts:nothing"], "has no operations"),
        (["contracts"], "is not of the form module:name"),
        (["no.toml"], "cannot be read"),
        (["contracts.toml", "--check", "no.md"], "cannot be read"),
    ],
)
def test_what_is_no_contract_is_told(place: Path, arguments: list[str], says: str) -> None:
    assert says in run("contract", *arguments, code=2).stderr
