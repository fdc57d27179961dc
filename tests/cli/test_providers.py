from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from samekey.cli.app import app, run
from samekey.providers import NAMES, load

runner = CliRunner()


def invoke(*arguments: str) -> str:
    result = runner.invoke(app, ["providers", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_profile_has_its_line_in_eighty_columns() -> None:
    lines = invoke().splitlines()
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in NAMES] == list(NAMES)
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if line.startswith("gce ")).split() == [
        "gce", "requestId", "query", "unknown", "stop", "P",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_told_whole_with_its_sources(name: str) -> None:
    told = "".join(invoke(name).split())
    for source in load(name).sources:
        assert "".join(source.split()) in told
    assert max(map(len, invoke(name).splitlines())) <= 80


def test_for_programs_it_is_json() -> None:
    documents = json.loads(invoke("--json"))
    assert [document["name"] for document in documents] == list(NAMES)
    alone = json.loads(invoke("stripe-v1", "--json"))
    assert (alone["carrier"]["name"], alone["tier"]) == ("Idempotency-Key", "P")


def test_a_name_that_is_none_ends_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["providers", "strip"]) == 2
    assert capsys.readouterr().err.startswith("samekey: 'strip' is not a provider profile (did you mean 'stripe-v1'")


def test_a_profile_of_ones_own_is_explained_from_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(
        'name = "shop"\nwindow = 3600\ntiers = {window = "S"}\nrefused = [{status = 200, code_at = "error"}]\n'
        'failed = [{code_at = "state", code = "dead"}]\nlookup = {kind = "by_key", url = "{url}?q={key}", stamp = "note"}\n'
        'endpoints = [{path = "/mail", carrier = {kind = "none"}}, {method = "POST", path = "/x", window = 60}, {path = "/y"}]\n',
        encoding="utf-8",
    )
    told = " ".join(invoke(str(path)).split())
    for fact in (
        "window 1 h from the first send",
        "refusals besides 4xx 200 with error",
        "failed for good state = dead: a refusal",
        'look-up GET {url}?q={key}, {url} being the write\'s own, if the operation has stamp="note"',
        "endpoint any write /mail: key in none",
        "endpoint POST /x: window 1 min",
        "endpoint any write /y: as the others",
        "tier your own; window: secondary sources",
    ):
        assert fact in told
    path.write_text("name = ", encoding="utf-8")
    assert run(["providers", str(path)]) == 2
    assert "it does not parse" in capsys.readouterr().err
