"""What the review desk in the browser shows, over real sockets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx

from samekey._core.states import Status
from samekey.cli.web import listing as listing_module
from samekey.stores import SQLiteStore
from tests.cli.conftest import CANARIES, SHARP
from tests.cli.desk import DAY, decide, desk, put
from tests.cli.served import Page, ada, address, fill, page, send, served, visitor, where

if TYPE_CHECKING:
    import pytest

__all__ = ["ada", "address", "desk"]

HOSTILE = """"><script>alert('x')</script><img src=x onerror="alert(1)">&amp;"""


def rows(shown: Page) -> list[str]:
    return re.findall(r"cart='([^']*)'", shown.text)


def test_it_lists_what_is_in_doubt_as_the_command_does(desk: SQLiteStore, ada: httpx.Client) -> None:
    assert "Nothing to review: no action is left in doubt." in page(ada).text
    put(desk, "old", age=2 * DAY, reason="keyless", window_seconds=None)
    put(desk, "rerun", Status.UNKNOWN, age=3 * 3600, reason=None)
    put(desk, "new", age=60)
    put(desk, "dead", Status.IN_FLIGHT, age=120)
    put(desk, "done", Status.SUCCEEDED)
    shown = page(ada)
    assert rows(shown) == ["old", "new", "rerun", "dead"]
    assert "create_order at api.shop.example: this API has no keys" in shown.text
    assert "create_order at api.shop.example: a rerun can tell For the script: run it again" in shown.text
    assert "4 actions in doubt, the oldest first." in shown.text
    assert "no answer within 30 s 3 h 20 h" in shown.text


def test_it_filters_by_status_operation_key_scope_and_reference(desk: SQLiteStore, ada: httpx.Client) -> None:
    first = put(desk, "c-1")
    put(desk, "c-2", operation_name="send_mail")
    done = put(desk, "c-3")
    decide(desk, done, "--happened", "--reference", "ord_77")
    put(desk, "c-4", Status.REJECTED)

    def found(**query: str) -> set[str]:
        return set(rows(page(ada, f"?{httpx.QueryParams(query)}")))

    assert found() == {"c-1", "c-2"}
    assert found(operation="send_mail") == {"c-2"}
    assert found(operation="send") == set()
    assert found(text="CART='C-1") == {"c-1"}
    assert found(text=first.idempotency_key[:8]) == {"c-1"}
    assert found(text="nowhere") == set()
    assert found(status="all") == {"c-1", "c-2", "c-3", "c-4"}
    assert found(status="all", operation="send_mail") == {"c-2"}
    assert found(status="all", text="ord_77") == {"c-3"}
    assert found(status="rejected") == {"c-4"}
    assert "'lost' is no status" in page(ada, "?status=lost", 422).text
    kept = page(ada, "?status=all&operation=send_mail&text=c-2")
    assert kept.fields() == {"operation": "send_mail", "text": "c-2"}
    assert [each["value"] for each in kept.all("option") if "selected" in each] == ["all"]


