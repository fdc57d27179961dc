"""Slips as people make them, in three modules: a simulated history must break a promise with each."""

from tests.mutants.mutant import by_hand

BY_HAND = (
    by_hand(
        "hand_a_keyless_window_counts",
        "begin: the window of an API that takes no keys is looked at",
        "_core/begin.py",
        "    if not plan.profile.keyed:\n        return Window(",
        "    if not plan.profile.keyed and plan.window_seconds is None:\n        return Window(",
    ),
    by_hand(
        "hand_or_instead_of_and",
        "begin: what is unknown is claimed anew instead of taken over",
        "_core/begin.py",
        "if record.claim_nonce in plan.unsent and record.open_attempts == 1:",
        "if record.claim_nonce in plan.unsent or record.open_attempts == 1:",
    ),
    by_hand(
        "hand_a_conflict_is_a_refusal",
        "classify: 409 to a later send is taken for an answer",
        "_core/classify.py",
        "    if status in profile.stored_refusals or replayed(profile, reply):\n",
        "    if status not in profile.stored_refusals or replayed(profile, reply):\n",
    ),
    by_hand(
        "hand_a_time_out_was_not_sent",
        "classify: the flag of a failure is read the wrong way round",
        "_core/classify.py",
        "    if not failure.sent:\n",
        "    if not failure.sent or not failure.interrupted:\n",
    ),
    by_hand(
        "hand_a_settlement_looks_at_no_row",
        "rows: a settlement is not compared with the row",
        "stores/_rows.py",
        "    elif not is_own(row, settlement):\n",
        "    elif row.settled:\n",
    ),
    by_hand(
        "hand_a_resend_is_not_counted_as_open",
        "rows: a renewal keeps the number of open attempts",
        "stores/_rows.py",
        '            "open_attempts": renewal.open_attempts,\n',
        '            "open_attempts": record.open_attempts,\n',
    ),
)
