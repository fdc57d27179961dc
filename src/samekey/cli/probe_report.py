"""The words of `samekey probe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from samekey.cli.render import count, put, safe
from samekey.providers.facts import span
from samekey.testing import ProbeVerdict

if TYPE_CHECKING:
    from rich.console import Console

    from samekey.testing import ProbeFact, ProbePlan, ProbeResult, ProbeSend

_COLOURS: Final = {
    ProbeVerdict.AGREES: "green",
    ProbeVerdict.DIFFERS: "bold red",
    ProbeVerdict.NOT_SEEN: "dim",
    ProbeVerdict.UNKNOWN: "yellow",
}
_STEPS: Final = {
    "first": "first write",
    "again": "the same again",
    "other": "other data under the key",
    "together": "one of two at once",
    "later": "the first once more",
}


def introduce(out: Console, plan: ProbePlan) -> None:
    """Says what is about to be sent, and where to."""
    put(out, Text(safe(f"{plan.method} {plan.url}"), style="bold"))
    if plan.expected == plan.most:
        effects = str(plan.most)
    else:
        effects = f"{plan.expected} if it does as {plan.provider} says, up to {plan.most} if it ignores the key"
    reads = f" {count(plan.reads, 'look-up')} count them." if plan.reads else " They are not counted."
    waits = f" Before the last one it waits {span(plan.retention, ' ')}." if plan.retention else ""
    put(
        out,
        Text(
            safe(
                f"{count(plan.writes, 'write')} to {plan.origin}. Their effects are real: {effects}.{reads}{waits} "
                "Never do this to an account that counts."
            )
        ),
    )
    out.print()


def sent(out: Console, send: ProbeSend) -> None:
    """Says what became of one write."""
    key = f", key {send.key}…" if send.key else ""
    made = f", {send.reference}" if send.reference else ""
    out.print(Text(safe(f"{_STEPS[send.step]}{key}: {send.told}{made}"), style="dim"), soft_wrap=True)


def conclude(out: Console, result: ProbeResult) -> None:
    """Says what was seen, beside what the profile says."""
    if result.facts:
        put(out, _table(result))
        out.print()
    for note in result.notes:
        put(out, Text(safe(note)))
    if result.effects is not None:
        put(out, Text(f"{count(len(result.sends), 'write')} had {count(result.effects, 'effect')}."))
    elif not result.plan.reads:
        put(
            out,
            Text("Effects were not counted, only told by the answers: a count= in the request is stronger evidence."),
        )
    put(out, _verdict(result))


def _table(result: ProbeResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("fact", max_width=16, overflow="fold")
    table.add_column(Text(safe(f"{result.plan.provider} says")), overflow="fold", ratio=1)
    table.add_column("seen", overflow="fold", ratio=1)
    table.add_column("verdict", max_width=14, overflow="fold")
    for fact in result.facts:
        table.add_row(*_row(fact))
    return table


def _row(fact: ProbeFact) -> tuple[Text, ...]:
    verdict = Text(fact.verdict.value, style=_COLOURS[fact.verdict])
    return Text(fact.name), Text(safe(fact.says)), Text(safe(fact.saw)), verdict


def _verdict(result: ProbeResult) -> Text:
    name = safe(result.plan.provider)
    other = [fact.name for fact in result.facts if fact.verdict is ProbeVerdict.DIFFERS]
    told = (
        f"It differs from {name}: {', '.join(other)}." if other else f"As far as it was seen, it does as {name} says."
    )
    if result.stopped:
        number = count(len(result.sends), "write")
        had = f"{number} had been sent" if result.sends else "nothing was sent"
        told = f"The probe ended early: {safe(result.stopped)}; {had}." + (f" {told}" if other else "")
    return Text(told, style="bold red" if other or result.stopped else "green")
