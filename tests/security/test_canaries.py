"""Secrets are put into every place that takes one, and searched for on every surface. None is found."""

from __future__ import annotations

import os
import pickle
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.trace import SpanKind
from pydantic import SecretStr

import samekey
from samekey.cli.app import app, run
from samekey.stores import SQLiteStore
from samekey.telemetry import otel
from samekey.testing import FlakyServer
from tests.cli.served import served, visitor, where
from tests.client.test_secrets_at_rest import stored_bytes
from tests.client.views import event_loop
from tests.security.canaries import (
    CANARIES,
    PLACES,
    Runs,
    Trail,
    chain,
    environment,
    found_in,
    listening,
    pickled,
    told,
)
from tests.telemetry.conftest import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY: Final = "{key}"
STORE: Final = "{store}"
NEW: Final = "{new}"
"""Stand for each action's key, the store, and the folder in which commands may make files."""

SERVERS: Final = [
    f"postgresql://me:{CANARIES['store-url']}@127.0.0.1:9/x?connect_timeout=1&options={CANARIES['store-url']}",
    f"redis://me:{CANARIES['store-url']}@127.0.0.1:9/0",
]
"""Nobody is there."""

COMMANDS: Final[dict[str, list[list[str]]]] = {
    "list": [[], ["--json"], ["--status", "succeeded"]],
    "show": [[KEY], [KEY, "--json"]],
    "review": [[], ["--json"]],
    "resolve": [[KEY, "--abandon", "--by", "ada", "--note", "gone"]],
    "recheck": [[KEY, "--client", "tests.security.test_canaries:make_client"]],
    "recover": [["--client", "tests.security.test_canaries:make_client"]],
    "doctor": [[], ["--json"]],
    "purge": [[], ["--json"]],
    "reencrypt": [[], ["--json"]],
    "export": [[]],
    "stats": [[], ["--json"], ["--prometheus"], ["--prometheus", "--output", f"{NEW}/samekey.prom"]],
    "audit": [[], ["--json"]],
    "report": [["--html", f"{NEW}/report.html"], ["--html", f"{NEW}/report.html", "--json"]],
    "migrate": [[], ["--json"], *(["--store", url] for url in SERVERS)],
    "copy": [
        ["--from", STORE, "--to", f"{NEW}/copy/samekey.db"],
        ["--from", STORE, "--to", f"{NEW}/copy/samekey.db", "--json"],
        ["--from", STORE, "--to", f"{NEW}/copy/samekey.db", "--dry-run"],
        *(["--from", STORE, "--to", url] for url in SERVERS),
        *(["--from", url, "--to", f"{NEW}/none.db"] for url in SERVERS),
    ],
}
"""What is run of each command that reads a store. A new command of that kind has its line here."""
WITHOUT_A_STORE: Final = {"contract", "providers", "probe", "demo"}


def make_client() -> samekey.Client:
    """The client that `recheck` and `recover` ask for."""
    return Runs(_state["server"], _state["path"], Trail()).connect()


_state: dict[str, Any] = {}


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """What OpenTelemetry got of it, where httpx is instrumented."""
    seen, instrumentor = Seen(), HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=seen.provider, meter_provider=seen.meters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(otel, "OBSERVER", seen.observer)
        yield seen
    instrumentor.uninstrument()
    seen.provider.shutdown()
    seen.meters.shutdown()


