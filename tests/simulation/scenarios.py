"""Which worlds are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from samekey._core.plan import Contract, Detector, Profile
from tests.simulation.apis import Behaviour

HOUR = 3600.0
DAY = 24 * HOUR
D_SECONDS = 120.0
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every history begins."""

FAULTS: Mapping[str, float] = {
    "not_sent": 6,
    "lost_request": 8,
    "lost_reply": 15,
    "late": 8,
    "slow": 8,
    "refused": 8,
    "error": 5,
    "error_done": 5,
    "claim_failed": 1,
    "claim_error": 2,
    "renew_failed": 2,
    "settle_failed": 4,
    "get_failed": 1,
    "renew_error": 1,
    "settle_error": 2,
}
"""Percent of the occasions on which each happens."""

GENERIC = Profile(
    name="generic",
    window_seconds=DAY,
    max_delay_seconds=D_SECONDS,
    after_5xx="resend",
)
CODED = replace(
    GENERIC,
    name="coded",
    in_progress=(Detector(409, "error.code", "idempotency_key_in_use"),),
    mismatch=(Detector(422, "error.type", "idempotency_error"),),
)
KEYLESS = Profile(name="keyless", keyed=False, answers_json=False, max_delay_seconds=D_SECONDS)


FORGOTTEN = "promise 1, when the API had forgotten"
"""Two effects with the API's whole window between them."""

CONTRACT = Contract(reference="/id")
LOOKING_UP = replace(CONTRACT, looks_up=True)
ANEW = replace(CONTRACT, on_rejected="new_generation")
GUARDING = replace(ANEW, duplicates="reject", duplicate_window=timedelta(days=30))
REFUSING = {**FAULTS, "refused": 40}


@dataclass(frozen=True)
class Scenario:
    """One kind of world.

    Attributes:
        name: for reports.
        profile: what the client believes of the API.
        behaviour: what the API does.
        contract: the operation's rules.
        hosts: machines; two do not see each other's locks.
        actions: how many actions.
        begins: how often each is begun at most, before the calm.
        crashes: process deaths at most.
        crashing: percent of step boundaries at which one dies.
        interrupts: percent of step boundaries at which Ctrl-C comes.
        switching: percent of step boundaries at which others go on.
        power_losses: whether a crash may take the machine's unsynced writes along.
        jumps: wall clock errors that may set in, in seconds.
        latest: the latest execution after the first byte, in seconds.
        faults: percent by name.
        outcomes: which outcomes of an execution besides success there are, in the order in which they are drawn.
        recovers: whether `recover()` runs beside the reruns.
        most_faults: faults at most, for the exhaustive search; None for no bound.
        most_switches: step boundaries at which others go on, at most.
        delays: how long a process may pause between two steps, in seconds.
        skews: wall clock errors of the hosts from the beginning, in seconds.
        boot_skews: wall clock errors with which a host may come up after a power loss.
        accounts: credentials with which an action may be begun.
        same_payload: whether all actions carry the same payload.
        people: percent of the histories in which a person decides about what is open.
        errs: whether that person may be wrong about what did not happen.
        purges: percent of the histories in which what is settled and over its retention is purged, again and again.
        stores_clock: whether the store has a clock of its own, which is right, and says how long ago things were.
        claim_durable: whether an acknowledged claim survives a loss of power.
        tolerates: what a dishonest API may break, and nobody can repair.
    """

    name: str
    profile: Profile = GENERIC
    behaviour: Behaviour = field(default_factory=Behaviour)
    contract: Contract = CONTRACT
    hosts: int = 1
    actions: int = 2
    begins: int = 4
    crashes: int = 3
    crashing: float = 4.0
    interrupts: float = 0.7
    switching: float = 40.0
    power_losses: bool = True
    jumps: tuple[float, ...] = ()
    latest: float = D_SECONDS - 10
    faults: Mapping[str, float] = field(default_factory=lambda: FAULTS)
    outcomes: tuple[str, ...] = ("refused", "error", "error_done")
    recovers: bool = True
    most_faults: int | None = None
    most_switches: int | None = None
    delays: tuple[float, ...] = (0.0, 0.2, 7.0, 200.0)
    skews: tuple[float, ...] = ()
    boot_skews: tuple[float, ...] = ()
    accounts: int = 1
    same_payload: bool = False
    people: float = 0.0
    errs: bool = False
    purges: float = 0.0
    stores_clock: bool = False
    claim_durable: bool = True
    tolerates: frozenset[str] = frozenset()

    @property
    def right_clocks(self) -> bool:
        """Whether all wall clocks are right all the time."""
        return not (self.jumps or self.skews or self.boot_skews)

    @property
    def refused(self) -> bool:
        """Whether no action may be begun at all: what takes no keys needs a store that forgets nothing (R17)."""
        return not self.profile.keyed and not self.claim_durable


