"""Whether a SQLite store is well: what could lose a record, or let a stranger read one."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from samekey._core.values import fixed
from samekey._core.window import CLOCK_MARGIN_SECONDS
from samekey.errors import StoreError
from samekey.stores import _sql
from samekey.stores._codec import moment
from samekey.stores._connection import Connection
from samekey.stores._creation import SCHEMA
from samekey.stores._engine import Engine
from samekey.stores._files import Files
from samekey.stores._holders import Holder

LEAST_FREE_BYTES: Final = 100 * 2**20
"""Below this a disk is as good as full for a store: its log alone may need as much."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@fixed
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        well: whether it is as it should be.
        told: what was found, and what to do if it is not well.
    """

    name: str
    well: bool
    told: str


def examine(files: Files, engine: Engine, holder: Holder | None, now: datetime) -> Iterator[Check]:
    """Looks at everything; repairs nothing.

    Args:
        files: where the store is.
        engine: reads the database.
        holder: this process, as the store knows it; None if it could not be opened.
        now: the wall clock.
    """
    yield _directory(files.directory)
    for name, path in (("database", files.database), ("log", files.log), ("secret", files.secret)):
        if os.path.lexists(path):
            yield _private(name, path, 0o600)
    yield _space(files)
    try:
        yield from engine.read(lambda connection: list(_inside(connection, files, now)))
        if holder is not None:
            yield _holders(files, holder)
    except StoreError as error:
        yield Check("reading", well=False, told=str(error))


def _directory(path: str) -> Check:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    # Who may only look sees names; who may write can put another file in the store's place. A sticky one forbids that.
    well = not mode & (stat.S_IWGRP | stat.S_IWOTH) or bool(mode & stat.S_ISVTX)
    told = f"mode {mode:04o}"
    return Check(
        "directory", well=well, told=told if well else f"others can replace the files in it ({told}); chmod go-w {path}"
    )


def _private(name: str, path: str, wanted: int) -> Check:
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & _OTHERS:
        return Check(
            name, well=False, told=f"others of this machine can reach it (mode {mode:04o}); chmod {wanted:o} {path}"
        )
    return Check(name, well=True, told=f"only its user can reach it (mode {mode:04o})")


def _space(files: Files) -> Check:
    found = os.statvfs(files.directory)
    free = found.f_bavail * found.f_frsize
    told = f"{free // 2**20:,} MiB free"
    return Check("disk", well=free >= LEAST_FREE_BYTES, told=told if free >= LEAST_FREE_BYTES else f"{told}; make room")


def _inside(connection: Connection, files: Files, now: datetime) -> Iterator[Check]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    told = f"schema {version}, SQLite {sqlite3.sqlite_version}, journal mode "
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    yield Check("schema", well=version == SCHEMA and mode == "wal", told=told + mode)
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)").fetchall()]
    sound = found == ["ok"]
    advice = "; restore it from a backup, and do not delete it: it is what prevents duplicates"
    yield Check("pages", well=sound, told="all are sound" if sound else "; ".join(found) + advice)
    yield clock_check(connection.execute(_sql.LATEST_TIME).fetchone()[0], now)
    size = os.path.getsize(files.log) if os.path.lexists(files.log) else 0
    yield Check("log size", well=True, told=f"{size // 1024:,} KiB")


def clock_check(latest: float | None, now: datetime) -> Check:
    """Whether a clock is behind what the store has seen."""
    if latest is None:
        return Check("clock", well=True, told="nothing is stored yet to compare it with")
    ahead = moment(latest) - now
    if ahead <= timedelta(seconds=CLOCK_MARGIN_SECONDS):
        return Check("clock", well=True, told="not behind what the store has seen")
    told = f"behind what the store has seen, by {ahead.total_seconds():.0f} s: windows count as closed; set the clock"
    return Check("clock", well=False, told=told)


def _holders(files: Files, holder: Holder) -> Check:
    names = [name for name in os.listdir(files.holders) if name != holder.name] if os.path.isdir(files.holders) else []
    alive = sum(holder.is_alive(name) for name in names)
    return Check("processes", well=True, told=f"{alive} at work, {len(names) - alive} ended without saying so")
