"""The test kit: an API that fails on demand, and a ledger of what it really did.

`FlakyServer` is a real server on a loopback port; `FaultTransport` offers the same behaviour to an
`httpx.Client` without a socket. Both are a `ModelAPI`: script faults with `script` or `chaos`, then
compare what the client believes with `effects`.

`set_testing` puts a store of the test's own, a `ManualClock` and a cap on attempts in the machine's place,
for every client of the process. `crash_at` really kills a script between two steps of an action, and
`assert_effects` counts. pytest has all of it as fixtures.

`probe` asks a sandbox of a real API whether it does with keys what a profile says.

`StoreContract` is the suite that a store of your own must pass; importing it needs pytest, the rest does not.
"""

from typing import TYPE_CHECKING, Any

from samekey.testing._holds import Hold, Point
from samekey.testing._probe import (
    ProbeCount,
    ProbeFact,
    ProbePlan,
    ProbeRequest,
    ProbeResult,
    ProbeSend,
    ProbeVerdict,
    probe,
)
from samekey.testing._rules import Behaviour
from samekey.testing._values import Commit, Delivery, Reply, Wire
from samekey.testing.crashes import Boundary, Crash, crash_at, run_script
from samekey.testing.effects import assert_effects
from samekey.testing.faults import LOST_REPLIES, Exchange, Fault
from samekey.testing.ledger import Effect, Seen
from samekey.testing.model import ModelAPI
from samekey.testing.pretending import ManualClock, set_testing
from samekey.testing.server import FlakyServer
from samekey.testing.transport import FaultTransport

if TYPE_CHECKING:
    from samekey.testing._contract import StoreContract

__all__ = [
    "LOST_REPLIES",
    "Behaviour",
    "Boundary",
    "Commit",
    "Crash",
    "Delivery",
    "Effect",
    "Exchange",
    "Fault",
    "FaultTransport",
    "FlakyServer",
    "Hold",
    "ManualClock",
    "ModelAPI",
    "Point",
    "ProbeCount",
    "ProbeFact",
    "ProbePlan",
    "ProbeRequest",
    "ProbeResult",
    "ProbeSend",
    "ProbeVerdict",
    "Reply",
    "Seen",
    "StoreContract",
    "Wire",
    "assert_effects",
    "crash_at",
    "probe",
    "run_script",
    "set_testing",
]


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from samekey.testing._contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
