"""The database for the tasks of an event loop.

Rows are written on the loop, which takes microseconds; whatever waits for a disk, for a lock or for another process is
done by one helper thread, the worker. There the usual transaction only commits: it was begun and written on the loop,
and it is handed over with `_mutex` held. What comes in the meantime queues, and goes into the next commit together. A
commit that does not sync anything is made on the loop.

Where several tasks write, a commit is put off for a few turns of the loop, so that it is shared by more of them. A turn
takes as long as what there is to do in it: on an idle loop it is next to nothing, and where turns are long they are few.

A *flight* is what the worker has and has not finished. Nothing else touches the connection then. A flight ends in the
worker's thread, whatever has become of the loop and of the tasks that wait for it; the loop is only told.
"""

import copy
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVar

from samekey.errors import StoreError, UsageError
from samekey.stores import _loops
from samekey.stores._async_commits import AsyncCommits
from samekey.stores._connection import BUSY_TIMEOUT_MS, Connection
from samekey.stores._database import MAX_SHARED
from samekey.stores._errors import NOTHING_SENT, from_os, from_sqlite, leave_to_its_handler
from samekey.stores._jobs import Call, Errand, Flight, Job
from samekey.stores._locks import threads_inside
from samekey.stores._plans import Plan
from samekey.stores._worker import Worker

T = TypeVar("T")

TURNS: Final = 8
"""Turns of the loop that a commit is put off for others to come, at most."""

LONGEST_WAIT: Final = 0.02
"""Seconds after which a commit is put off no more, however few turns that were."""

SHARE: Final = 4
ENOUGH: Final = 32
"""How many jobs wait for no others: so many, or as many as one in `SHARE` of the tasks that are at work."""


