from __future__ import annotations

import json

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