@pytest.fixture(scope="module", params=["sync", "asyncio"])
def runs(request: pytest.FixtureRequest, seen: Seen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    before = dict(os.environ)
    os.environ.update(environment())
    path = tmp_path_factory.mktemp("canaries") / "store" / "samekey.db"
    trail = Trail()
    seen.exporter.clear()
    try:
        with ExitStack() as stack:
            server = stack.enter_context(FlakyServer())
            portal = None if request.param == "sync" else stack.enter_context(event_loop(request.param))
            _state.update(server=server, path=path)
            runs = Runs(server, path, trail, portal)
            with listening(trail):
                runs.all()
            yield runs
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_the_secrets_were_given_and_sent(runs: Runs) -> None:
    sent = b"\n".join(f"{seen.target} {seen.headers}".encode() + seen.body for seen in runs.server.requests)
    # The password of the URL takes the place of the header.
    never = {
        "authorization",
        "fragment",
        "proxy",
        "environment",
        "illegal",
        "option",
        "bad-url",
        "reconcile",
        "answer",
        "user",
        "store-url",
    }
    assert set(PLACES) - set(found_in(sent)) == never


def test_every_kind_of_end_was_there(runs: Runs) -> None:
    kinds = {type(error).__name__ for error in runs.trail.errors.values()}
    assert kinds >= {
        "ActionRejectedError", "DuplicateActionError", "KeyReusedError", "NeedsReviewError", "NotSentError",
        "OutcomeUnknownError", "UsageError", "StoreUnavailableError",
    }  # fmt: skip
    assert {"success", "replay", "second try"}.isdisjoint(runs.trail.errors)
    assert len(runs.trail.errors) >= 20


def test_no_secret_is_in_what_users_catch(runs: Runs) -> None:
    found = {name: found_in(told(error)) for name, error in runs.trail.errors.items()}
    assert {name: places for name, places in found.items() if places} == {}


def test_no_secret_is_in_a_pickle_of_it(runs: Runs) -> None:
    found: dict[str, list[str]] = {}
    for name, error in runs.trail.errors.items():
        assert str(pickle.loads(pickled(error))) == str(error)
        for link in chain(error):
            try:
                data = pickled(link)
            except (TypeError, AttributeError, pickle.PicklingError):
                continue  # a foreign one that never could be
            found[f"{name} {type(link).__name__}"] = found_in(data)
    assert {name: places for name, places in found.items() if places} == {}


def test_no_secret_is_in_how_an_object_shows_itself(runs: Runs) -> None:
    kinds = {text.removeprefix("<").partition("(")[0].partition(" ")[0] for text in runs.trail.shown}
    mine = (
        {"Action", "Client", "SQLiteStore"}
        if runs.portal is None
        else {"AsyncAction", "AsyncClient", "AsyncSQLiteStore"}
    )
    assert kinds >= {"Plan", "Prepared", "Outgoing", "Send", "Record", "Exchange", "Address"} | mine
    assert {text[:200] for text in runs.trail.shown if found_in(text)} == set()


def test_no_secret_is_in_a_log_line_of_any_level(runs: Runs) -> None:
    assert {line.partition(" ")[0] for line in runs.trail.logged}
    shown = [line for line in runs.trail.logged if "'name': 'samekey'" in line or "'name': 'httpx'" in line]
    assert len(shown) > 20
    assert {place for line in runs.trail.logged for place in found_in(line)} == set()


def test_no_secret_is_in_a_span_or_a_metric(runs: Runs, seen: Seen) -> None:
    assert runs.trail.keys
    spans = [span.to_json() for span in seen.spans()]
    attributes = {name for span in seen.spans() for name in span.attributes or {}}
    assert {span.kind for span in seen.spans()} == {SpanKind.INTERNAL, SpanKind.CLIENT}
    assert any(span.links for span in seen.spans())
    assert attributes >= {"url.full", "samekey.key.digest", "error.type", "http.request.resend_count"}
    data = seen.reader.get_metrics_data()
    assert data is not None
    assert seen.units().keys() >= {"samekey.action.duration", "samekey.events", "samekey.duplicates.prevented"}
    assert {place for text in [*spans, data.to_json()] for place in found_in(text)} == set()
    assert [key for key in runs.trail.keys if any(key in text for text in [*spans, data.to_json()])] == []


def test_no_secret_is_in_the_signals(runs: Runs) -> None:
    whole, orders = runs.trail.stats
    assert whole.actions > orders.actions > 5
    for stats in runs.trail.stats:
        assert pickle.loads(pickled(stats)) == stats
        assert found_in(repr(stats).encode() + pickled(stats)) == []


def test_no_secret_is_stored_once_all_is_settled(runs: Runs) -> None:
    store = SQLiteStore(runs.store)
    records = store.find()
    for record in records:
        if record.status is samekey.Status.NEEDS_REVIEW:
            assert run(["resolve", record.idempotency_key, "--happened", "--reference", "r-1", "--by", "ada",
                        "--note", "x", "--seen", record.version, "--store", str(runs.store)]) == 0  # fmt: skip
    left = [record for record in store.find() if not record.settled and record.status is not samekey.Status.PENDING]
    assert left == []
    pickles = b"".join(pickled(record) for record in store.find())
    store.close()
    found = stored_bytes(runs.store)
    assert b"o-1" in found
    assert found_in(found) == []
    assert found_in(pickles) == []
    everything = b"".join(path.read_bytes() for path in runs.store.parent.rglob("*") if path.is_file())
    assert found_in(everything) == []  # the secret's own file too: a given one is kept elsewhere


def test_every_command_that_reads_a_store_is_looked_at() -> None:
    names = {str(command.name) for command in app.registered_commands}
    assert names == COMMANDS.keys() | WITHOUT_A_STORE, "put the new command into COMMANDS of this file"


def test_no_command_shows_a_secret(
    runs: Runs, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    stands = {STORE: str(runs.store), NEW: str(tmp_path)}
    shown: dict[str, list[str]] = {}
    for name, calls in COMMANDS.items():
        for arguments in calls:
            for key in runs.trail.keys if KEY in arguments else [""]:
                given = [replaced(argument, stands | {KEY: key}) for argument in arguments]
                place = [] if {"--client", "--store", "--from"} & set(given) else ["--store", str(runs.store)]
                run([name, *given, *place])
                out, err = capfd.readouterr()
                assert out + err or "--output" in given
                shown[f"{name} {given}"] = found_in(out + err)
    assert {command: places for command, places in shown.items() if places} == {}
    files = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert files.keys() >= {"samekey.prom", "report.html", "copy/samekey.db"}
    assert {name: found for name, path in files.items() if (found := found_in(path.read_bytes()))} == {}


def replaced(argument: str, stands: dict[str, str]) -> str:
    for name, value in stands.items():
        argument = argument.replace(name, value)
    return argument


def test_no_page_of_the_review_desk_shows_a_secret(runs: Runs) -> None:
    store = SQLiteStore(runs.store)
    with served(store) as address, visitor(address) as client:
        pages = client.get("?status=all").text + "".join(client.get(where(row)).text for row in store.find())
    store.close()
    assert "order" in pages
    assert found_in(pages) == []


def test_a_secret_would_be_found_wherever_it_is() -> None:
    for place, secret in CANARIES.items():
        assert found_in(f"x{secret}y") == [place]
        assert found_in(f"x{secret}y".encode()) == [place]


def test_what_a_secret_is_wrapped_in_is_not_shown_either(runs: Runs) -> None:
    with runs.connect() as client:
        runs.one("wrapped", client, 90, made={"url": "/orders", "json": {"a": SecretStr(CANARIES["option"])}})
    assert isinstance(runs.trail.errors["wrapped"], samekey.UsageError)
    assert found_in(told(runs.trail.errors["wrapped"])) == []
