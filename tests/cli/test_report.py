"""The report in a real browser: whole without anything else, readable in light, dark, on a telephone and on paper."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Status
from samekey.cli.report.charts import scale_step
from samekey.cli.report.markup import Markup, join, tag
from samekey.cli.report.stretches import MOST, timeline, wants_hours
from samekey.stores import SQLiteStore
from samekey.stores._tally import tally
from tests.cli.browsers import browser
from tests.cli.desk import DAY, ago, desk, put, run
from tests.telemetry.stories import Story, into_sqlite, make
from tests.telemetry.truth import made_up

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

__all__ = ["browser", "desk"]

EVIL = "<script>alert(1)</script>\x1b[31m\"'&"
KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of all kinds of things, some of them evil."""
    path = tmp_path_factory.mktemp("report") / "samekey.db"
    store = SQLiteStore(path)
    truth = made_up(3000)
    evil = [
        Story(make(number, ago(DAY), EVIL, status=Status.UNKNOWN), [Event(ago(DAY), "conflict")])
        for number in range(100_000, 100_020)
    ]
    same = [Story(make(number, ago(DAY), EVIL, response_reference=EVIL)) for number in (100_030, 100_031)]
    into_sqlite(store, truth.stories + evil + same)
    store.close()
    return path


@pytest.fixture(scope="module")
def html(place: Path) -> Path:
    file = place.parent / "report.html"
    shown = run("report", "--store", str(place), "--html", str(file)).stdout
    assert "open it in a browser" in shown
    return file


def test_it_has_no_scope_no_whole_key_no_url_and_nothing_from_elsewhere(html: Path) -> None:
    text = html.read_text(encoding="utf-8")
    assert "SCOPE-VALUE" not in text
    assert not KEY.search(text)
    assert "api.shop.example" not in text
    assert not re.search(r"""(src|href)=["'](?!data:,)""", text)
    assert "http:" not in text.replace("http-equiv", "")
    assert "https:" not in text
    assert "<script" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text


