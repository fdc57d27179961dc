"""Names the boundaries between the steps of an action, for tests that end a process there."""

from collections.abc import Callable

from samekey._core.steps import Renew, Reservation, Send, Settle, Step
from samekey._testmode import TESTMODE

_NAMES = ((Reservation, "claim"), (Renew, "renew"), (Settle, "settle"))


def before(step: Step, at: Callable[[str], None]) -> None:
    """The step is about to be performed."""
    at("before_send" if isinstance(step, Send) else f"before_{_name(step)}")


def once_sent(do: Callable[[], None]) -> Callable[[], None]:
    """What to do when a request is out and no byte of its answer has been read: tell it too, in a test."""
    at = TESTMODE.at
    if at is None:
        return do

    def tell_and_do() -> None:
        at("after_send")
        do()

    return tell_and_do


def after(step: Step, at: Callable[[str], None], *, answered: bool) -> None:
    """The step was performed; `answered`: the last attempt brought a whole answer."""
    if not isinstance(step, Send):
        at(f"after_{_name(step)}")
    elif answered:
        at("after_reply")


def _name(step: Step) -> str:
    return next((name for kind, name in _NAMES if isinstance(step, kind)), type(step).__name__.lower())
