"""The program as a whole: how it starts, how it ends, what it says when it cannot."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from samekey.cli.app import EPILOG, SEE, app, run
from samekey.cli.exits import EXIT_CODES, Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from samekey import Client


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samekey.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def blocked(*modules: str, arguments: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """The entry point, where these cannot be imported."""
    code = f"import sys; sys.modules.update(dict.fromkeys({modules!r})); from samekey.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_names_the_extra(missing: str) -> None:
    result = blocked(missing, f"{missing}.console")
    assert result.returncode == 2
    assert 'pip install "samekey[cli]"' in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_entry_point_itself_imports_neither_typer_nor_rich() -> None:
    code = "import sys, samekey.cli; sys.exit(bool({'typer', 'samekey.cli.app'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_the_version_is_told() -> None:
    result = program("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"samekey \d+\.\d+\.\d+\S*\n", result.stdout)


def test_help_tells_the_exit_codes_and_fits_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["list"], ["show"], ["stats"], ["report"], ["audit"], ["providers"], ["probe"], ["demo"]):
        assert run([*command, "--help"]) == 0
        lines = capsys.readouterr().out.splitlines()
        text = " ".join(" ".join(lines).split())
        assert (SEE if command else EPILOG) in text
        assert max(map(len, lines)) <= 80
    assert all(meaning in EPILOG for meaning in EXIT_CODES.values())


def test_every_exit_code_is_documented() -> None:
    assert set(EXIT_CODES) == set(Exit)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://somebody:hunter2@127.0.0.1:9/samekey", "postgresql://somebody@127.0.0.1:9/samekey"),
        ("redis://somebody:hunter2@127.0.0.1:9/1", "redis://127.0.0.1:9/1"),
    ],
)
def test_a_store_on_a_server_that_is_not_there_is_told_without_its_password(
    url: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["list", "--store", url]) == 4
    told = capsys.readouterr()
    assert shown in told.err
    assert "hunter2" not in told.out + told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["lst"],
        ["list", "--no-such-option"],
        ["list", "--limit", "0"],
        ["list", "--limit", "many"],
        ["list", "--status", "lost"],
        ["list", "--store", ""],
        ["list", "--store", "memory://"],
        ["list", "--store", "mysql://somebody:hunter2@db/samekey"],
        ["show"],
        ["show", "7f", "extra"],
        ["demo", "--actions", "0"],
        ["demo", "--actions", "3", "--kills", "4"],
        ["demo", "--seed", "-1"],
    ],
)
def test_a_wrong_call_is_one_sentence_and_exit_code_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("samekey: ")
    assert err.count("\n") == 1
    assert "hunter2" not in err


def test_without_a_command_it_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["list"], ["show", "7f"]])
def test_a_store_that_cannot_be_used_is_one_sentence_and_exit_code_four(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database, and longer than the header of one: " * 40)
    for place in (tmp_path, other):
        assert run([*command, "--store", str(place)]) == 4
        err = capsys.readouterr().err
        assert err.startswith("samekey: ")
        assert err.count("\n") == 1
    assert other.read_text().startswith("not a database")
    assert list(tmp_path.iterdir()) == [other]


def test_a_store_that_vanished_is_not_taken_for_one_that_never_was(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.unlink(store)
    assert run(["list", "--store", store]) == 4
    assert "vanished" in capsys.readouterr().err


def test_ctrl_c_is_one_sentence_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("samekey.cli.list_.existing_store", interrupt)
    assert run(["list"]) == 130
    assert capsys.readouterr().err == "samekey: stopped.\n"


def test_a_bug_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("samekey.cli.list_.existing_store", fail)
    with pytest.raises(ZeroDivisionError):
        run(["list"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_an_output_that_is_full_is_one_sentence(store: str) -> None:
    command = [sys.executable, "-m", "samekey.cli", "list", "--store", store]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "samekey: the output cannot be written (No space left on device).\n"
    assert done.returncode == Exit.FAILED


def test_a_reader_that_leaves_early_is_no_error_message(store: str) -> None:
    command = f"'{sys.executable}' -m samekey.cli list --store '{store}' --json"
    result = subprocess.run(["sh", "-c", f"{command} | true"], capture_output=True, text=True, check=False, timeout=120)
    assert result.stderr == ""


def test_a_terminal_with_a_small_alphabet_is_no_obstacle(store: str, connect: Callable[[], Client]) -> None:
    from tests.cli.conftest import write

    with connect() as client:
        write(client, "wäre-€")
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-m", "samekey.cli", "list", "--store", store],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0
    assert "create_order" in result.stdout


def test_all_commands_are_functions_of_one_app() -> None:
    names = [
        "list",
        "show",
        "review",
        "resolve",
        "recheck",
        "recover",
        "stats",
        "report",
        "audit",
        "doctor",
        "purge",
        "migrate",
        "copy",
        "reencrypt",
        "export",
        "contract",
        "providers",
        "probe",
        "demo",
    ]
    assert [command.name for command in app.registered_commands] == names