def page(browser: Browser, html: Path, **options: Any) -> Any:
    context = browser.new_context(java_script_enabled=False, **options)
    context.set_default_timeout(60_000)
    tab: Any = context.new_page()
    tab.problems = []
    tab.on("console", lambda message: tab.problems.append(message.text))
    tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or tab.problems.append(request.url))
    tab.goto(html.as_uri())
    return tab


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 390])
def test_it_fits_and_every_chart_is_seen(browser: Browser, html: Path, scheme: Any, width: int) -> None:
    tab = page(browser, html, color_scheme=scheme, viewport={"width": width, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.problems == []
    charts = tab.locator("svg").all()
    assert len(charts) == 6
    ground = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red, green, blue = map(int, re.findall(r"\d+", ground)[:3])
    assert (red + green + blue < 384) == (scheme == "dark")
    for chart in charts:
        box = chart.bounding_box()
        assert box["width"] <= width
        assert box["height"] > 30
        fills = chart.evaluate("c => [...c.querySelectorAll('rect')].map(r => getComputedStyle(r).fill)")
        assert fills
        assert "rgb(0, 0, 0)" not in fills  # a colour that no rule gives
    size = tab.evaluate(
        "getComputedStyle(document.querySelector('.chart .tick')).fontSize.slice(0, -2)"
        " * document.querySelector('.chart').getBoundingClientRect().width / 720"
    )
    assert size >= 9  # pixels, as they come out on the screen
    hidden = tab.evaluate("[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length")
    assert hidden == 0 or width < 1100  # no column of a table is out of sight
    picture = tab.screenshot(full_page=True)
    assert len(picture) > 20_000
    tab.context.close()


def test_every_chart_has_a_name_a_description_and_a_table(browser: Browser, html: Path) -> None:
    tab = page(browser, html)
    tree = tab.locator("body").aria_snapshot()
    for name in ("Actions", "Duplicates prevented", "Recoveries", "Conflicts by operation", "Open unknowns against"):
        assert f'img "{name}' in tree
    for section in tab.locator("section:has(svg)").all():
        assert section.locator("details table caption").count() == 1
        assert section.locator("svg > desc").text_content()
        section.locator("summary").click()
        assert section.locator("tbody tr").first.is_visible()
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    assert tab.locator("h1").count() == 1
    assert tab.evaluate("document.documentElement.lang") == "en"
    tab.context.close()


def contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_and_columns_be_told_from_the_ground(browser: Browser, html: Path, scheme: Any) -> None:
    tab = page(browser, html, color_scheme=scheme)
    card = tab.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    for selector in (".hint", ".made", ".tile dt", "summary", ".value"):
        ink = tab.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color")
        assert contrast(ink, card) >= 4.5, selector
    tick = tab.evaluate("getComputedStyle(document.querySelector('.chart text')).fill")
    assert contrast(tick, card) >= 4.5
    verdict = tab.evaluate("(v => [v.color, v.backgroundColor])(getComputedStyle(document.querySelector('.verdict')))")
    assert contrast(*verdict) >= 4.5
    for number in range(1, 7):
        colour = tab.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--c{number}')")
        red, green, blue = (int(colour.strip()[at : at + 2], 16) for at in (1, 3, 5))
        assert contrast(f"rgb({red}, {green}, {blue})", card) >= 3, number
    tab.context.close()


def test_it_prints_in_light_on_few_pages(browser: Browser, html: Path) -> None:
    tab = page(browser, html, color_scheme="dark")
    tab.emulate_media(media="print")
    ground = tab.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    ink = tab.evaluate("getComputedStyle(document.querySelector('.hint')).color")
    assert contrast(ink, ground) >= 4.5
    tab.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
    assert tab.evaluate("document.documentElement.scrollWidth") <= 718
    shown = tab.locator("h2").all_inner_texts()
    assert "By operation" in shown
    assert not tab.locator("h2", has_text="What the numbers mean").is_visible()  # nothing to unfold on paper
    printed = tab.pdf(format="A4", print_background=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 6
    tab.context.close()


def test_an_empty_store_and_a_quiet_one_have_a_report_too(browser: Browser, desk: SQLiteStore, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    run("report", "--store", desk.location, "--html", str(file))
    tab = page(browser, file)
    assert "No action in this time" in tab.locator("main").inner_text()
    assert tab.locator("svg").count() == 0
    put(desk, "c-1", Status.SUCCEEDED)
    run("report", "--store", desk.location, "--html", str(file), "--operation", "create_order", "--since", "2d")
    tab.goto(file.as_uri())
    text = tab.locator("main").inner_text()
    assert "No duplicates: 1 write for as many business objects." in text
    assert "per hour" in text
    assert tab.title() == "samekey report: create_order"
    tab.context.close()


def test_it_needs_a_place_and_says_when_it_cannot_write_there(desk: SQLiteStore, tmp_path: Path) -> None:
    result = run("report", "--store", desk.location, code=2)
    assert "--html" in result.output
    result = run("report", "--store", desk.location, "--html", str(tmp_path / "none" / "r.html"), code=2)
    assert "cannot be written" in result.stderr
    mask = os.umask(0o077)
    try:
        shown = run("report", "--store", desk.location, "--html", str(tmp_path / "r.html"), "--json").stdout
    finally:
        os.umask(mask)
    assert '"actions": 0' in shown
    assert (
        stat.S_IMODE((tmp_path / "r.html").stat().st_mode) == 0o600
    )  # it has references; who may read it, the umask says


@pytest.mark.parametrize("days", [1, 2, 30, 98, 400, 3000, 20_000])
def test_time_is_cut_into_as_many_stretches_as_can_be_seen(tmp_path: Path, days: int) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    now = ago(0)
    into_sqlite(store, [Story(make(number, ago(DAY * (days - 1) * number / 9 + 1))) for number in range(10)])
    counted = tally(store, stretch_seconds=86_400)
    hours = wants_hours(counted, now)
    if hours:
        counted = tally(store, stretch_seconds=3600)
    made = timeline(counted, now, hours=hours)
    assert hours == (days <= 2)
    assert len(made.stretches) <= MOST
    assert sum(each.rows.actions for each in made.stretches) == 10
    assert made.stretches[-1].rows.actions >= 1
    store.close()


def test_of_more_time_than_can_be_seen_the_oldest_is_left_out(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "samekey.db")
    now = ago(0)
    future = ago(-400 * DAY)
    into_sqlite(
        store, [Story(make(1, make(1, now).created_at.replace(year=1905))), Story(make(2, now)), Story(make(3, future))]
    )
    made = timeline(tally(store, stretch_seconds=86_400), now, hours=False)
    assert made.cut
    assert len(made.stretches) == MOST
    assert made.stretches[-1].rows.actions == 2  # a clock that was ahead counts as now
    store.close()


@pytest.mark.parametrize(("most", "step"), [(0, 1), (1, 1), (4, 1), (5, 2), (9, 5), (37, 10), (99, 50), (1234, 500)])
def test_a_scale_has_few_and_round_lines(most: int, step: int) -> None:
    assert scale_step(most) == step


def test_markup_is_escaped_by_construction() -> None:
    assert tag("p", EVIL, title=EVIL, class_="a", aria_label="b", hidden=None) == Markup(
        '<p title="&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m&quot;&#x27;&amp;" class="a" aria-label="b">'
        "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m&quot;&#x27;&amp;</p>"
    )
    assert join(tag("b", "x"), "<", None) == "<b>x</b>&lt;"
    assert tag("rect", x=1.0, y=2.345) == '<rect x="1" y="2.35"/>'
    assert tag("rect", tag("title", "t"), x=10.0) == '<rect x="10"><title>t</title></rect>'
