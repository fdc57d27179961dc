"""The rules of the protocol, each taken out: a simulated history must break a promise.

R0 is the API's: what takes it out are the dishonest scenarios.
"""

from tests.mutants.mutant import Edit, rule

RULES = (
    rule(
        "r1_no_room_for_late_requests",
        "R1",
        "_core/window.py",
        "width = min(known) - max(record.max_delay_seconds, max_delay_seconds)",
        "width = min(known)",
    ),
    rule(
        # "remaining attempt deadline" alone cannot be missed: nothing is written after `closes_at` (R2).
        "r1_the_window_never_closes",
        "R1",
        "_core/window.py",
        'Window("" if left > attempt_seconds else "window_closed", later(now.wall, left))',
        'Window("", later(now.wall, 1e6))',
    ),
    rule(
        "r2_a_first_send_has_no_end",
        "R2",
        "_core/steps.py",
        "return Send(run, record, None, record.lease_expires_at or now.wall,",
        "return Send(run, record, None, now.wall.replace(year=9999),",
    ),
    rule(
        "r2_a_resend_may_outlive_the_window",
        "R2",
        "_core/steps.py",
        "not_after = min(record.lease_expires_at or now.wall, closes_at)",
        "not_after = record.lease_expires_at or now.wall",
    ),
    rule(
        "r2_a_resend_may_outlive_its_lease",
        "R2",
        "_core/steps.py",
        "not_after = min(record.lease_expires_at or now.wall, closes_at)",
        "not_after = closes_at",
    ),
    rule(
        "r3_absent_means_that_nothing_happened",
        "R3",
        "_core/looking.py",
        "    if believable and _forgotten(plan, record, now):\n",
        "    if reply.outcome == ABSENT:\n"
        "        return Settles(ruled_out(plan, record, evidence, now), Verdict(Kind.NOT_SENT, evidence))\n"
        "    if believable and _forgotten(plan, record, now):\n",
    ),
    rule(
        "r3_a_person_does_not_wait_for_late_requests",
        "R3",
        "_core/resolve.py",
        "    if over and quiet:\n",
        "    if over:\n",
    ),
    rule(
        "r3_a_person_does_not_wait_for_the_window",
        "R3",
        "_core/resolve.py",
        "    if over and quiet:\n",
        "    if quiet:\n",
    ),
    rule(
        "r4_any_refusal_settles",
        "R4",
        "_core/steps.py",
        "alone, json = self.record.open_attempts <= 1,",
        "alone, json = True,",
    ),
    rule(
        "r4_earlier_attempts_are_forgotten",
        "R4",
        "_core/steps.py",
        "take_over=True, open_attempts=record.open_attempts + 1,",
        "take_over=True, open_attempts=1,",
    ),
    rule(
        "r5_a_resend_is_not_recorded",
        "R5",
        "_core/steps.py",
        'return Renew(self.run, record, renewal, unfreeze(record.frozen_request or b""), closes_at, judgement)',
        'return _send(self.run, record, unfreeze(record.frozen_request or b""), closes_at, now)',
    ),
    rule(
        "r5_a_take_over_is_not_recorded",
        "R5",
        "_core/steps.py",
        "return Renew(replace(run, recovered=True), record, renewal, decision.frozen, decision.closes_at, None)",
        "return _send(replace(run, recovered=True), record, decision.frozen, decision.closes_at, now)",
    ),
    rule(
        "r5b_a_holder_outlives_its_lease",
        "R5b",
        "_core/begin.py",
        "return existing.alive and lease is not None and now.wall <= lease",
        "return existing.alive and lease is not None",
    ),
    rule(
        "r5b_ctrl_c_forgets_a_complete_answer",
        "R5b",
        "_drivers/course.py",
        "if isinstance(step, Send) and books.sent is not None:",
        "if isinstance(step, Send) and books.sent is step:",
    ),
    rule(
        "r5b_ctrl_c_comes_before_the_settlement",
        "R5b",
        "_drivers/course.py",
        "while self._interruption is not None and not isinstance(self.step, (Settle, Done)):",
        "while self._interruption is not None and not isinstance(self.step, Done):",
        # Settle.interrupted answers with itself: that the loop asks is not yet a loss.
        Edit(
            "_core/steps.py",
            '        """Settling is idempotent: do it again."""\n        return self\n',
            "        return Done(self.run, self.record)\n",
        ),
    ),
    rule(
        "r5b_ctrl_c_ends_the_driver_of_an_event_loop",
        "R5b",
        "_drivers/async_.py",
        "                course.interrupted(error)\n",
        "                raise error\n",
    ),
    rule(
        "r6_not_sent_among_other_attempts",
        "R6",
        "_core/steps.py",
        "if not attempt.maybe_done and record.open_attempts <= 1:",
        "if not attempt.maybe_done:",
    ),
    rule(
        "r7_bad_news_is_told_unrecorded",
        "R7",
        "_core/steps.py",
        "        if self.verdict.kind is Kind.SUCCESS:\n",
        "        if self.verdict.kind is Kind.REFUSED:\n"
        "            return Done(self.run, self.record, self.verdict.error(self.record), self.reply)\n"
        "        if self.verdict.kind is Kind.SUCCESS:\n",
    ),
    rule(
        "r7_a_refusal_is_not_synced",
        "R7",
        "_core/verdicts.py",
        "        durable=True,\n        result=withheld(result_of(reply, None,",
        "        durable=False,\n        result=withheld(result_of(reply, None,",
    ),
    rule(
        "r7b_no_settlement_of_a_success_is_synced",
        "R7b",
        "_core/verdicts.py",
        "durable=not plan.profile.keyed or window is None or window <= SHORT_WINDOW_SECONDS,",
        "durable=False,",
    ),
    rule(
        "r8_a_tombstone_is_asked_for_its_data",
        "R8",
        "_core/begin.py",
        "    if record.purged:\n        return _purged(plan, record)\n",
        "",
    ),
    rule(
        "r8_a_tombstone_forgets_its_reference",
        "R8",
        "stores/_rulings.py",
        '    "response_headers": (),\n',
        '    "response_headers": (),\n    "response_reference": None,\n',
    ),
    rule(
        "r9_a_5xx_is_always_sent_again",
        "R9",
        "_core/classify.py",
        'allowed = word == "resend"',
        'allowed = word != "review"',
    ),
    rule(
        "r9_a_time_out_is_always_sent_again",
        "R9",
        "_core/begin.py",
        "if not plan.profile.after_timeout:",
        "if plan.profile.after_timeout is None:",
    ),
    rule(
        "r10_the_wall_clock_alone",
        "R10",
        "_core/window.py",
        "return max(by_wall, by_boot) if by_boot >= 0 else None",
        "return by_wall if by_boot >= 0 else None",
    ),
    rule(
        "r10_a_clock_set_back_at_boot_is_believed",
        "R10",
        "_core/window.py",
        "if (seen - now.wall).total_seconds() > CLOCK_MARGIN_SECONDS:",
        "if (seen - now.wall).total_seconds() > 1e12:",
    ),
    rule(
        "r10_the_date_of_a_reply_is_not_read",
        "R10",
        "_core/window.py",
        "return theirs is not None and abs((theirs - now).total_seconds()) > CLOCK_MARGIN_SECONDS",
        "return theirs is None",
    ),
    rule(
        "r11_a_success_needs_the_fence",
        "R11",
        "stores/_rows.py",
        "        if row.status is Status.SUCCEEDED:\n            return Verdict(events=_second_effect(row, settlement))\n"
        "    elif not is_own(row, settlement):\n",
        "    if not is_own(row, settlement):\n",
    ),
    rule(
        "r11_a_success_after_the_close_is_dropped",
        "R11",
        "stores/_rows.py",
        "            return _contradiction(generations, row, settlement)\n",
        "            return Verdict()\n",
    ),
    rule(
        "r12_recover_sends_what_is_pending",
        "R12",
        "_core/begin.py",
        "    if plan.recovering:\n        error = words.not_sent(",
        "    if plan.recovering is None:\n        error = words.not_sent(",
    ),
    rule(
        "r13_an_identity_has_several_spellings",
        "R13",
        "_core/keys.py",
        "sorted(scope.items())])",
        "list(scope.items())])",
    ),
    rule(
        "r14_any_account_will_do",
        "R14",
        "_core/begin.py",
        'return ("credential",) if pinned and _credential_changed(plan, record) else ()',
        "return ()",
    ),
    rule(
        "r15_waiters_try_anew",
        "R15",
        "_core/begin.py",
        # `fresh` says the same of most waiters, so it must go too.
        "if waited == record.generation or fresh or plan.recovering:",
        "if plan.recovering:",
    ),
    rule(
        "r16_a_generation_is_a_duplicate_of_the_last",
        "R16",
        "stores/_rows.py",
        "        and other.identity != claim.record.identity\n",
        "",
    ),
    rule(
        "r16_a_claim_does_not_look_for_generations",
        "R16",
        "stores/_rows.py",
        "return highest is None and claim.replaces is None",
        "return claim.replaces is None",
    ),
    rule(
        "r17_any_store_will_do_without_keys",
        "R17",
        "settings.py",
        "    if not store.claim_durable and not isinstance(below, MemoryStore | AsyncMemoryStore):\n",
        "    if store.claim_durable is below:\n",
    ),
)
