"""Guards of what people do to records: a test must fail without each."""

from tests.mutants.mutant import guard

RESOLVE = "tests/core/test_resolve.py"
CONTRACT = "tests/stores/test_contract.py"
RULINGS = "stores/_rulings.py"

DESK = (
    guard(
        "desk_r3_window",
        "no new key while the old one is remembered (R3)",
        "_core/resolve.py",
        "    if over and quiet:\n",
        "    if quiet:\n",
        RESOLVE,
    ),
    guard(
        "desk_r3_on_its_way",
        "no new key while a request may be on its way (R3)",
        "_core/resolve.py",
        "    if over and quiet:\n",
        "    if over:\n",
        RESOLVE,
    ),
    guard(
        "desk_r3_clock",
        "a clock that jumped ahead closes no window (R3)",
        "_core/resolve.py",
        "    return now.boot_time - record.boot_time > (over_at - sent).total_seconds()\n",
        "    return True\n",
        RESOLVE,
    ),
    guard(
        "desk_r4_attempts",
        "a ruling accounts for no attempt that may be on its way (R4)",
        "_core/resolve.py",
        "left = 0 if quiet else record.open_attempts",
        "left = 0",
        RESOLVE,
    ),
    guard(
        "desk_r8_begin",
        "nothing is sent for a tombstone (R8)",
        "_core/begin.py",
        "    if record.purged:\n        return _purged(plan, record)\n",
        "",
        RESOLVE,
    ),
    guard(
        "desk_r8_unsettled",
        "what is unsettled is not purged by age (R8)",
        "stores/_sql.py",
        "expires_at <= ?1 AND status IN ('succeeded', 'rejected', 'abandoned')",
        "coalesce(expires_at, 0) <= ?1",
        CONTRACT,
    ),
    guard(
        "desk_r8_scope",
        "a tombstone keeps no scope (R8)",
        RULINGS,
        "        scope={},\n",
        "",
        CONTRACT,
    ),
    guard(
        "desk_r11_later",
        "an effect that a person finds puts later generations in doubt (R11)",
        RULINGS,
        "    if resolution.move is Move.SUCCESS:\n",
        "    if resolution.move is None:\n",
        CONTRACT,
    ),
    guard(
        "desk_r12_alive",
        "nothing is decided while the holder is alive (R12)",
        RULINGS,
        "return alive or row.lease_expires_at is None",
        "return row.lease_expires_at is None",
        CONTRACT,
    ),
    guard(
        "desk_r12_lease",
        "nothing is decided while a lease runs (R12)",
        RULINGS,
        "return alive or row.lease_expires_at is None or at <= row.lease_expires_at",
        "return alive",
        CONTRACT,
    ),
    guard(
        "desk_r12_fence",
        "a decision raises the fence (R12)",
        RULINGS,
        '        "fence": row.fence + 1,\n',
        "",
        CONTRACT,
    ),
    guard(
        "desk_shown",
        "what was not shown is not decided",
        RULINGS,
        "if not matches(row, resolution.expect) or may",
        "if may",
        CONTRACT,
    ),
    guard(
        "desk_loser",
        "the audit shows the decision that came too late",
        RULINGS,
        "return Ruled(events=((row, resolution.refused),))",
        "return Ruled()",
        CONTRACT,
    ),
)
