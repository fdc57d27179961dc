"""The command line, one module per command. Needs the extra `cli`."""

import sys
from typing import Final

EXTRA: Final = 'samekey: the command line needs two more packages; run pip install "samekey[cli]".'


def main() -> None:
    """Runs the command line; the entry point of the script `samekey`."""
    try:
        from samekey.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"typer", "rich", "click"}:
            raise
        print(EXTRA, file=sys.stderr)
        sys.exit(2)
    sys.exit(run())
