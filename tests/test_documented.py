"""Whatever is public is in the documentation, and whatever it names is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

import samekey
import samekey.testing
from samekey.cli.app import app

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def commands() -> list[str]:
    import typer.main

    group = typer.main.get_command(app)
    return sorted(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_every_command_has_its_row_and_its_help_in_the_reference(command: str) -> None:
    assert f"| `samekey {command}" in (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
    listed = re.search(
        r"^COMMANDS = \((.*?)\)", (DOCS / "hooks.py").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert listed
    assert f'"{command}"' in listed[1]


@pytest.mark.parametrize("name", [name for name in samekey.__all__ if name.endswith("Error")])
def test_every_exception_says_in_the_reference_what_to_do(name: str) -> None:
    assert f"`{name}`" in (DOCS / "reference" / "exceptions.md").read_text(encoding="utf-8")


def test_every_public_class_and_function_has_a_docstring() -> None:
    undescribed = [
        name
        for module in (samekey, samekey.testing)
        for name in module.__all__
        if isinstance(getattr(module, name), type | types.FunctionType) and not getattr(module, name).__doc__
    ]
    assert not undescribed


def test_every_fixture_of_the_plugin_is_described() -> None:
    source = (ROOT / "src" / "samekey" / "pytest_plugin.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"^@pytest\.fixture\ndef (\w+)", source, re.MULTILINE)
    page = (DOCS / "how-to" / "prove-your-script.md").read_text(encoding="utf-8")
    assert len(fixtures) == 6
    assert not [name for name in fixtures if f"| `{name}` |" not in page]


def test_every_variable_that_is_read_is_in_the_reference_and_no_other() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    read = {name for source in sources for name in re.findall(r"[\"\s`(](SAMEKEY_[A-Z_]*[A-Z])\b", source)}
    assert read == set(re.findall(r"\b(SAMEKEY_[A-Z_]*[A-Z])\b", page))
    # Names come in as constants, or by a rule that the page describes: a variable of another name is found here.
    asked = {
        match for source in sources for match in re.findall(r"os\.environ(?:\.get\(|\[|\.pop\()\s*([^\],)]+)", source)
    }
    assert asked <= {'"SAMEKEY_SECRET"', "VARIABLE", "_STORE_VARIABLE"}


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert not [page for page in pages if f"- {page}\n" not in listed]


def test_links_between_the_readme_and_the_documentation_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_action_of_the_workflows_is_pinned_by_its_commit() -> None:
    workflows = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for path in workflows:
        text = path.read_text(encoding="utf-8")
        assert re.search(r"^permissions:", text, re.MULTILINE)
        used = re.findall(r"uses: (\S+)", text)
        assert not [action for action in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)]
    pythons = re.findall(
        r":: (3\.\d+)$",
        "\n".join(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]),
        re.MULTILINE,
    )
    assert f"python: {json.dumps(pythons)}" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_the_version_that_the_command_tells_is_the_packages() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "samekey.cli", "--version"], capture_output=True, check=True, text=True
    )
    assert said.stdout == f"samekey {samekey.__version__}\n"