def test_it_says_when_there_is_more_than_it_shows(
    desk: SQLiteStore, ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        put(desk, f"c-{number}", age=100.0 - number)
    monkeypatch.setattr(listing_module, "MOST_ROWS", 2)
    shown = page(ada)
    assert (rows(shown), "The oldest 2 of 4 actions in doubt" in shown.text) == (["c-0", "c-1"], True)
    shown = page(ada, "?status=all")
    assert (rows(shown), "The newest 2 actions that match; there are more." in shown.text) == (["c-3", "c-2"], True)
    monkeypatch.setattr(listing_module, "SEARCHED", 3)
    assert "1 action among the newest 3; older ones were not looked through." in page(ada, "?status=all&text=c-3").text
    assert "0 actions, the newest first." in page(ada, "?status=succeeded&text=c-3").text


def test_an_action_is_shown_with_its_facts_its_timeline_and_what_can_be_decided(
    desk: SQLiteStore, ada: httpx.Client
) -> None:
    row = put(desk, "c-1")
    shown = page(ada, where(row))
    assert "create_order(customer=42, cart='c-1') needs review It may have happened" in shown.text
    assert f"version {row.version}" in shown.text
    assert "first sent POST https://api.shop.example/orders" in shown.text
    assert shown.choices() == ["happened/success", "did-not-happen/reopen", "try-again/reopen", "abandon/abandon"]
    assert "Then: It is open again; the next run sends the same request under the same key." in shown.text


def test_what_cannot_be_decided_is_told_with_its_reason(desk: SQLiteStore, ada: httpx.Client) -> None:
    refused, late = put(desk, "c-1", Status.REJECTED), put(desk, "c-2", age=2 * DAY)
    done, tried = put(desk, "c-3", Status.SUCCEEDED), put(desk, "c-4", age=100.0, reason="keyless", window_seconds=None)
    shown = page(ada, where(refused))
    assert shown.choices() == ["try-again/reopen"]
    assert "The API refused it, and the cause is mended." in shown.text
    assert "Not possible: the API refused it, and a refusal is not made a success" in shown.text
    shown = page(ada, where(late))
    assert shown.choices() == ["happened/success", "did-not-happen/ruled_out", "abandon/abandon"]
    assert "sends it under a new key. If you are wrong, that makes a duplicate." in shown.text
    assert "may still be on its way until" in page(ada, where(tried)).text
    shown = page(ada, where(done))
    assert (shown.choices(), shown.fields()) == ([], {})
    assert "Nothing is left to decide." in shown.text


def test_a_key_that_is_not_there_and_one_with_letters_of_an_address(desk: SQLiteStore, ada: httpx.Client) -> None:
    odd = put(desk, "c-1", idempotency_key="a/b?c#d%2f e&é")
    assert "cart='c-1'" in page(ada, where(odd)).text
    (link,) = [each["href"] for each in page(ada).all("a") if "/actions/" in str(each["href"])]
    assert "cart='c-1'" in page(ada, str(link)).text
    assert "No action in this store has the key 'a/b'" in page(ada, "actions/a%2Fb", 404).text
    assert "No action in this store has the key ''" in page(ada, "actions/", 404).text


def test_no_page_shows_a_credential_a_payload_or_a_query_value(store: str) -> None:
    opened = SQLiteStore(store)
    with served(opened) as address, visitor(address) as client:
        told = client.get("?status=all").text
        for row in opened.find():
            told += client.get(where(row)).text
    opened.close()
    assert "create_order" in told
    assert not [canary for canary in CANARIES if canary in told]


def test_words_of_others_stay_words(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, HOSTILE, operation_name=f"op{HOSTILE}", error_summary=HOSTILE, idempotency_key="k-1")
    send(
        ada, row, fill(page(ada, where(row)), "happened", reference=HOSTILE, note=HOSTILE, evidence=HOSTILE, by=HOSTILE)
    )
    other = put(desk, f"2{HOSTILE}", operation_name=f"op2{HOSTILE}", idempotency_key="k-2")
    wrong = fill(page(ada, where(other)), "abandon", reference=HOSTILE, note=HOSTILE, evidence=HOSTILE, by=HOSTILE)
    query = f"?{httpx.QueryParams(status='all', operation=HOSTILE, text=HOSTILE)}"
    pages = [
        page(ada),
        page(ada, query),
        page(ada, where(row)),
        send(ada, other, wrong, 422),
        page(ada, f"actions/{quote(HOSTILE, safe='')}", 404),
    ]
    for shown in pages:
        assert "script>alert(" in shown.text or "script>alert(" in str(shown.fields())
        assert {name for name, _ in shown.tags}.isdisjoint({"script", "img", "iframe", "object", "svg"})
        assert not [each for _, attributes in shown.tags for each in attributes if each.startswith("on")]
    assert pages[3].fields()["evidence"] == HOSTILE.strip()


def test_marks_that_turn_the_writing_around_are_shown_as_what_they_are(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1")
    note = f"first\nsecond \u202e {SHARP}"
    send(ada, row, fill(page(ada, where(row)), "abandon", note=note))
    told = ada.get(where(row)).text
    assert "first\nsecond \\u202e \\x1b[31m" in told
    assert "\u202e" not in told


def test_the_pages_need_nothing_from_elsewhere_and_no_script(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1", url="/orders", origin="shop")
    root = urlsplit(str(ada.base_url)).path
    for path in ("", where(row), "actions/none"):
        response = ada.get(path)
        assert not re.search(r"https?://|url\(|@import|javascript:", response.text)
        shown = Page(response.text)
        assert not shown.all("script")
        links = [
            str(value) for _, each in shown.tags for name, value in each.items() if name in {"href", "src", "action"}
        ]
        assert all(link.startswith((root, "#", "data:,")) for link in links)
        assert not [each for _, each in shown.tags if "style" in each]


def test_everything_can_be_reached_by_keyboard_and_has_a_name(desk: SQLiteStore, ada: httpx.Client) -> None:
    row = put(desk, "c-1")
    for path in ("", where(row)):
        text = ada.get(path).text
        shown = Page(text)
        assert shown.all("html") == [{"lang": "en"}]
        ids = [each["id"] for _, each in shown.tags if "id" in each]
        assert len(ids) == len(set(ids))
        labelled = {each["for"] for each in shown.all("label")}
        controls = [
            each for tag in ("input", "select", "textarea") for each in shown.all(tag) if each.get("type") != "hidden"
        ]
        assert controls
        assert [each for each in controls if each["id"] not in labelled] == []
        for _, attributes in shown.tags:
            named = f"{attributes.get('aria-describedby') or ''} {attributes.get('aria-labelledby') or ''}".split()
            assert set(named) <= set(ids)
            assert attributes.get("tabindex", "-1") == "-1"  # the order is that of the page
        first = next(attributes for tag, attributes in shown.tags if tag in {"a", "input", "button"})
        assert first["href"] == "#content"
        assert ":focus-visible { outline: 3px" in text
    assert len(Page(ada.get(where(row)).text).all("button")) == 1
