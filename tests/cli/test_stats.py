from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest

from samekey._core.model import Event
from samekey._core.states import Status
from samekey._core.tally import SECOND_EFFECT
from samekey.telemetry.prometheus import escaped
from tests.cli.desk import DAY, ago, desk, put, run

if TYPE_CHECKING:
    from pathlib import Path

    from samekey._core.model import Record
    from samekey.stores import SQLiteStore

__all__ = ["desk"]

EVIL = 'x"y\\z\x1b[31m\n[bold]'
LINE = re.compile(
    r'samekey_[a-z_]+(\{operation="(?:[^"\\\n]|\\["\\n])*"(,by="(record|server|look_up|claim)")?\})? [0-9.e+-]+'
)


def story(desk: SQLiteStore) -> list[Record]:
    """One made, one unknown, one for a person."""
    rows = [
        put(desk, "c-1", Status.SUCCEEDED, method="POST"),
        put(desk, "c-2", Status.UNKNOWN, age=1800.0, window_seconds=DAY),
        put(desk, "c-3", Status.NEEDS_REVIEW, age=9 * DAY, operation_name=EVIL),
    ]
    desk.note(rows[0], Event(ago(60), "replay"))
    desk.note(rows[0], Event(ago(8 * DAY), "conflict"))
    return rows


def stats(desk: SQLiteStore, *arguments: str, code: int = 0) -> str:
    return run("stats", "--store", desk.location, *arguments, code=code).stdout


