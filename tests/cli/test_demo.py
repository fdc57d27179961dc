"""The demo for real, small: its numbers, its words, its end."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from samekey.cli.app import run
from samekey.cli.demo.plan import Moment, default_kills, draw
from samekey.cli.demo.shop import Shop

SEED = 7
SMALL = ("demo", "--actions", "6", "--kills", "3", "--seed", str(SEED))

linux = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "samekey.cli", *arguments],
        env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A demo that was run with `--json --keep`."""

    directory: Path
    document: dict[str, Any]

    def of(self, script: str) -> dict[str, Any]:
        found: dict[str, Any] = next(entry for entry in self.document["scripts"] if entry["script"] == script)
        return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    directory = tmp_path_factory.mktemp("demo") / "new" / "kept"
    result = start(*SMALL, "--json", "--keep", str(directory), SAMEKEY_SECRET="another one, of this machine")
    assert result.stderr == ""
    assert result.returncode == 0
    return Kept(directory, json.loads(result.stdout))


def test_samekey_makes_every_order_one_time(kept: Kept) -> None:
    samekey = kept.of("samekey")
    assert samekey["intended"] == samekey["created"] == 6
    assert samekey["duplicated"] == samekey["lost"] == samekey["unanswered"] == 0
    assert samekey["through"] is kept.document["ok"] is True


def test_a_new_key_per_call_doubles_what_was_made_when_the_script_was_killed(kept: Kept) -> None:
    kills = draw(6, 3, SEED).kills
    other = kept.of("new key per call")
    assert other["duplicated"] == sum(moment is not Moment.NEVER for moment in kills.values()) == 2


def test_a_script_that_never_retries_loses_and_one_without_key_doubles(kept: Kept) -> None:
    assert kept.of("no retry")["lost"] >= 1
    assert kept.of("no retry")["duplicated"] == 0
    assert kept.of("no key")["duplicated"] >= kept.of("new key per call")["duplicated"]


def test_all_scripts_are_killed_as_often_and_the_numbers_add_up(kept: Kept) -> None:
    assert [entry["script"] for entry in kept.document["scripts"]] == [
        "no key", "new key per call", "no retry", "samekey",
    ]  # fmt: skip
    for entry in kept.document["scripts"]:
        assert entry["kills"] == 3
        assert entry["reruns"] >= 3
        assert entry["created"] == entry["intended"] + entry["duplicated"] - entry["lost"]
        assert entry["requests"] >= entry["created"]


def test_json_has_all_that_the_text_has(kept: Kept) -> None:
    assert kept.document.keys() == {"seed", "actions", "kills", "ok", "scripts", "store", "seconds", "again"}
    assert kept.document["again"] == f"samekey demo --actions 6 --kills 3 --seed {SEED}"
    assert {frozenset(entry) for entry in kept.document["scripts"]} == {
        frozenset(
            {
                "script", "what", "intended", "created", "duplicated", "lost", "unanswered", "kills", "reruns",
                "requests", "through",
            }
        )
    }  # fmt: skip


def test_what_was_kept_can_be_listed(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", "--store", kept.document["store"], "--json"]) == 0
    actions = json.loads(capsys.readouterr().out)["actions"]
    assert {action["status"] for action in actions} == {"succeeded"}
    assert len(actions) == 6


def test_a_directory_that_is_in_use_is_refused(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--keep", str(kept.directory)]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_the_text_is_for_people_fits_eighty_columns_and_leaves_nothing_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    result = start(*SMALL, TMPDIR=str(temporary), HTTP_PROXY="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in result.stdout
    assert any(line.split()[:5] == ["samekey", "6", "6", "0", "0"] for line in lines)
    assert "With samekey each of the 6 orders was made one time" in result.stdout
    assert f"samekey demo --actions 6 --kills 3 --seed {SEED}" in result.stdout
    assert "What to look at next:" in result.stdout
    assert list(temporary.iterdir()) == []


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop that breaks its promise: it does not look at keys."""

    monkeypatch.setattr("samekey.cli.demo.race.Shop", partial(Shop, keys="ignore"))


@pytest.mark.usefixtures("careless")
def test_a_duplicate_under_samekey_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(list(SMALL)) == 1
    out, err = capsys.readouterr()
    assert "samekey failed: it made 2 duplicates" in " ".join(out.split())
    assert err.startswith("samekey: the script said")


ENDING = """
import os, sys
import samekey.cli.demo.board as board

class Ending(board._Lines):
    def moved(self, script, placed, kills):
        if script.name == "samekey" and placed and not kills:
            os.kill(os.getpid(), int(sys.argv[-1]))

board._Lines, arguments = Ending, sys.argv[1:-1]
from samekey.cli.app import run
sys.exit(run(arguments))
"""
"""The demo, sent a signal as soon as an order was placed."""


def end_with(number: int, temporary: Path) -> subprocess.CompletedProcess[str]:
    temporary.mkdir()
    return subprocess.run(
        [sys.executable, "-c", ENDING, "demo", "--kills", "0", str(number)],
        env=os.environ | {"TMPDIR": str(temporary)}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def processes_naming(directory: Path) -> list[int]:
    """Those that have it in their command line, as the scripts have."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in line:
            found.append(int(entry.parent.name))
    return found


@linux
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_demo_that_is_stopped_ends_its_scripts_and_cleans_up(number: int, code: int, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    result = end_with(number, temporary)
    assert result.returncode == code
    assert "Traceback" not in result.stderr
    assert processes_naming(temporary) == []
    assert list(temporary.iterdir()) == []


@linux
def test_scripts_end_by_themselves_if_the_demo_is_killed(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    assert end_with(signal.SIGKILL, temporary).returncode == -signal.SIGKILL
    for process in processes_naming(temporary):
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor) as ended:
            assert select.select([ended], [], [], 30)[0]
    assert processes_naming(temporary) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_depends_on_its_seed_only_and_has_every_kind_of_kill(seed: int) -> None:
    plan = draw(40, None, seed)
    assert plan == draw(40, None, seed)
    assert len({order["cart"] for order in plan.orders}) == 40
    assert len(plan.kills) == 8
    assert set(plan.kills.values()) == set(Moment)
    assert plan.kills != draw(40, None, seed + 1).kills


@pytest.mark.parametrize(("actions", "kills"), [(1, 1), (4, 1), (10, 2), (40, 8), (2000, 8)])
def test_there_is_a_kill_for_every_fifth_order_up_to_eight(actions: int, kills: int) -> None:
    assert default_kills(actions) == kills
    assert draw(1, 1, 0).kills == {"c-001": Moment.AFTER}
