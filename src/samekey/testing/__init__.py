"""The test kit: an API that fails on demand, and a ledger of what it really did.

`FlakyServer` is a real server on a loopback port; `FaultTransport` offers the same behaviour to an
`httpx.Client` without a socket. Both are a `ModelAPI`: script faults with `script` or `chaos`, then
compare what the client believes with `effects`.

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
from samekey.testing.faults import LOST_REPLIES, Exchange, Fault
from samekey.testing.ledger import Effect, Seen
from samekey.testing.model import ModelAPI
from samekey.testing.server import FlakyServer
from samekey.testing.transport import FaultTransport

if TYPE_CHECKING:
    from samekey.testing._contract import StoreContract

__all__ = [
    "LOST_REPLIES",
    "Behaviour",
    "Commit",
    "Delivery",
    "Effect",
    "Exchange",
    "Fault",
    "FaultTransport",
    "FlakyServer",
    "Hold",
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
    "probe",
]


def __getattr__(name: str) -> Any:
    if name == "StoreContract":
        from samekey.testing._contract import StoreContract

        return StoreContract
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
