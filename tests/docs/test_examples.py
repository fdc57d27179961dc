"""The code in the documentation runs, and does what the text beside it says."""

from __future__ import annotations

import ast
import dataclasses
import re
import textwrap
from pathlib import Path

import pytest

import samekey
from samekey.testing import Fault, FlakyServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# `<!-- run -->` on the line before marks what must run as it stands, with the server's address put in.
BLOCK = re.compile(r"^(?P<run><!-- run -->\n)?```python(?: title=\S+)?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"https://api\.shop\.example|http://127\.0\.0\.1:8700")


@dataclasses.dataclass(frozen=True)
class Example:
    page: Path
    line: int
    code: str
    runs: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def sends(self) -> bool:
        return ".post(" in self.code or ".create(" in self.code

    def run(self, server: FlakyServer) -> None:
        source = "\n" * (self.line - 1) + ADDRESS.sub(server.url, self.code)
        exec(compile(source, str(self.page), "exec", dont_inherit=True), {"__name__": "__main__"})


def examples() -> list[Example]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("code")) + 1
            found.append(Example(page, line, textwrap.dedent(match["code"]), runs=bool(match["run"])))
    return found


ALL = examples()
RUNNABLE = [example for example in ALL if example.runs]
FIRST = next(example for example in RUNNABLE if example.page.name == "README.md")


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMEKEY_STORE", str(tmp_path / "samekey.db"))


@pytest.mark.parametrize("example", ALL, ids=str)
def test_every_block_is_python_and_names_only_what_exists(example: Example) -> None:
    for node in ast.walk(ast.parse(example.code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "samekey":
            assert hasattr(samekey, node.attr)


@pytest.mark.parametrize("example", RUNNABLE, ids=str)
def test_a_runnable_block_run_twice_adds_no_effect(
    example: Example, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FlakyServer() as server:
        monkeypatch.setattr("stripe._stripe_client.DEFAULT_API_BASE", server.url)
        for vendor in ("ANTHROPIC", "INCREASE", "MODERN_TREASURY", "OPENAI"):
            monkeypatch.setenv(f"{vendor}_BASE_URL", server.url)
            monkeypatch.setenv(f"{vendor}_API_KEY", "key")
        monkeypatch.setenv("MODERN_TREASURY_ORGANIZATION_ID", "organization")
        example.run(server)
        effects = server.effects
        capsys.readouterr()
        example.run(server)

        assert server.effects == effects
        if ADDRESS.search(example.code) or "_client=" in example.code:
            assert len(effects) == example.sends
        if "made now" in example.code:
            assert "already made" in capsys.readouterr().out


def test_the_first_example_says_what_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    with FlakyServer() as server:
        FIRST.run(server)
        FIRST.run(server)

        (effect,) = server.effects
    reference = effect.reference
    assert capsys.readouterr().out == f"{reference} made now\n{reference} already made\n"


def test_the_first_example_makes_one_order_although_an_answer_was_lost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with FlakyServer() as server:
        server.script(Fault.COMMIT_THEN_DROP)
        FIRST.run(server)

        (effect,) = server.effects
    assert capsys.readouterr().out == f"{effect.reference} made now\n"


def test_the_first_example_tells_of_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    with FlakyServer() as server:
        server.script(Fault.REJECT(402))
        FIRST.run(server)

        assert not server.effects
    assert capsys.readouterr().out.startswith("402 ")
