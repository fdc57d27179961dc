"""Contracts in TOML."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

import samekey
from samekey import contract_files

WHOLE = """
[operations.create_order]
scope = ["customer", "cart"]
volatile = ["/sent_at"]
reference = "/id"
duplicates = "reject"
duplicate_window = "12h"
retention = "400 d"
window = "24h"
on_rejected = "raise"
on_in_progress = "raise"
on_server_error = "review"
reconcile = {list = "/orders", params = {cart = "{cart}"}, consistent = true}
absent_after = "2.5 min"
max_delay = "90 s"
owner = "payments team"
description = "orders at the shop"

[operations.send_mail]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "contracts.toml"


def test_a_contract_has_every_option_of_an_operation(file: Path) -> None:
    file.write_text(WHOLE)
    order, mail = contract_files.load(file)
    assert order.replace(reconcile=None) == samekey.Operation(
        "create_order",
        scope=("customer", "cart"),
        volatile=("/sent_at",),
        reference="/id",
        duplicates="reject",
        duplicate_window=timedelta(hours=12),
        retention=timedelta(days=400),
        window=timedelta(hours=24),
        on_rejected="raise",
        on_in_progress="raise",
        on_server_error="review",
        absent_after=timedelta(seconds=150),
        max_delay=timedelta(seconds=90),
        owner="payments team",
        description="orders at the shop",
    )
    assert order.contract().looks_up
    assert mail == samekey.Operation("send_mail")


def test_a_look_up_may_be_a_function_or_one_address(file: Path) -> None:
    file.write_text('[operations.a]\nreconcile = "os:getcwd"\n[operations.b]\nreconcile = {get = "/b/{c}"}\n')
    first, second = contract_files.load(file)
    assert first.reconcile.__name__ == "getcwd"
    assert callable(second.reconcile)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[operations", "is not TOML"),
        ("", r"needs tables \[operations.NAME\]"),
        ("owner = 'me'\n[operations.a]", "and nothing else at the top"),
        ("operations = 3", r"needs tables"),
        ("[operations]\na = 3", "operations.a is not a table"),
        ("[operations.a]\nscoop = ['x']", "scoop: there is no such option"),
        ("[operations.a]\nduplicates = 'maybe'", "duplicates: "),
        ("[operations.a]\nwindow = 86400", "operations.a.window is 86400; write a number and its unit"),
        ("[operations.a]\nwindow = '1 week'", "write a number and its unit"),
        ("[operations.a]\nwindow = '0 s'", "window: must be longer than nothing"),
        ("[operations.a]\nretry = {}", "'retry' stays in code"),
        ("[operations.a]\nname = 'b'", "the name is the table's"),
        ("[operations.a]\nreconcile = 3", r'give \{get = "/…"\}'),
        ("[operations.a]\nreconcile = {get = '/a', list = '/b'}", r'give \{get = "/…"\}'),
        ("[operations.a]\nreconcile = {get = '/a', no = 1}", "see samekey.lookups.lookup_get"),
        ("[operations.a]\nreconcile = {get = '/{'}", "is not a template"),
        ("[operations.a]\nreconcile = 'no_such_module_here:x'", "cannot be loaded: ModuleNotFoundError"),
        ("[operations.a]\nreconcile = 'os:sep'", "reconcile is a str; pass a function"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(samekey.UsageError, match=says) as caught:
        contract_files.load(file)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told(file: Path) -> None:
    with pytest.raises(samekey.UsageError, match="cannot be read"):
        contract_files.load(file)


def test_a_contract_may_cancel_by_key(tmp_path: Path) -> None:
    path = tmp_path / "contracts.toml"
    path.write_text('[operations.pay]\nreconcile = "cancel"\n', encoding="utf-8")
    (operation,) = contract_files.load(path)
    assert operation.reconcile == "cancel"
