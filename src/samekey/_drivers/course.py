"""The course of one run: which step is next, and what an interruption makes of it."""

from samekey._core.model import Failure
from samekey._core.run import Done
from samekey._core.steps import Send, Settle, Step
from samekey._drivers import boundaries
from samekey._drivers.ports import Books, tell_along
from samekey._testmode import TESTMODE

MOST_INTERRUPTIONS = 3
"""Ctrl-C pressed more often than this while the truth is being written down ends the wait for it."""


class Course:
    """Where a run has come to. A driver performs `step` while it `goes_on`, and says how that went.

    Attributes:
        step: the next step.
    """

    __slots__ = ("_books", "_interruption", "_times", "step")

    def __init__(self, step: Step, books: Books) -> None:
        self.step = step
        self._books = books
        self._interruption: BaseException | None = None
        self._times = 0

    def goes_on(self) -> bool:
        """Whether there is a step to perform: after an interruption only what writes the truth down."""
        while self._interruption is not None and not isinstance(self.step, (Settle, Done)):
            self.step = self.step.interrupted(self._books.clock.now())
        if isinstance(self.step, Done) or self._times > MOST_INTERRUPTIONS:
            return False
        if TESTMODE.at is not None:
            boundaries.before(self.step, TESTMODE.at)
        return True

    def performed(self, step: Step) -> None:
        """The step was performed, and `step` follows."""
        if TESTMODE.at is not None:
            sent = self._books.sent
            boundaries.after(self.step, TESTMODE.at, answered=sent is not None and sent.reply is not None)
        self.step = step
        self._interruption = self._interruption or self._books.interruption

    def interrupted(self, error: BaseException) -> None:
        """An interruption came. What an attempt brought, or may have brought, is not forgotten."""
        self._interruption = self._interruption or error
        self._times += 1
        if self._times > MOST_INTERRUPTIONS:
            return
        step, books = self.step, self._books
        now = books.clock.now()
        if isinstance(step, Send) and books.sent is not None:
            self.step = step.next(books.answer, now)
        elif isinstance(step, Send) and books.attempting:
            self.step = step.next(
                Failure(sent=True, summary="interrupted while it was being sent", interrupted=True), now
            )
        elif not isinstance(step, Done):
            self.step = step.interrupted(now)

    def end(self) -> Done:
        """The end, once nothing goes on.

        Raises:
            BaseException: what interrupted it (Ctrl-C, SystemExit, a cancellation, …), after the truth was written down.
        """
        done = self.step if isinstance(self.step, Done) else None
        if done is not None:
            self._books.finish(done)
        if self._interruption is not None:
            if done is not None:
                tell_along(self._interruption, done)
            raise self._interruption
        assert done is not None
        return done