HONEST: tuple[Scenario, ...] = (
    Scenario("keyed, stored errors"),
    Scenario("keyed, errors rolled back", CODED, Behaviour(errors="rolled_back"), outcomes=("refused", "error")),
    Scenario(
        "refusals stored",
        replace(CODED, stored_refusals=frozenset({402})),
        Behaviour(stores_refusals=True),
    ),
    Scenario(
        "window of ten minutes",
        replace(CODED, window_seconds=600.0),
        Behaviour(window=600.0),
        delays=(0.0, 0.2, 7.0, 400.0),
    ),
    Scenario("window shorter than a lease", replace(GENERIC, window_seconds=200.0), Behaviour(window=200.0)),
    Scenario("5xx not spoken for", replace(GENERIC, after_5xx=None)),
    Scenario("keyless", KEYLESS, Behaviour(keyed=False)),
    Scenario("two hosts", CODED, hosts=2, power_losses=False),
    Scenario(
        "wrong clocks",
        replace(CODED, window_seconds=2 * HOUR),
        Behaviour(window=2 * HOUR),
        jumps=(0.0, -5 * HOUR, 5 * HOUR),
    ),
    Scenario("many begins at once", CODED, actions=1, begins=8, switching=70.0),
    Scenario("payload-blind", GENERIC, Behaviour(blind=True)),
    Scenario(
        "late at the window's end",
        replace(GENERIC, window_seconds=222.0),  # closes some 40 s after the third attempt of a run
        Behaviour(window=222.0),
        crashes=1,
        switching=25.0,
        delays=(0.0, 50.0),
        faults={"lost_reply": 75, "late": 40, "lost_request": 5, "renew_failed": 2},
        latest=D_SECONDS - 1,
    ),
    Scenario("keyless, a window declared", replace(KEYLESS, window_seconds=DAY), Behaviour(keyed=False)),
    Scenario("keyless, looked up", KEYLESS, Behaviour(keyed=False), LOOKING_UP, faults={**FAULTS, "late": 20}),
    Scenario(
        "looked up when the window has closed",
        replace(CODED, window_seconds=600.0),
        Behaviour(window=600.0),
        LOOKING_UP,
        delays=(0.0, 0.2, 7.0, 400.0),
    ),
    Scenario(
        "clock set back while waiting",
        replace(CODED, window_seconds=2 * HOUR),
        Behaviour(window=2 * HOUR),
        jumps=(0.0, -3 * DAY, -3 * DAY),
        power_losses=False,
    ),
    Scenario(
        "clock set back at boot",
        replace(CODED, window_seconds=2 * HOUR),
        Behaviour(window=2 * HOUR),
        boot_skews=(0.0, -30 * DAY),
        crashing=8.0,
        faults={**FAULTS, "lost_reply": 50},
    ),
    Scenario(
        "a host an hour ahead, and an API that says so",
        replace(CODED, window_seconds=HOUR),
        Behaviour(window=HOUR, dated=EPOCH.timestamp()),
        hosts=2,
        skews=(HOUR, 0.0),
        crashes=0,
        interrupts=0.0,
        delays=(0.0, 0.2, 7.0),  # a holder that outsleeps its lease takes the answer with it
        faults={"error_done": 40, "not_sent": 5, "refused": 5},
    ),
    Scenario("refusals are tried anew", CODED, Behaviour(), ANEW, begins=8, switching=70.0, faults=REFUSING),
    Scenario("no second action with a payload", CODED, Behaviour(), GUARDING, same_payload=True, faults=REFUSING),
    Scenario(
        "keys belong to an account",
        replace(CODED, pins_credential=True),
        Behaviour(by_account=True),
        accounts=2,
    ),
    Scenario(
        "a person decides, the window is short",
        replace(CODED, window_seconds=600.0),
        Behaviour(window=600.0),
        delays=(0.0, 0.2, 7.0, 400.0),
        faults={**FAULTS, "lost_reply": 30, "late": 20},
        people=80.0,
    ),
    Scenario("a person decides, keyless", KEYLESS, Behaviour(keyed=False), faults={**FAULTS, "late": 25}, people=80.0),
    Scenario("a person errs within the window", CODED, begins=6, crashes=5, people=80.0, errs=True),
    Scenario(
        "records are purged",
        replace(CODED, window_seconds=600.0),
        Behaviour(window=600.0),
        replace(ANEW, retention=timedelta(minutes=11)),
        begins=8,
        people=30.0,
        purges=90.0,
    ),
    Scenario(
        "hosts whose clocks are wrong, over a store with a clock of its own",
        replace(CODED, window_seconds=600.0),
        Behaviour(window=600.0),
        hosts=2,
        power_losses=False,
        skews=(55.0, -55.0),  # as much as the margin lets through
        stores_clock=True,
        faults={**FAULTS, "lost_reply": 40},
    ),
    Scenario(
        "a store that can lose a claim",
        CODED,
        claim_durable=False,
        crashing=8.0,
        # Whose claim is lost may send again when the API has forgotten too; before that, its key prevents a duplicate.
        tolerates=frozenset({FORGOTTEN, "promise 2", "promise 3", "promise 4"}),
    ),
    Scenario("keyless, on a store that can lose a claim", KEYLESS, Behaviour(keyed=False), claim_durable=False),
)

