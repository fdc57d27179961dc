"""On 100,000 actions with known truth, `client.stats()`, `samekey stats` in all its forms, `audit` and `report` agree."""

from __future__ import annotations

import gc
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import samekey
from samekey.cli.app import app
from samekey.stores import SQLiteStore
from tests.telemetry.stories import into_sqlite
from tests.telemetry.truth import Truth, made_up

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 100_000
COUNTED = (
    "actions", "succeeded", "rejected", "begins", "conflicts", "prevented_by_record", "prevented_by_server",
    "prevented_by_look_up", "prevented_by_claim", "attempts", "retried", "recovered", "taken_over",
    "expired_key_blocks", "blocked", "writes", "objects", "unchecked_writes", "open_unknowns", "in_flight",
    "review_backlog", "budget_stops",
)  # fmt: skip
runner = CliRunner()


@pytest.fixture(scope="module")
def truth() -> Iterator[Truth]:
    # All of it is kept, so nothing is gained by collecting garbage in it again and again.
    gc.disable()
    truth = made_up(COUNT)
    gc.freeze()
    gc.enable()
    yield truth
    gc.unfreeze()


@pytest.fixture(scope="module")
def place(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("truth") / "samekey.db"
    store = SQLiteStore(path)
    into_sqlite(store, truth.stories)
    store.close()
    return str(path)


def run(command: str, place: str, *arguments: str, code: int = 0) -> str:
    result = runner.invoke(app, [command, "--store", place, *arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def seconds_since(moment: Any, truth: Truth) -> Any:
    return pytest.approx((truth.now - moment).total_seconds(), abs=120)


def test_the_truth_has_something_of_everything(truth: Truth) -> None:
    counts = truth.all()
    assert [name for name in COUNTED if not counts[name]] == []
    assert counts["actions"] >= COUNT
    assert truth.groups > 5


@pytest.mark.parametrize("operation", [None, "refund <b>&amp;"])
def test_stats_are_the_truth(truth: Truth, place: str, operation: str | None) -> None:
    counts: Counter[str] = truth.all() if operation is None else truth.counts[operation]
    with samekey.Client("https://api.shop.example", provider="stripe-v1", store=place) as client:
        stats = client.stats(operation=operation)
    assert {name: getattr(stats, name) for name in COUNTED} == {name: counts[name] for name in COUNTED}
    assert stats.conflict_rate == counts["conflicts"] / counts["begins"]
    assert stats.recovery_rate == counts["recovered"] / counts["retried"]
    assert stats.writes_per_object == counts["writes"] / counts["objects"]
    assert stats.resends == counts["attempts"] - counts["actions"]
    blocks = counts["expired_key_blocks"]
    assert stats.expired_key_rate == blocks / (counts["attempts"] - counts["actions"] + blocks)
    ways = ("prevented_by_record", "prevented_by_server", "prevented_by_look_up", "prevented_by_claim")
    assert stats.duplicates_prevented == sum(counts[way] for way in ways)
    unknown, review = (operation or "", "unknown"), (operation or "", "review")
    assert stats.oldest_unknown is not None
    assert stats.oldest_review is not None
    assert stats.oldest_unknown.total_seconds() == seconds_since(truth.oldest[unknown], truth)
    assert stats.oldest_unknown_window == timedelta(seconds=truth.windows[unknown])
    assert stats.oldest_review.total_seconds() == seconds_since(truth.oldest[review], truth)
    assert stats.store_latency is not None
    assert 0 < stats.store_latency < 1


def test_what_was_before_does_not_count(truth: Truth, place: str) -> None:
    half = truth.stories[len(truth.stories) // 2].record.created_at
    later = [story for story in truth.stories if story.record.created_at >= half]
    told = json.loads(run("stats", place, "--json", "--since", half.isoformat()))
    assert told["actions"] == len(later)
    kinds = [event.kind for story in later for event in story.events]
    assert told["prevented_by_record"] == kinds.count("replay")
    assert told["open_unknowns"] == truth.all()["open_unknowns"]


def test_the_command_and_its_json_say_the_same(truth: Truth, place: str) -> None:
    counts = truth.all()
    told = json.loads(run("stats", place, "--json"))
    assert {name: told[name] for name in COUNTED} == {name: counts[name] for name in COUNTED}
    shown = " ".join(run("stats", place).split())
    assert f"Conflict rate {counts['conflicts'] / counts['begins'] * 100:.2f} %" in shown
    assert f"{counts['recovered']:,} of {counts['retried']:,} actions sent again" in shown
    assert f"{counts['writes']:,} for {counts['objects']:,} objects" in shown
    assert f"Review backlog {counts['review_backlog']:,} " in shown
    assert "There are duplicates: samekey audit." in shown


def test_the_text_file_says_the_same_by_operation(truth: Truth, place: str, tmp_path: Path) -> None:
    file = tmp_path / "samekey.prom"
    run("stats", place, "--prometheus", "--output", str(file))
    samples = dict(re.findall(r"^(samekey_\w+\{.*\}) (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE))
    for name, counts in truth.counts.items():
        for signal in COUNTED:
            metric, more = f"samekey_{signal}", ""
            if signal.startswith("prevented_by_"):
                metric, more = "samekey_duplicates_prevented", f',by="{signal.removeprefix("prevented_by_")}"'
            assert samples[f'{metric}{{operation="{name}"{more}}}'] == str(counts[signal])


def test_audit_names_every_duplicate_and_nothing_else(truth: Truth, place: str) -> None:
    told = json.loads(run("audit", place, "--json", code=1))
    assert len(told["duplicates"]) == truth.groups
    assert all(len(each["writes"]) == 2 for each in told["duplicates"])
    for each in told["duplicates"]:
        one, other = each["writes"]
        if each["kind"] == "two references for one action":
            assert other["reference"] == f"{one['reference']}-again"
        else:
            assert each["kind"] == "one reference for two actions"
            assert one["reference"] == other["reference"]
            assert one["identity"] != other["identity"]


class Tables(HTMLParser):
    """The tables of a page by their captions, and its tiles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.pairs: list[tuple[str, str]] = []
        self._caption = ""
        self._tag = ""
        self._text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._tag, self._text = tag, ""
        if tag == "tr" and self._caption:
            self.tables[self._caption].append([])

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "caption":
            self._caption = self._text
            self.tables[self._caption] = []
        elif tag in {"th", "td"}:
            self.tables[self._caption][-1].append(self._text)
        elif tag == "table":
            self._caption = ""
        elif tag in {"dt", "dd"}:
            self.pairs.append((tag, self._text))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_report_says_the_same(truth: Truth, place: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    run("report", place, "--html", str(file))
    html = file.read_text(encoding="utf-8")
    page, counts = Tables(html), truth.all()

    def column(caption: str, index: int) -> int:
        return sum(number(row[index]) for row in page.tables[caption][1:])

    assert column("Actions", 1) == counts["succeeded"]
    assert column("Actions", 2) == counts["rejected"]
    assert sum(column("Actions", index) for index in (1, 2, 3)) == counts["actions"]
    ways = ("prevented_by_record", "prevented_by_server", "prevented_by_look_up", "prevented_by_claim")
    assert [column("Duplicates prevented", index) for index in (1, 2, 3, 4)] == [counts[way] for way in ways]
    assert [column("Recoveries", index) for index in (1, 2)] == [
        counts["recovered"],
        counts["retried"] - counts["recovered"],
    ]
    trouble = "Conflicts, expired keys and budget stops"
    wanted = [counts[name] for name in ("conflicts", "expired_key_blocks", "budget_stops")]
    assert [column(trouble, index) for index in (1, 2, 3)] == wanted
    for row in page.tables["Duplicates prevented"][1:]:
        assert number(row[1]) == truth.daily[row[0]]["prevented_by_record"]
    by_name = {row[0]: row for row in page.tables["By operation"][1:]}
    for name, its in truth.counts.items():
        made = by_name[name]
        assert [number(made[index]) for index in (1, 2, 3)] == [its["actions"], its["succeeded"], its["rejected"]]
        assert number(made[4]) == sum(its[way] for way in ways)
        assert number(made[5]) == its["conflicts"]
        assert made[6] == f"{its['recovered']:,} of {its['retried']:,}"
        assert [number(made[index]) for index in (8, 9)] == [its["open_unknowns"], its["review_backlog"]]
        told = dict(page.tables["Conflicts by operation"][1:])[name]
        assert told.startswith(f"{its['conflicts']:,} of {its['begins']:,} begins")
    assert len(page.tables["Open unknowns against their windows"]) - 1 == 12
    assert f"And {counts['open_unknowns'] - 12:,} younger ones." in html
    assert f"{counts['writes']:,} writes for {counts['objects']:,} business objects" in html
    assert f"{truth.groups:,} cases, listed below" in html