def told(desk: SQLiteStore, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(stats(desk, "--json", *arguments))
    return document


def test_it_shows_each_signal_with_what_it_is_made_of(desk: SQLiteStore) -> None:
    story(desk)
    shown = stats(desk)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(shown.split())
    for words in (
        "Conflict rate 20.00 % 1 of 5 begins",
        "Duplicates prevented 1 1 by record, 0 by server",
        "Writes per business object 1.00 1 for 1 object",
        "Open unknowns 1 the oldest is 30 min old, of a window of 24 h",
        "Review backlog 1 the oldest is 9 d old",
        "3 actions in ",
    ):
        assert words in text
    assert "\x1b" not in shown


def test_since_and_operation_narrow_what_counts_but_not_what_is_open(desk: SQLiteStore) -> None:
    story(desk)
    assert told(desk, "--since", "7d")["conflicts"] == 0
    assert told(desk, "--since", "7d")["actions"] == 2
    assert told(desk, "--since", "7d")["review_backlog"] == 1
    assert told(desk, "--operation", "create_order")["actions"] == 2
    assert told(desk, "--operation", EVIL)["review_backlog"] == 1
    assert told(desk, "--since", ago(3 * DAY).isoformat())["actions"] == 2
    assert told(desk, "--since", "999999w")["actions"] == 3
    assert told(desk, "--since", "2000-01-01")["since"] == "2000-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--since", "yesterday"],
        ["--since", ""],
        ["--since", "-3d"],
        ["--json", "--prometheus"],
        ["--output", "x.prom"],
        ["--prometheus", "--output", "/nowhere/x.prom"],
    ],
)
def test_a_wrong_call_is_one_sentence(desk: SQLiteStore, arguments: list[str]) -> None:
    result = run("stats", "--store", desk.location, *arguments, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("samekey: ")
    assert result.stderr.count("\n") == 1


def test_an_empty_store_has_signals_too(desk: SQLiteStore) -> None:
    text = " ".join(stats(desk).split())
    assert "Conflict rate - 0 of 0 begins" in text
    assert told(desk)["conflict_rate"] is None
    for line in stats(desk, "--prometheus").splitlines():
        assert line.startswith("# ") or LINE.fullmatch(line), line


def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    for command in (["stats"], ["audit"], ["report", "--html", str(tmp_path / "r.html")]):
        run(*command, "--store", str(tmp_path / "none.db"), code=3)
    assert list(tmp_path.iterdir()) == []


# --- Prometheus -------------------------------------------------------------------------------------------------


def test_every_line_is_of_the_format_and_every_family_is_introduced_once(desk: SQLiteStore) -> None:
    story(desk)
    lines = stats(desk, "--prometheus").split("\n")
    assert lines.pop() == ""
    families: list[str] = []
    for index, line in enumerate(lines):
        if line.startswith("# HELP "):
            families.append(line.split()[2])
            assert lines[index + 1] == f"# TYPE {families[-1]} gauge"
        elif not line.startswith("# TYPE "):
            assert LINE.fullmatch(line), line
            assert re.split(r"[{ ]", line)[0] == families[-1]
    assert len(families) == len(set(families))
    assert f'samekey_review_backlog{{operation="{escaped(EVIL)}"}} 1' in lines
    assert not any("oldest_unknown" in line and "bold" in line for line in lines)
    assert not any("default" in line for line in lines)


def test_the_file_is_replaced_in_one_step_and_readable_for_others(desk: SQLiteStore, tmp_path: Path) -> None:
    story(desk)
    file = tmp_path / "samekey.prom"
    file.write_text("old")
    os.chmod(file, 0o600)
    before = file.stat().st_ino
    mask = os.umask(0o077)
    try:
        assert stats(desk, "--prometheus", "--output", str(file)) == ""
    finally:
        os.umask(mask)
    assert file.stat().st_ino != before
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert file.read_text().startswith("# HELP ")
    assert [path.name for path in tmp_path.iterdir() if path.suffix in {".tmp", ".prom"}] == ["samekey.prom"]


def test_what_is_no_file_is_not_replaced_by_one(desk: SQLiteStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # for root, /dev/null would be gone just so
    result = run("stats", "--store", desk.location, "--prometheus", "--output", str(tmp_path / "pipe"), code=2)
    assert "is not a regular file" in result.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_file_that_cannot_be_replaced_stays_as_it_was(
    desk: SQLiteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "samekey.prom"
    file.write_text("old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("samekey.cli.writing.os.fsync", full)
    result = run("stats", "--store", desk.location, "--prometheus", "--output", str(file), code=2)
    assert "No space left on device" in result.stderr
    assert file.read_text() == "old"
    assert not list(tmp_path.glob(".samekey.prom*"))


@pytest.mark.parametrize(
    ("text", "label"), [('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("ä", "ä"), ("\ud800", "?")]
)
def test_labels_are_escaped(text: str, label: str) -> None:
    assert escaped(text) == label


# --- audit ------------------------------------------------------------------------------------------------------


def audit(desk: SQLiteStore, *arguments: str, code: int) -> str:
    return run("audit", "--store", desk.location, *arguments, code=code).stdout


def test_without_duplicates_it_says_how_many_writes_it_compared(desk: SQLiteStore) -> None:
    assert "so there is nothing to compare" in audit(desk, code=0)
    story(desk)
    assert "1 writes for as many business objects" in audit(desk, code=0)
    assert json.loads(audit(desk, "--json", code=0))["duplicates"] == []


def test_two_references_for_one_action_and_one_for_two_are_named_with_exit_code_one(desk: SQLiteStore) -> None:
    one = put(desk, "c-1", Status.SUCCEEDED)
    two = put(desk, "c-2", Status.SUCCEEDED)
    assert one.response_reference == two.response_reference == "ord_9"
    three = put(desk, "c-3", Status.SUCCEEDED, operation_name="pay")
    desk.note(three, Event(ago(1), SECOND_EFFECT, f"reference {EVIL}"))
    shown = audit(desk, code=1)
    assert "\x1b" not in shown
    text = " ".join(shown.split())
    assert "one reference for two" in text
    assert "two references for one" in text
    assert "4 writes for 2 business objects: 2.00" in text
    for row in (one, two, three):
        assert row.idempotency_key[:8] in shown
    document = json.loads(audit(desk, "--json", code=1))
    assert (document["writes"], document["objects"], document["writes_per_object"]) == (4, 2, 2.0)
    assert sorted(len(each["writes"]) for each in document["duplicates"]) == [2, 2]
    assert json.loads(audit(desk, "--json", "--operation", "pay", code=1))["writes"] == 2


def test_a_ratio_that_is_not_one_never_looks_like_one(desk: SQLiteStore) -> None:
    from samekey.cli.stats import ratio

    assert [ratio(value) for value in (None, 1.0, 1.00001, 1.01, 2.0)] == ["-", "1.00", "1.000010", "1.01", "2.00"]
