"""The desk in a real browser, which alone can tell what its own rules make of the page's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samekey._core.states import Status
from tests.cli.browsers import browser, context
from tests.cli.desk import decide, decisions, desk, now, put
from tests.cli.served import served

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext
    from playwright.sync_api import Page as Tab

    from samekey.stores import SQLiteStore

__all__ = ["browser", "context", "desk"]


def focus(tab: Tab) -> str:
    """Where the keyboard is."""
    found = tab.locator(":focus")
    return found.get_attribute("id") or found.get_attribute("type") or found.inner_text()


def test_a_person_settles_an_action_with_the_keyboard_alone(desk: SQLiteStore, context: BrowserContext) -> None:
    row = put(desk, "<script>alert(1)</script>")
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("dialog", lambda dialog: problems.append(dialog.message))
    with served(desk) as address:
        tab.goto(address)
        order: list[str] = []
        while not order or order[-1].startswith(("Skip", "Review", "status", "operation", "text", "submit")):
            tab.keyboard.press("Tab")
            order.append(focus(tab))
        assert order == [
            "Skip to the content",
            "Review desk",
            "status",
            "operation",
            "text",
            "submit",
            "create_order(customer=42, cart='<script>alert(1)</script>')",
        ]
        outline = tab.locator(":focus").evaluate("element => getComputedStyle(element).outlineStyle")
        assert outline == "solid"
        tab.keyboard.press("Enter")
        tab.wait_for_url("**/actions/**")
        tab.locator("#happened").focus()
        tab.keyboard.press("Space")
        for words in ("ord_9", None, "ada", "found by its cart number", "ticket 4711"):
            tab.keyboard.press("Tab")
            if words is not None:
                tab.keyboard.press("ControlOrMeta+a")
                tab.keyboard.type(words)
        tab.keyboard.press("Tab")
        assert focus(tab) == "submit"
        tab.keyboard.press("Enter")
        tab.wait_for_url("**decided=1**")
        assert "Your decision is recorded" in tab.get_by_role("status").inner_text()
        assert "succeeded" in tab.get_by_role("heading", level=1).inner_text()
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    after = now(desk, row)
    assert (after.status, after.response_reference) == (Status.SUCCEEDED, "ord_9")
    ((kind, told),) = decisions(desk, row)
    assert (kind, told["by"], told["note"], told["evidence"]) == (
        "resolved",
        "ada",
        "found by its cart number",
        "ticket 4711",
    )
    assert problems == []


def test_a_page_that_was_open_too_long_says_what_was_decided_meanwhile(
    desk: SQLiteStore, context: BrowserContext
) -> None:
    row = put(desk, "c-1")
    tab = context.new_page()
    with served(desk) as address:
        tab.goto(f"{address}actions/{row.idempotency_key}")
        decide(desk, row, "--happened", "--reference", "ord_9", by="bob")
        tab.get_by_label("Abandon it").check()
        tab.get_by_label("Note").fill("not wanted")
        tab.get_by_role("button", name="Record the decision").click()
        assert "bob decided 'happened'" in tab.get_by_role("alert").inner_text()
    assert now(desk, row).status is Status.SUCCEEDED


def test_another_site_in_the_same_browser_decides_nothing(desk: SQLiteStore, context: BrowserContext) -> None:
    row = put(desk, "c-1")
    with served(desk) as address:
        tab = context.new_page()
        where = f"{address}actions/{row.idempotency_key}"
        tab.goto(where)
        hidden = [
            (name, tab.locator(f"input[name={name}]").get_attribute("value")) for name in ("seen", "ticket", "token")
        ]
        fields = [*hidden, ("decision", "abandon/abandon"), ("by", "eve"), ("note", "x")]
        inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in fields)
        tab.route("http://evil.example/", lambda route: route.fulfill(
            content_type="text/html", body=f'<form method="post" action="{where}">{inputs}<button>win</button></form>',
        ))  # fmt: skip
        tab.goto("http://evil.example/")
        tab.get_by_role("button").click()
        tab.get_by_text("nothing was decided").wait_for()
    assert now(desk, row) == row
    assert decisions(desk, row) == []
