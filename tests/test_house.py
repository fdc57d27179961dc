"""Rules about the code itself that no linter has."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import samekey

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "samekey").rglob("*.py"))
CORE = [path for path in SOURCES if "_core" in path.parts]

MAX_LINES = 400

IMPURE_CALLS = {"breakpoint", "compile", "eval", "exec", "input", "open", "print", "__import__"}
IMPURE_METHODS = {"now", "today", "utcnow", "uuid1", "uuid4", "uuid6", "uuid7", "urandom", "getrandbits"}
# Parts of packages that the core may otherwise use, so that the import linter cannot see them.
IMPURE_MODULES = {
    "email.message", "http.client", "http.server", "importlib.resources", "tenacity.nap", "urllib.request",
}  # fmt: skip


def label(path: Path) -> str:
    return str(path.relative_to(ROOT))


def impurities(tree: ast.AST) -> Iterator[str]:
    """What a core module must not do, each with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS | IMPURE_METHODS:
                yield f"line {node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"line {node.lineno}: .{name}()"
            case ast.Import(names=names) if found := {alias.name for alias in names} & IMPURE_MODULES:
                yield f"line {node.lineno}: import of {', '.join(sorted(found))}"
            case ast.ImportFrom(module=str(module), names=names):
                wanted = {module, *(f"{module}.{alias.name}" for alias in names)}
                if found := wanted & IMPURE_MODULES:
                    yield f"line {node.lineno}: import of {', '.join(sorted(found))}"
            case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
                yield f"line {node.lineno}: async code"
            case ast.Global():
                yield f"line {node.lineno}: a global that changes"
            case _:
                pass


@pytest.mark.parametrize("path", CORE, ids=label)
def test_the_core_reads_no_clock_draws_no_randomness_and_does_no_io(path: Path) -> None:
    assert not list(impurities(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "datetime.now(UTC)",
        "date.today()",
        "uuid.uuid4()",
        "uuid4()",
        "open('x')",
        "import urllib.request",
        "from urllib import request",
        "from http.client import HTTPConnection",
        "async def f(): ...",
        "def f():\n    global x",
    ],
)
def test_the_search_for_impure_code_finds_it(code: str) -> None:
    assert list(impurities(ast.parse(code)))


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_no_module_is_longer_than_one_can_keep_in_mind(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES


def test_public_names_are_sorted_and_every_one_can_be_imported() -> None:
    assert list(samekey.__all__) == sorted(set(samekey.__all__))
    assert not [name for name in samekey.__all__ if not hasattr(samekey, name)]


def test_every_public_name_has_a_home_and_only_the_public_ones_have() -> None:
    assert sorted(samekey._HOME_OF) == samekey.__all__
    assert set(samekey.__all__) <= set(dir(samekey))
    with pytest.raises(AttributeError, match="no attribute 'Cilent'"):
        getattr(samekey, "Cilent")  # noqa: B009 - a type checker would see it


def test_who_only_catches_exceptions_waits_for_no_http_client() -> None:
    code = "import samekey, sys; samekey.OutcomeUnknownError; sys.exit(bool({'httpx', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_whatever_is_public_in_the_package_is_announced() -> None:
    modules = {path.stem for path in (ROOT / "src" / "samekey").iterdir()}
    ours = [name for name in vars(samekey) if name.isidentifier()]  # pytest adds other ones to a package with a plugin
    seen = {name for name in ours if not name.startswith("_")} - modules
    assert seen <= set(samekey.__all__)


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_every_module_can_be_imported_with_the_cli_extra(path: Path) -> None:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    if parts[-1] == "__main__":
        pytest.skip("importing it runs it")
    importlib.import_module(".".join(parts).removesuffix(".__init__"))


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_there_is_one_list_of_pythons() -> None:
    metadata = project()["project"]
    pythons = re.findall(r":: (3\.\d+)$", "\n".join(metadata["classifiers"]), re.MULTILINE)

    assert metadata["requires-python"] == f">={pythons[0]}"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {pythons[0]} or newer" in readme
    assert f"Python {pythons[0]} to {pythons[-1]}" in readme


def test_the_version_has_one_source() -> None:
    assert samekey.__version__ == project()["project"]["version"]
    assert not [
        path for path in SOURCES if re.search(r"^__version__ = ", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def test_only_the_four_dependencies_are_needed() -> None:
    names = [re.split(r"\W", requirement)[0] for requirement in project()["project"]["dependencies"]]
    assert names == ["httpx", "platformdirs", "pydantic", "tenacity"]


def test_the_readme_starts_with_the_two_commands_for_a_fresh_machine() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*)\n```$", readme, re.MULTILINE)[:2]

    assert commands == [
        "pip install uv && uv run --extra cli samekey demo",
        "pip install uv && uv run pytest -n auto --dist worksteal",
    ]


@pytest.mark.parametrize("path", [*SOURCES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=label)
def test_nobody_promises_what_no_client_can_keep(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    assert not re.search(r"exactly[\s-]once", text)


# --- what the linter is told to leave alone ------------------------------------------------------------------

NOQA = re.compile(r"#\s*(?:ruff:\s*)?noqa(?::\s*(?P<codes>[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*))?(?P<rest>.*)")
LOOKED_AT = [
    path
    for folder in ("src", "tests", "benchmarks", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if ".venv" not in path.parts
]


def unexplained(text: str) -> list[str]:
    """The lines that silence a rule without a reason; one reason does for the same rule further down in the file."""
    explained: set[str] = set()
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = NOQA.search(line)
        if match is None:
            continue
        codes = {code.strip() for code in (match["codes"] or "").split(",")} - {""}
        reason = match["rest"].strip(" -():")
        if codes and reason:
            explained |= codes
        elif not codes or not codes <= explained:
            found.append(f"line {number}: {line.strip()}")
    return found


@pytest.mark.parametrize("path", LOOKED_AT, ids=label)
def test_every_silenced_rule_has_its_reason(path: Path) -> None:
    if path.samefile(__file__):
        pytest.skip("its examples are not")
    assert unexplained(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("x()  # noqa: S603", 1),
        ("x()  # noqa", 1),
        ("x()  # noqa: S603 - our own scripts", 0),
        ("x()  # noqa: S603 (our own scripts)\ny()  # noqa: S603", 0),
        ("x()  # noqa: S603 (our own scripts)\ny()  # noqa: S608", 1),
        ("# ruff: noqa: S608", 1),
    ],
)
def test_the_search_for_missing_reasons_finds_them(code: str, lines: int) -> None:
    assert len(unexplained(code)) == lines


def test_every_rule_that_is_ignored_everywhere_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = text[text.index("[tool.ruff.lint]") : text.index("[tool.ruff.lint.pycodestyle]")]
    entries = re.findall(r'^    "([A-Z]+[0-9]*)",?(.*)$', lint, re.MULTILINE)
    assert len(entries) > 40
    reason = ""
    for code, rest in entries:
        # A rule without a word of its own has that of the one above, which is its sister.
        reason = rest.strip(" #") or reason
        assert reason, code
    security = [code for code, _ in entries if re.fullmatch(r"S[0-9]*", code)]
    assert "S" not in security  # all of them at once would be no audit
    alone = dict(entries)
    assert [code for code in security if not alone[code].strip(" #") and code != "S106"] == []


def test_the_rules_of_security_are_on() -> None:
    assert project()["tool"]["ruff"]["lint"]["select"] == ["ALL"]
