"""`samekey probe`: does a sandbox do with keys what the profile says?"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from samekey.cli.exits import Exit, complain, leave, sentences
from samekey.cli.options import JsonOption
from samekey.cli.probe_report import conclude, introduce, sent
from samekey.cli.render import as_json, console, count
from samekey.errors import UsageError
from samekey.provider import Provider
from samekey.providers import load
from samekey.testing import ProbeRequest, ProbeVerdict
from samekey.testing import probe as probe_api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from samekey.testing import ProbePlan, ProbeResult, ProbeSend

RequestOption = Annotated[
    Path,
    typer.Option(
        "--request",
        metavar="FILE",
        help="The write, as JSON or TOML: url, headers, json, change, count, …",
        show_default=False,
    ),
]
ProviderOption = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME|FILE",
        help="The profile: a shipped one, or a JSON or TOML file.",
        show_default=False,
    ),
]
HeaderOption = Annotated[
    str | None,
    typer.Option(
        "--header",
        metavar="NAME",
        help="In place of a profile: the header that carries a key.",
        show_default=False,
    ),
]
RetentionOption = Annotated[
    float | None,
    typer.Option(
        "--retention",
        metavar="SECONDS",
        help="Wait so long, then send the first write once more.",
        show_default=False,
    ),
]
DraftOption = Annotated[
    Path | None,
    typer.Option(
        "--draft",
        metavar="FILE",
        help="Write what was seen into this new file, as a profile in JSON.",
        show_default=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Send without asking.")]


def probe(
    request: RequestOption,
    provider: ProviderOption = None,
    header: HeaderOption = None,
    retention: RetentionOption = None,
    draft: DraftOption = None,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Send a write several times to a sandbox, and compare what it does with its profile.

    Twice with one key, once more with other data, then two at once. They are real writes: never probe an account that
    counts.
    """
    sends: list[ProbeSend] = []
    talk = console(error=True)

    def before(plan: ProbePlan) -> None:
        introduce(console(error=json), plan)
        if not yes:
            _ask(plan)

    def on_send(send: ProbeSend) -> None:
        sends.append(send)
        sent(talk, send)

    with sentences(), _told(sends):
        wanted = ProbeRequest.read(request)
        chosen = _provider(provider, header, wanted)
        _check_draft(draft)
        result = probe_api(chosen, wanted, retention=retention, before=before, on_send=on_send)
    facts = result.draft(datetime.now(UTC).date()) if draft is not None else None
    if json:
        print(as_json({**result.as_json(), "draft": facts}))
    else:
        conclude(console(), result)
    if draft is not None:
        _write(draft, facts)
    code = _code(result)
    if code is not Exit.OK:
        raise typer.Exit(code)


@contextmanager
def _told(sends: list[ProbeSend]) -> Iterator[None]:
    """Says how much was sent, should the command be interrupted."""
    try:
        yield
    except KeyboardInterrupt:
        number = count(len(sends), "write")
        complain(f"interrupted; {number} had been sent, as told above." if sends else "interrupted; nothing was sent.")
        raise


def _ask(plan: ProbePlan) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        leave(Exit.USAGE, f"there is no terminal to ask on; add --yes to send {count(plan.writes, 'write')}.")
    if not typer.confirm(f"Send {count(plan.writes, 'write')} to {plan.origin}?", err=True):
        leave(Exit.FAILED, "not agreed to; nothing was sent.")


def _provider(name: str | None, header: str | None, request: ProbeRequest) -> Provider:
    if (name is None) == (header is None):
        raise UsageError(
            "give --provider with a profile's name (see 'samekey providers'), or --header with the name of the header."
        )
    if header is not None:
        try:
            return Provider(_host(request.url), carrier={"kind": "header", "name": header})
        except UsageError:
            raise UsageError(
                f"--header {header!r} is not the name of a header; give one like Idempotency-Key."
            ) from None
    if name is None or not name.lower().endswith((".json", ".toml")):
        return load(name or "")
    return Provider.load(name)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "api"
    except ValueError:  # it is refused where requests are built
        return "api"


def _check_draft(draft: Path | None) -> None:
    """Looks before anything is sent whether a draft can be written."""
    if draft is None:
        return
    if draft.suffix.lower() != ".json":
        raise UsageError(f"--draft {draft}: a draft is JSON; name a new file that ends in .json.")
    if os.path.lexists(draft):
        raise UsageError(f"--draft {draft} is there already, and is not overwritten; name a new file.")
    if not draft.parent.is_dir() or not os.access(draft.parent, os.W_OK):
        raise UsageError(f"--draft {draft}: there is no directory {draft.parent} to write to; name another file.")


def _write(draft: Path, facts: dict[str, Any] | None) -> None:
    if facts is None:
        complain(f"no draft was written to {draft}: the probe could not tell whether the API honours the key.")
        return
    text = as_json(facts)
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(f"{text}\n")
    except OSError as error:
        print(text, file=sys.stderr)
        leave(Exit.USAGE, f"--draft {draft} cannot be written ({error.strerror}); the draft is above.")
    complain(f"wrote {draft}: a draft, with what was seen and no window; read it before you use it.")


def _code(result: ProbeResult) -> Exit:
    if any(fact.verdict is ProbeVerdict.DIFFERS for fact in result.facts):
        return Exit.DIFFERS
    return Exit.FAILED if result.stopped else Exit.OK