class AsyncEngine(AsyncCommits):
    """Runs transactions for tasks of one event loop at a time, which is never blocked."""

    def _reset(self) -> None:
        super()._reset()
        self._guard = threading.Lock()  # of what follows; held for a few statements
        self._queue: deque[Errand[Any]] = deque()
        self._loop: _loops.Loop | None = None
        self._inside = 0
        self._threads = threads_inside(self.files.lock)
        self._flights = 0
        self._due = False
        self._enough = 0
        self._clock: Callable[[], float] = monotonic
        self._worker = Worker()
        self._patient = True

    # --- who uses it -----------------------------------------------------------------------------------------

    def _enter(self) -> _loops.Loop:
        loop = _loops.current(self._loop)
        with self._guard:
            if self._loop is not loop:
                if self._inside and self._loop is not None and not self._loop.has_ended():
                    raise UsageError(
                        f"the store {self.files.shown} is in use by another event loop at this moment; open one store "
                        "for each loop: they may share the file."
                    )
                self._loop, self._inside, self._due = loop, 0, False
                self._queue.clear()  # nobody waits for what an ended loop has left
            self._inside += 1
        return loop

    def _leave(self, loop: _loops.Loop) -> None:
        with self._guard:
            if self._loop is loop:
                self._inside -= 1

    # --- writing ---------------------------------------------------------------------------------------------

    async def perform(self, plan: Plan[T], *, at_work: int = 1, apart: bool = False) -> T:
        """Runs a plan in a transaction of its own or one that is shared; returns after its commit.

        Cancelled, it has happened whole or not at all, and is undone where the plan says how.

        Args:
            plan: what to run.
            at_work: how many tasks write something soon, this one included; with others, its commit is put off.
            apart: whether it may take long, so that nothing of it is done on the loop.
        """
        loop = self._enter()
        try:
            job = Errand(plan, apart=apart)
            try:
                self._queue.append(job)
                if at_work <= 1:
                    self._pump()
                else:
                    self._enough = min(at_work // SHARE, ENOUGH)
                    self._pump_soon(loop)
                if not job.done:
                    job.waker = loop.waker()
                    await job.waker.sleep()
            except BaseException:
                job.left = True
                plan.undo()
                raise
        finally:
            self._leave(loop)
        if job.error is not None:
            plan.undo()
            raise job.error
        return job.answer  # type: ignore[return-value] # done without an error means answered

    def _pump_soon(self, loop: _loops.Loop) -> None:
        if not self._due:
            # In this order: interrupted in between, it comes twice, which is once too often and not once too seldom.
            loop.soon(partial(self._pump_late, loop, TURNS, self._clock() + LONGEST_WAIT))
            self._due = True

    def _pump_late(self, loop: _loops.Loop, turns: int, until: float) -> None:
        if self._loop is not loop:
            return
        try:
            self._due = False
            if turns > 1 and len(self._queue) < self._enough and self._clock() < until:
                loop.soon(partial(self._pump_late, loop, turns - 1, until))
                self._due = True
            else:
                self._pump()
        except BaseException:  # Ctrl-C, and whoever goes on with the loop finds what waits
            self._pump_soon(loop)
            raise

    def _pump(self) -> None:
        """Begins what is queued, unless there is a flight, whose end does it."""
        while jobs := self._take():
            me = threading.get_ident()
            try:
                self._threads.add(me)
                # Not to be had: a fork is under way in another thread, or the store is being collected.
                if not (self._mutex.acquire(blocking=False) and self._begin_here(jobs)):
                    self._fly_whole(jobs)
            except RuntimeError as error:  # no thread is to be had
                self._refuse(list(jobs), error)
                self._finish(jobs)
                self._wake(jobs)
            finally:
                self._threads.discard(me)

    def _take(self) -> list[Errand[Any]]:
        jobs: list[Errand[Any]] = []
        with self._guard:
            while not self._flights and self._queue and len(jobs) < MAX_SHARED:
                job = self._queue.popleft()
                if not job.left:
                    jobs.append(job)
        return jobs

    def _begin_here(self, jobs: list[Errand[Any]]) -> bool:
        """Writes the rows, and commits or has the worker commit. False: it would have to wait, and nothing was done.

        The mutex is held at first; it is released in the end by whoever commits.
        """
        connection, flight, done = self._connection, Flight(), False
        try:
            if connection is None or self._unsynced or any(job.apart for job in jobs):
                return False
            full = any(job.full for job in jobs)
            try:
                if not self._lock.attempt():
                    return False
                self._be_patient(connection, patient=False)
                self._get_ready(connection, full=full)
                apart = full and self._is_synced_apart(jobs)
                self._begin(connection, full=full and not apart)
            except (StoreError, sqlite3.Error, OSError) as error:
                leave_to_its_handler(error)
                return False  # the worker will meet it, or wait for it
            if self._run_all(connection, list(jobs)):
                mark = self._mark_now()
                if full or self._may_sync(mark):
                    self._fly(partial(self._commit_apart, jobs, mark, self._tell if apart else None), jobs, flight)
                    return True
                self._commit(connection, list(jobs))
            done = True  # also where there was nothing left to commit
            return True
        except BaseException as error:  # Ctrl-C; or no thread is to be had, which the caller tells them
            if flight.ours and not isinstance(error, RuntimeError):
                self._put_back(jobs)
            raise
        finally:
            if flight.ours:
                try:
                    self._conclude()
                finally:
                    self._mutex.release()
            if done:
                self._finish(jobs)
                self._wake(jobs)

    def _put_back(self, jobs: list[Errand[Any]]) -> None:
        with self._guard:
            for job in reversed(jobs):
                job.error = None
                if not job.done:
                    self._queue.appendleft(job)
        if self._loop is not None:
            self._pump_soon(self._loop)

    def _be_patient(self, connection: Connection, *, patient: bool) -> None:
        """Says whether to wait for programs that do not queue at the lock file."""
        if self._patient is not patient:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS if patient else 0}").fetchall()
            self._patient = patient

    # --- in the worker's thread ------------------------------------------------------------------------------

    def _take_it_back(self, connection: Connection) -> None:
        self._be_patient(connection, patient=True)  # of a claim that its task thinks is not there
        super()._take_it_back(connection)

    def _fly(
        self, call: Callable[[], None], for_whom: "Sequence[Errand[Any] | Call]", flight: Flight | None = None
    ) -> None:
        flight = flight or Flight()
        try:
            flight.handed = True
            with self._guard:
                flight.counted = True
                self._flights += 1
            self._worker.put(partial(self._in_flight, flight, call, for_whom))
        except BaseException:  # no thread, or Ctrl-C
            with self._guard:
                flight.off = not flight.begun
                self._flights -= flight.off and flight.counted
            raise

    def _fly_for(self, wanted: Call) -> None:
        try:
            self._fly(wanted.run, [wanted])
        except RuntimeError as error:
            raise self._stuck(error, NOTHING_SENT) from error

    def _fly_whole(self, jobs: list[Errand[Any]]) -> None:
        flight = Flight()
        try:
            self._fly(partial(self._whole, jobs), jobs, flight)
        except BaseException as error:
            if flight.ours and not isinstance(error, RuntimeError):
                self._put_back(jobs)
            raise

    def _in_flight(self, flight: Flight, call: Callable[[], None], for_whom: "Sequence[Errand[Any] | Call]") -> None:
        with self._guard:
            if flight.off:
                return
            flight.begun = True
        try:
            call()
        finally:
            with self._guard:
                self._flights -= 1
                loop = self._loop
            if loop is not None:
                loop.soon_from_outside(partial(self._landed, for_whom))

    def _landed(self, for_whom: "Sequence[Errand[Any] | Call]") -> None:
        self._wake(for_whom)
        if self._queue and self._loop is not None and self._loop.is_here():
            self._pump_soon(self._loop)

    def _wake(self, for_whom: "Sequence[Errand[Any] | Call]") -> None:
        for each in for_whom:
            if each.waker is not None:
                each.waker.wake()

    def _commit_apart(self, jobs: list[Errand[Any]], mark: bytes, told: Callable[..., None] | None) -> None:
        """Commits what was written on the loop."""
        connection = self._connection
        assert connection is not None
        try:
            self._commit_and_sync(connection, jobs, mark, told)
        finally:
            try:
                self._conclude()
            finally:
                self._mutex.release()
                self._finish(jobs)

    def _whole(self, jobs: list[Errand[Any]]) -> None:
        """Does all of it, and waits for whatever there is to wait for."""
        with self._mutex:
            wanted: list[Job[Any]] = [job for job in jobs if not job.left]
            try:
                self._be_patient(self._ready(), patient=True)
                self._transact(wanted)
            except Exception as error:  # noqa: BLE001 - each of them is told
                self._refuse(wanted, error)
        self._finish(jobs)

    def _refuse(self, jobs: list[Job[Any]], error: Exception) -> None:
        for job in jobs:
            match error:
                case sqlite3.Error():
                    job.error = from_sqlite(error, self.files.shown, so=job.so)
                case OSError():
                    job.error = from_os(error, self.files.shown, so=job.so)
                case RuntimeError():
                    job.error = self._stuck(error, job.so)
                case _:
                    job.error = copy.copy(error)  # one exception cannot be raised in two tasks

    def _tell(self, jobs: Sequence[Errand[Any]]) -> None:
        """Those are done, while the flight that they were in is not."""
        self._finish(jobs)
        with self._guard:
            loop = self._loop
        if loop is not None:
            loop.soon_from_outside(partial(self._wake, jobs))

    def _finish(self, jobs: Sequence[Errand[Any]]) -> None:
        for job in jobs:
            job.done = True
            if job.left:
                job.undo()

    def _open_locked(self) -> bytes:
        secret = super()._open_locked()
        self._patient = True
        # What does not fit into the cache would be written, and perhaps synced, before the commit: on the loop.
        self._ready().execute("PRAGMA cache_spill = OFF").fetchall()
        return secret

    # --- everything else -------------------------------------------------------------------------------------

    async def apart(self, call: Callable[[], T]) -> T:
        """Has the worker do something; if the task is cancelled, that goes on without it."""
        loop = self._enter()
        try:
            wanted = Call(call)
            wanted.waker = loop.waker()
            self._fly_for(wanted)
            await wanted.waker.sleep()
        finally:
            self._leave(loop)
        if wanted.error is not None:
            raise wanted.error
        answer: T = wanted.answer
        return answer

    async def look(self, work: Callable[[Connection], T]) -> T:
        """Runs a statement that changes nothing and finds its row by an index: on the loop, if nobody is in the way."""
        with self._guard:
            free = not self._flights
        if free and self._mutex.acquire(blocking=False):
            try:
                if (connection := self._connection) is not None:
                    self._be_patient(connection, patient=False)
                    return work(connection)
            except sqlite3.Error:
                pass  # the worker will meet it, or wait for it
            finally:
                self._mutex.release()
        return await self.apart(partial(self.read, work))

    async def aclose(self) -> None:
        """Empties the log and lets go of everything, the thread too; a later verb opens it again."""
        loop = self._enter()
        try:
            closing = Call(self.close)
            closing.waker = loop.waker()
            self._fly_for(closing)
            thread = self._worker.end()
            await closing.waker.sleep()
        finally:
            self._leave(loop)
        if thread is not None:
            thread.join()  # it has nothing left to do
        if closing.error is not None:
            raise closing.error

    def close_at_last(self) -> None:
        """Closes it when the store is collected or the process ends."""
        super().close_at_last()
        self._worker.end()
