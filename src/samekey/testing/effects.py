"""What a test says at its end: so many effects, and no other number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samekey.testing.ledger import Effect
    from samekey.testing.model import ModelAPI


def assert_effects(server: ModelAPI, expected: int) -> None:
    """Check how many effects a server's ledger has, once nothing is under way any more.

    Args:
        server: a `FlakyServer`, or a `FaultTransport`.
        expected: how many there must be.

    Raises:
        AssertionError: there are more, or fewer; it lists them.
        TimeoutError: requests are still under way, held ones included.
    """
    __tracebackhide__ = True
    server.wait_idle()
    effects = server.effects
    if len(effects) != expected:
        listed = "".join(f"\n  {_line(effect)}" for effect in effects)
        raise AssertionError(
            f"the server has had {len(effects)} effects, not {expected}{':' if listed else ''}{listed}"
        )


def _line(effect: Effect) -> str:
    body = effect.body.decode(errors="replace")
    return f"{effect.reference} by {effect.method} {effect.path} {body[:120]} under the key {effect.key}"
