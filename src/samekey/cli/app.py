"""The commands under one name, and how they end."""

from __future__ import annotations

import errno
import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from samekey.cli.audit import audit
from samekey.cli.contract import contract
from samekey.cli.copy import copy
from samekey.cli.demo.command import demo
from samekey.cli.doctor import doctor
from samekey.cli.exits import EXIT_CODES, Exit, complain
from samekey.cli.export import export
from samekey.cli.list_ import list_actions
from samekey.cli.migrate import migrate
from samekey.cli.probe import probe
from samekey.cli.providers import providers
from samekey.cli.purge import purge
from samekey.cli.recheck import recheck
from samekey.cli.recover import recover
from samekey.cli.reencrypt import reencrypt
from samekey.cli.report.command import report
from samekey.cli.resolve import resolve
from samekey.cli.review import review
from samekey.cli.show import show
from samekey.cli.stats import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

EPILOG: Final = "Exit codes: " + "; ".join(f"{code.value} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

SEE: Final = "Exit codes: see samekey --help."

app: Final = typer.Typer(
    name="samekey",
    add_completion=False,
    pretty_exceptions_enable=False,  # they would print the values of variables
    rich_markup_mode=None,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list", epilog=SEE)(list_actions)
app.command("show", epilog=SEE)(show)
app.command("review", epilog=SEE)(review)
app.command("resolve", epilog=SEE)(resolve)
app.command("recheck", epilog=SEE)(recheck)
app.command("recover", epilog=SEE)(recover)
app.command("stats", epilog=SEE)(stats)
app.command("report", epilog=SEE)(report)
app.command("audit", epilog=SEE)(audit)
app.command("doctor", epilog=SEE)(doctor)
app.command("purge", epilog=SEE)(purge)
app.command("migrate", epilog=SEE)(migrate)
app.command("copy", epilog=SEE)(copy)
app.command("reencrypt", epilog=SEE)(reencrypt)
app.command("export", epilog=SEE)(export)
app.command("contract", epilog=SEE)(contract)
app.command("providers", epilog=SEE)(providers)
app.command("probe", epilog=SEE)(probe)
app.command("demo", epilog=SEE)(demo)


def _version(asked: bool) -> None:
    if asked:
        print(f"samekey {version('samekey')}")
        raise typer.Exit


VersionOption = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
]


@app.callback(invoke_without_command=True)
def samekey(context: typer.Context, _asked: VersionOption = False) -> None:
    """One idempotency key per business action: see what it does, and what is in its store."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(Exit.USAGE)


_NOT_WRITTEN: Final = frozenset({errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT})
"""What standard output answers, where nobody takes it or no room is left."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    _never_fail_on_a_letter(sys.stdout, sys.stderr)
    try:
        code = app(args=arguments, prog_name="samekey", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except OSError as error:
        if error.errno not in _NOT_WRITTEN or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # else the reader has left, as `head` does
            complain(f"the output cannot be written ({error.strerror}).")
        return Exit.FAILED
    except Exception as error:
        # Of click or of typer, which brings a click of its own: a wrong option or argument.
        describe = getattr(error, "format_message", None)
        if describe is None:
            raise
        complain(_usage(describe(), getattr(error, "ctx", None)))
        return Exit.USAGE
    if code == Exit.INTERRUPTED:
        complain("stopped.")
    return int(code or Exit.OK)


def _usage(message: str, context: typer.Context | None) -> str:
    command = context.command_path if context is not None else "samekey"
    text = message.rstrip(".")
    see = " See" if text.endswith("?") else "; see"
    return f"{text[:1].lower()}{text[1:]}{see} '{command} --help'."


def _never_fail_on_a_letter(*streams: TextIO) -> None:
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