_RELEASING = Behaviour(releases_after_effect=True)

DOUBLE = frozenset({"promise 1", FORGOTTEN, "promise 2"})
"""A duplicate, and therefore perhaps two answers."""
DENIAL = frozenset({"promise 1", FORGOTTEN, "promise 2", "promise 3"})
"""The API itself says that nothing happened."""

DISHONEST: tuple[Scenario, ...] = (
    Scenario(
        "forgets early",
        GENERIC,
        Behaviour(forgets_early=True, window=HOUR),
        delays=(0.0, 0.2, 7.0, 900.0),
        tolerates=DOUBLE,
    ),
    Scenario("releases the key after an effect", GENERIC, _RELEASING, tolerates=DOUBLE),
    Scenario("locks too short", GENERIC, Behaviour(short_lock=True), tolerates=DOUBLE),
    Scenario("repeats and replays a perfect answer", GENERIC, Behaviour(repeats=True), tolerates=DOUBLE),
    Scenario(
        "refuses what it has done",
        replace(GENERIC, stored_refusals=frozenset({402})),
        Behaviour(checks_first=True),
        actions=1,
        begins=8,
        crashes=0,
        interrupts=0.0,
        switching=60.0,
        delays=(0.0, 0.2, 200.0, 200.0),
        faults={**FAULTS, "settle_error": 10},
        tolerates=DENIAL,
    ),
    Scenario(
        "executes later than the window",
        replace(GENERIC, window_seconds=600.0),
        Behaviour(window=600.0),
        latest=4000.0,
        tolerates=DOUBLE,
    ),
)

GUARDED: tuple[Scenario, ...] = (
    Scenario(
        "a 5xx releases the key, and nobody has spoken for it",
        replace(GENERIC, after_5xx=None),
        _RELEASING,
        crashes=0,
        interrupts=0.0,
        delays=(0.0, 0.2, 7.0),  # a holder that outsleeps its lease takes the 5xx with it
        faults={"error_done": 40, "not_sent": 10},
    ),
    Scenario("known to release keys", replace(GENERIC, after_5xx=None, after_timeout=False), _RELEASING),
)
"""Dishonest APIs whose profile says so: no duplicate even there."""


ALL = (*HONEST, *GUARDED, *DISHONEST)


def named(name: str) -> Scenario:
    """The scenario of that name."""
    return next(scenario for scenario in ALL if scenario.name == name)


def of_seed(seed: int) -> Scenario:
    """The scenario that a seed stands for: each has its turn."""
    return ALL[seed % len(ALL)]
