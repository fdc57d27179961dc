"""`samekey probe` from the command line: what it asks, what it says, how it ends, and what it never shows."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import samekey
from samekey.cli.app import run
from samekey.stores import MemoryStore
from samekey.testing import Fault, FlakyServer, probe

SECRET = "CANARY-HEADER"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", SECRET)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def stripe_like() -> Iterator[FlakyServer]:
    """Says what the profile of Stripe says, but for the answer while running, which it has no occasion for."""
    with FlakyServer(on_mismatch=400) as server:
        yield server


def request_file(place: Path, server: FlakyServer, **fields: Any) -> str:
    path = place / "request.json"
    count = {"url": f"{server.url}/effects", "at": "/effects"}
    whole = {
        "url": f"{server.url}/orders", "json": {"total": "19.99"}, "change": "/total", "count": count,
        "headers": {"Authorization": "Bearer ${SHOP_KEY}"},
    }  # fmt: skip
    path.write_text(json.dumps(whole | fields), encoding="utf-8")
    return str(path)


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the command and returns what it said, in which the secret never is."""

    def ran(*arguments: str) -> Told:
        code = run(["probe", *arguments])
        out, err = capsys.readouterr()
        assert SECRET not in out + err
        return Told(code, out, err)

    return ran


def test_it_sends_with_yes_and_says_that_all_agrees(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    said = told("--provider", "stripe-v1", "--request", request_file(tmp_path, stripe_like), "--yes")
    assert said.code == 0
    text = " ".join(said.out.split())
    assert f"POST {stripe_like.url}/orders 5 writes to {stripe_like.url}." in text
    assert "2 if it does as stripe-v1 says, up to 5 if it ignores the key. 5 look-ups count them." in text
    assert "5 writes had 2 effects. As far as it was seen, it does as stripe-v1 says." in text
    assert [line.split(",")[0].split(":")[0] for line in said.err.splitlines()] == [
        "first write", "the same again", "other data under the key", "one of two at once", "one of two at once",
    ]  # fmt: skip
    assert max(map(len, said.out.splitlines())) <= 80
    assert all(request.header("Authorization") == f"Bearer {SECRET}" for request in stripe_like.requests)


def test_an_api_that_differs_has_an_exit_code_of_its_own(told: Any, tmp_path: Path) -> None:
    with FlakyServer(keys="ignore") as server:
        said = told("--header", "Idempotency-Key", "--request", request_file(tmp_path, server), "--yes")
        assert len(server.effects) == 5
    assert said.code == 7
    assert "It differs from 127.0.0.1: the same again, other data under the key, two at once." in " ".join(
        said.out.split()
    )


def test_an_api_without_keys_gets_two_writes(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    request = request_file(tmp_path, stripe_like, count=None, change=None)
    said = told("--provider", "keyless", "--request", request, "--yes")
    assert (said.code, len(stripe_like.effects)) == (0, 2)
    text = " ".join(said.out.split())
    assert f"2 writes to {stripe_like.url}. Their effects are real: 2. They are not counted." in text
    assert "Effects were not counted, only told by the answers" in text


def test_a_look_up_that_is_not_believed_is_told(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    with FlakyServer() as elsewhere:
        count = {"url": f"{elsewhere.url}/effects", "at": "/effects"}
        request = request_file(tmp_path, stripe_like, count=count)
        said = told("--provider", "stripe-v1", "--request", request, "--yes")
    assert said.code == 0
    assert "The look-up went from 0 by 0 with the first write, not by 1: it was not used." in " ".join(said.out.split())


def test_a_header_of_ones_own_carries_the_key(told: Any, tmp_path: Path) -> None:
    with FlakyServer(key_header="X-Order-Key", on_mismatch=422) as server:
        said = told("--header", "X-Order-Key", "--request", request_file(tmp_path, server), "--yes")
        assert (said.code, len(server.effects)) == (0, 2)
        assert all(request.header("Idempotency-Key") is None for request in server.requests)


def test_without_a_terminal_and_without_yes_nothing_is_sent(
    told: Any, stripe_like: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        said = told("--provider", "stripe-v1", "--request", request_file(tmp_path, stripe_like))
    assert (said.code, said.err) == (2, "samekey: there is no terminal to ask on; add --yes to send 5 writes.\n")
    assert not stripe_like.requests


def on_a_terminal(answer: bytes, *arguments: str) -> tuple[int, str]:
    """Runs the program with a terminal as its standard input, on which somebody has typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        done = subprocess.run(
            [sys.executable, "-m", "samekey.cli", "probe", *arguments],
            stdin=theirs, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert SECRET not in done.stdout + done.stderr
    return done.returncode, done.stderr


def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(stripe_like: FlakyServer, tmp_path: Path) -> None:
    arguments = ("--provider", "stripe-v1", "--request", request_file(tmp_path, stripe_like))
    question = f"Send 5 writes to {stripe_like.url}? [y/N]:"
    for answer in (b"n\n", b"\n"):
        code, said = on_a_terminal(answer, *arguments)
        assert (code, said.replace(": samekey", ":samekey")) == (
            1,
            f"{question}samekey: not agreed to; nothing was sent.\n",
        )
    assert not stripe_like.requests
    code, said = on_a_terminal(b"y\n", *arguments)
    assert (code, len(stripe_like.requests)) == (0, 5)
    assert said.startswith(question)


def test_for_programs_it_is_json(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    said = told("--provider", "stripe-v1", "--request", request_file(tmp_path, stripe_like), "--yes", "--json")
    document = json.loads(said.out)
    assert document.keys() == {"agrees", "stopped", "plan", "sends", "facts", "effects", "notes", "draft"}
    assert (document["agrees"], document["stopped"], document["effects"], document["draft"]) == (True, None, 2, None)
    assert [fact["verdict"] for fact in document["facts"]].count("agrees") == 4
    assert said.code == 0


def test_a_draft_is_a_profile_that_drives_a_client(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    place, request = tmp_path / "draft.json", request_file(tmp_path, stripe_like)
    said = told("--provider", "stripe-v1", "--request", request, "--yes", "--draft", str(place))
    assert (said.code, f"wrote {place}" in said.err) == (0, True)
    text = place.read_text(encoding="utf-8")
    assert SECRET not in text
    provider = samekey.Provider.model_validate(json.loads(text))
    assert (provider.name, provider.tier, provider.window) == ("stripe-v1-probed", "probed", None)
    today = datetime.now(UTC).date()
    assert any(day.isoformat() in provider.sources[0] for day in (today, today - timedelta(days=1)))
    made = len(stripe_like.effects)
    stripe_like.script(Fault.COMMIT_THEN_DROP)
    with (
        samekey.Client(stripe_like.url, provider=provider, window=timedelta(hours=1), store=MemoryStore()) as client,
        client.action("order", scope={"cart": 1}) as action,
    ):
        action.post("/orders", json={"total": "1.00"})
    assert (action.replayed, action.attempts, len(stripe_like.effects)) == (False, 2, made + 1)
    again = told("--provider", str(place), "--request", request, "--yes", "--json", "--draft", str(tmp_path / "2.json"))
    assert again.code == 0
    assert json.loads(again.out)["draft"] == json.loads((tmp_path / "2.json").read_text(encoding="utf-8"))


def test_a_file_that_is_there_is_not_overwritten_and_nothing_is_sent(
    told: Any, stripe_like: FlakyServer, tmp_path: Path
) -> None:
    request = request_file(tmp_path, stripe_like)
    (tmp_path / "mine.json").write_text("mine")
    (tmp_path / "link.json").symlink_to(tmp_path / "nowhere")
    for name, why in {
        "mine.json": "is there already, and is not overwritten",
        "link.json": "is there already, and is not overwritten",
        "no/such.json": "there is no directory",
        "draft.toml": "a draft is JSON",
    }.items():
        said = told("--provider", "stripe-v1", "--request", request, "--yes", "--draft", str(tmp_path / name))
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert why in said.err
    assert (tmp_path / "mine.json").read_text() == "mine"
    assert not stripe_like.requests


def test_a_draft_file_that_came_meanwhile_is_not_overwritten_and_the_draft_is_not_lost(
    told: Any, stripe_like: FlakyServer, tmp_path: Path
) -> None:
    place, request = tmp_path / "draft.json", request_file(tmp_path, stripe_like)
    stripe_like.on_request = lambda _seen: place.write_text("somebody's")  # type: ignore[assignment]
    said = told("--provider", "stripe-v1", "--request", request, "--yes", "--draft", str(place))
    assert (said.code, place.read_text()) == (2, "somebody's")
    assert '"name": "stripe-v1-probed"' in said.err


def test_nothing_learned_is_no_draft(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    place, request = tmp_path / "draft.json", request_file(tmp_path, stripe_like)
    stripe_like.script(Fault.REJECT(402))
    said = told("--provider", "stripe-v1", "--request", request, "--yes", "--draft", str(place))
    assert (said.code, place.exists()) == (1, False)
    assert "no draft was written" in said.err
    text = " ".join(said.out.split())
    assert "The probe ended early: the first write was answered with HTTP 402" in text
    assert text.endswith("1 write had been sent.")


def test_a_lost_answer_ends_it_and_says_what_was_sent(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    stripe_like.script(Fault.NONE, Fault.COMMIT_THEN_DROP)
    said = told("--provider", "stripe-v1", "--request", request_file(tmp_path, stripe_like), "--yes")
    assert said.code == 1
    assert "it may have been carried out; 2 writes had been sent." in " ".join(said.out.split())
    assert len(stripe_like.requests) == 2
    told_of = [line for line in said.err.splitlines() if line.startswith(("first write", "the same again"))]
    assert len(told_of) == 2


def test_the_retention_is_asked_for_in_seconds(
    told: Any, stripe_like: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("samekey.cli.probe.probe_api", lambda *a, **o: probe(*a, **o, sleep=slept.append))
    request = request_file(tmp_path, stripe_like)
    said = told("--provider", "stripe-v1", "--request", request, "--yes", "--retention", "90")
    assert (said.code, slept, len(stripe_like.requests)) == (0, [90.0], 6)
    assert "Before the last one it waits 90 s." in " ".join(said.out.split())
    assert "after 90 s" in said.out


def test_ctrl_c_says_what_had_been_sent(
    told: Any, stripe_like: FlakyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **options: Any) -> Any:
        def sleep(_seconds: float) -> None:
            raise KeyboardInterrupt

        return probe(*arguments, **options, sleep=sleep)

    monkeypatch.setattr("samekey.cli.probe.probe_api", interrupt)
    request = request_file(tmp_path, stripe_like)
    said = told("--provider", "stripe-v1", "--request", request, "--yes", "--retention", "90")
    assert said.code == 130
    assert "samekey: interrupted; 5 writes had been sent, as told above.\nsamekey: stopped.\n" in said.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "give --provider with a profile's name"),
        (("--provider", "stripe-v1", "--header", "X-Key"), "give --provider with a profile's name"),
        (("--provider", "strip"), "'strip' is not a provider profile"),
        (("--provider", "nowhere.json"), "nowhere.json: it cannot be read"),
        (("--header", "X Key"), "--header 'X Key' is not the name of a header"),
        (("--header", "Authorization"), "brings its own Authorization header"),
        (("--provider", "stripe-v1", "--retention", "0"), "retention: give a number of seconds"),
        (("--provider", "stripe-v1", "--retention", "nan"), "retention: give a number of seconds"),
        (("--provider", "square-payments", "--retention", "many"), "a valid number"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_sends_nothing(
    told: Any, stripe_like: FlakyServer, tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    said = told(*arguments, "--request", request_file(tmp_path, stripe_like), "--yes")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert why in said.err
    assert not stripe_like.requests


def test_a_wrong_request_names_its_file_and_field(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    request = request_file(tmp_path, stripe_like, headers={"Authorization": "Bearer ${NO_SUCH_KEY_HERE}"})
    said = told("--provider", "stripe-v1", "--request", request, "--yes")
    assert said.code == 2
    assert said.err.startswith(f"samekey: {request}: headers.Authorization: the environment variable NO_SUCH_KEY_HERE")
    request = request_file(tmp_path, stripe_like, headers={"Idempotency-Key": "mine"})
    said = told("--provider", "stripe-v1", "--request", request, "--yes")
    assert said.err.startswith(f"samekey: {request}: the request brings its own Idempotency-Key header")
    assert not stripe_like.requests


def test_a_profile_file_that_is_wrong_is_told_by_its_name(told: Any, stripe_like: FlakyServer, tmp_path: Path) -> None:
    profile = tmp_path / "shop.toml"
    request = request_file(tmp_path, stripe_like)
    for text, why in {"": "name: ", "name = 'x'\nwindw = 5": "windw: there is no such option"}.items():
        profile.write_text(text)
        said = told("--provider", str(profile), "--request", request, "--yes")
        assert said.code == 2
        assert said.err.startswith(f"samekey: {profile}: provider ")
        assert why in said.err
    profile.write_text("name = 'x'\n[carrier]\nkind = 'json'\nname = 'request_id'")
    said = told("--provider", str(profile), "--request", request, "--yes")
    assert said.code == 7  # the server looks for its key in a header
    assert all(b'"request_id"' in request.body for request in stripe_like.requests)


def test_an_answer_cannot_steer_the_terminal(told: Any, tmp_path: Path) -> None:
    with FlakyServer() as server:
        request = request_file(
            tmp_path, server, json={"id": "\x1b[31m[bold]x", "n": 1}, change="/n", reference="/data/id"
        )
        said = told("--header", "Idempotency-Key", "--request", request, "--yes")
    assert "\x1b" not in said.out + said.err
    assert "[bold]x" in said.err
