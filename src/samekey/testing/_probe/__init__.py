"""Sends one write several times to a sandbox, and compares what the API does with what its profile says."""

from samekey.testing._probe.request import ProbeCount, ProbeRequest
from samekey.testing._probe.run import probe
from samekey.testing._probe.values import ProbeFact, ProbePlan, ProbeResult, ProbeSend, ProbeVerdict

__all__ = [
    "ProbeCount",
    "ProbeFact",
    "ProbePlan",
    "ProbeRequest",
    "ProbeResult",
    "ProbeSend",
    "ProbeVerdict",
    "probe",
]
