"""The shield around a settlement (R5b): made only where there is a scope that could be cancelled.

anyio's shield takes longer than most of what it guards, and a task that is in none of anyio's scopes has nothing to be
shielded from: asyncio's own cancellation, which no scope keeps out, is met by settling once more. On trio, and wherever
anyio keeps its scopes otherwise than we know, it is always made.
"""

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from anyio import CancelScope


def shield() -> AbstractContextManager[Any]:
    """To be entered by the task that settles."""
    return CancelScope(shield=True) if _is_in_a_scope() else nullcontext()


def _is_in_a_scope() -> bool:
    states: Any = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)
    try:
        task = asyncio.current_task()
    except RuntimeError:  # this is trio
        return True
    if states is None or task is None:
        return True
    state = states.get(task)
    return state is not None and getattr(state, "cancel_scope", state) is not None
