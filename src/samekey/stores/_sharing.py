"""The jobs of several callers in one transaction: what fails is undone, and takes nothing else with it."""

import sqlite3
from collections.abc import Callable
from typing import Any

from samekey.errors import StoreUnavailableError
from samekey.stores._connection import Connection
from samekey.stores._errors import from_sqlite
from samekey.stores._jobs import Job


def run_all(connection: Connection, jobs: list[Job[Any]], shown: str, undone: Callable[[], object]) -> bool:
    """Runs jobs. A job may be run twice, if what the first time has done was undone.

    Args:
        connection: in a transaction.
        jobs: what to run; each has its answer or its error afterwards.
        shown: the store, for messages.
        undone: is told when something was undone.

    Returns:
        Whether to commit.
    """
    if len(jobs) == 1:
        return _run(connection, jobs[0], shown)
    # Without savepoints, for which SQLite would copy each page that is written, in the end into files of their own.
    failed = next((job for job in jobs if not _run(connection, job, shown)), None)
    if failed is None:
        return True
    if not connection.in_transaction:
        return _fail_all(jobs, failed, shown)
    undone()
    try:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.Error as error:
        for job in jobs:
            job.error = from_sqlite(error, shown, so=job.so)
            job.error.__cause__ = error
        return False
    return _run_each(connection, jobs, shown)


def _run_each(connection: Connection, jobs: list[Job[Any]], shown: str) -> bool:
    """Runs them once more, each so that it can be undone alone."""
    for job in jobs:
        connection.execute("SAVEPOINT job")
        if not _run(connection, job, shown):
            if not connection.in_transaction:
                return _fail_all(jobs, job, shown)
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
    return True


def _run(connection: Connection, job: Job[Any], shown: str) -> bool:
    job.error = None
    try:
        job.answer = job.work(connection)
    except sqlite3.Error as error:
        job.error = from_sqlite(error, shown, so=job.so)
        job.error.__cause__ = error
    except Exception as error:  # noqa: BLE001 - it belongs to the job's own caller, who gets it
        job.error = error
    return job.error is None


def _fail_all(jobs: list[Job[Any]], failed: Job[Any], shown: str) -> bool:
    """SQLite has rolled back everything: what the others had done is undone too, and nobody is told otherwise."""
    error = failed.error
    cause = error.__cause__ if error is not None else None
    for job in jobs:
        if job.error is not None:
            continue
        if isinstance(cause, sqlite3.Error):
            job.error = from_sqlite(cause, shown, so=job.so)
        else:
            why = f"the store {shown} had to undo a write ({type(error).__name__})"
            job.error = StoreUnavailableError(f"{why}, {job.so}; run it again.")
        job.error.__cause__ = cause or error
    return False
