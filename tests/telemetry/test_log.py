"""Every log line is an event of the table, with just the fields that the table names."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import samekey
from samekey._core.model import Event
from samekey._core.run import Done, Run
from samekey.telemetry import log
from tests.core.driving import plan
from tests.telemetry.stories import make

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
RECORD = replace(make(1, datetime(2026, 11, 24, tzinfo=UTC)), correlation_id="run-7")
ERROR = samekey.OutcomeUnknownError(
    "create_order(cart='SCOPE-VALUE'): …", key=RECORD.idempotency_key, correlation_id="run-7"
)
CALLS: dict[str, Any] = {
    "made": lambda: log.finished(RECORD, replayed=False, recovered=False),
    "replayed": lambda: log.finished(RECORD, replayed=True, recovered=False),
    "recovered": lambda: log.finished(RECORD, replayed=False, recovered=True),
    "recognised": lambda: log.prevented(Done(Run(plan()), RECORD, told=Event(RECORD.created_at, "found"))),
    "wait": lambda: log.waiting(RECORD, 4.2, 3, 5, "HTTP 503"),
    "await": lambda: log.awaiting(RECORD, 30),
    "budget_stop": lambda: log.out_of_budget(RECORD, "HTTP 503"),
    "new_generation": lambda: log.new_generation(RECORD),
    "duplicate": lambda: log.duplicate("create_order", RECORD),
    "contract_changed": lambda: log.contract_changed(RECORD, ("volatile",)),
    "failure": lambda: log.failed("create_order", ERROR),
    "unrecorded": lambda: log.unrecorded(RECORD, "the outcome could not be stored"),
}


@pytest.fixture(autouse=True)
def _all(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.DEBUG, "samekey"):
        yield


@pytest.mark.parametrize("event", CALLS)
def test_a_line_has_its_level_and_its_fields_and_no_scope(event: str, caplog: pytest.LogCaptureFixture) -> None:
    CALLS[event]()
    (line,) = caplog.records
    defined = log.EVENTS[event]
    facts = {name: value for name, value in vars(line).items() if name not in STANDARD}
    assert facts.keys() == {*log.ALWAYS, *defined.fields}
    assert (facts["event"], facts["operation"], facts["key"]) == (event, "create_order", RECORD.idempotency_key[:8])
    assert facts["correlation_id"] in ({None} if event == "duplicate" else {"run-7"})
    assert line.levelno == (defined.level or logging.WARNING)
    assert line.getMessage().startswith("create_order: ")
    assert "SCOPE-VALUE" not in line.getMessage()
    assert RECORD.idempotency_key not in f"{line.getMessage()}{facts}"


def test_every_event_about_an_action_is_tried_here() -> None:
    assert CALLS.keys() == {name for name, event in log.EVENTS.items() if event.about_action}


def logged(tree: ast.AST) -> Iterator[tuple[int, str | None]]:
    """The calls of a logger of ours outside of `log.py`, with the event that they name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in {"debug", "info", "warning", "error", "exception", "critical"}:
                continue
            if "log" not in ast.unparse(node.func.value).lower():
                continue
            extra = next((each.value for each in node.keywords if each.arg == "extra"), None)
            names = ast.literal_eval(extra) if isinstance(extra, ast.Dict) else {}
            yield node.lineno, names.get("event")


def test_no_line_is_logged_that_the_table_does_not_have() -> None:
    found = {}
    for path in sorted((ROOT / "src" / "samekey").rglob("*.py")):
        for line, event in logged(ast.parse(path.read_text(encoding="utf-8"))):
            found[f"{path.name}:{line}"] = event
    assert {where: event for where, event in found.items() if event not in log.EVENTS} == {}
    assert set(found.values()) == {name for name, event in log.EVENTS.items() if not event.about_action}


def test_the_page_has_the_table() -> None:
    from docs.hooks import log_events

    page = (ROOT / "docs" / "reference" / "logging.md").read_text(encoding="utf-8")
    assert "<!-- made: log -->" in page
    table = log_events()
    for name, event in log.EVENTS.items():
        assert f"| `{name}` |" in table
        assert all(f"`{field}`" in table for field in event.fields)


def test_it_is_quiet_until_the_program_asks() -> None:
    code = "import samekey, sys\nfrom samekey.telemetry import log\nlog.logger.warning('loud')\n"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
