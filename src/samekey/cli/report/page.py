"""The page: what is told in which order. It has no scope, no URL, and of a key the first characters only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from samekey._core.tally import CONFLICTS, PREVENTED, TAKEN_OVER, objects
from samekey.cli.audit import kind_of
from samekey.cli.render import SHORT_KEY, span
from samekey.cli.report.charts import Bar, Series, bars, columns
from samekey.cli.report.markup import Markup, join, tag
from samekey.cli.stats import count_of, percent, ratio, values
from samekey.telemetry.signals import SIGNALS

if TYPE_CHECKING:
    from samekey._core.model import Record
    from samekey._core.tally import Effect
    from samekey.cli.report.stretches import Timeline
    from samekey.telemetry.signals import Stats

_STYLE: Final = (resources.files("samekey.cli.report") / "style.css").read_text(encoding="utf-8")
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_WAYS: Final = {
    "record": "by the record",
    "server": "recognised by the API",
    "look_up": "found by a look-up",
    "claim": "turned away at the claim",
}
MOST_GROUPS: Final = 12
"""Duplicates that are shown one by one."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is on the page.

    Attributes:
        location: the store, for people.
        whole: the signals of everything together.
        operations: the signals of each operation.
        time: the numbers over time.
        unknown: the oldest open unknowns.
        clashes: writes that should have been one.
    """

    location: str
    whole: Stats
    operations: Sequence[Stats]
    time: Timeline
    unknown: Sequence[Record]
    clashes: Sequence[Effect]


def page(report: Report) -> str:
    """The whole document."""
    stats = report.whole
    title = "samekey report" if stats.operation is None else f"samekey report: {stats.operation}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_STYLE)),
    )
    main = tag(
        "main",
        _verdict(report),
        _tiles(stats),
        *(_charts(report) if stats.actions or any(each.events for each in report.time.stretches) else (_nothing(),)),
        _unknown(report),
        _duplicates(report),
        _operations(report),
        _definitions(),
    )
    body = tag("body", _header(report, title), main)
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report, title: str) -> Markup:
    stats = report.whole
    since = "all that the store knows" if stats.since is None else f"since {stats.since:%Y-%m-%d %H:%M} UTC"
    return tag(
        "header",
        tag("h1", title),
        tag("p", f"{stats.at:%Y-%m-%d %H:%M} UTC · {since}", class_="when"),
        tag("p", report.location, class_="store"),
    )


def _verdict(report: Report) -> Markup:
    stats = report.whole
    if stats.writes != stats.objects:
        groups = len(objects(report.clashes))
        told = f"There are duplicates: {stats.writes:,} writes for {count_of(stats.objects, 'business object')}."
        more = f"{count_of(groups, 'case')}, listed below; samekey audit names them too."
        return tag("p", tag("strong", told), " ", more, class_="verdict bad")
    if not stats.writes:
        told, more = "Nothing to compare yet.", "No write in this time names the object that it made."
        return tag("p", tag("strong", told), " ", more, class_="verdict")
    told = f"No duplicates: {count_of(stats.writes, 'write')} for as many business objects."
    more = f" {count_of(stats.duplicates_prevented, 'duplicate')} prevented." if stats.duplicates_prevented else ""
    return tag("p", tag("strong", told), more, class_="verdict good")


def _tiles(stats: Stats) -> Markup:
    told = values(stats)
    alarms = {
        "writes_per_object": stats.writes != stats.objects,
        "open_unknowns": stats.open_unknowns > 0,
        "review_backlog": stats.review_backlog > 0,
    }
    tiles = []
    for name, signal in SIGNALS.items():
        value, made_of = told[name]
        bad = name == "writes_per_object"
        colour = (" bad" if bad else " doubt") if alarms.get(name) else ""
        tiles.append(
            tag(
                "div",
                tag("dt", signal.title),
                tag("dd", value, class_=f"value{colour}"),
                tag("dd", made_of, class_="made") if made_of else None,
                class_="tile",
            )
        )
    return tag("dl", *tiles, class_="tiles")


def _nothing() -> Markup:
    return tag("p", "No action in this time: a samekey.Client that writes adds one per action.", class_="empty")


def _charts(report: Report) -> tuple[Markup, ...]:
    stretches = report.time.stretches

    def counted(*kinds: str) -> list[int]:
        return [each.count(*kinds) for each in stretches]

    other = [each.rows.actions - each.rows.succeeded - each.rows.rejected for each in stretches]
    prevented = [
        Series(told, f"c{number}", counted(*[kind for kind, its in PREVENTED.items() if its == way]))
        for number, (way, told) in enumerate(_WAYS.items(), 1)
    ]
    return (
        _chart(
            report, "actions", "Actions", "first claimed",
            [
                Series("succeeded", "c1", [each.rows.succeeded for each in stretches]),
                Series("rejected", "c5", [each.rows.rejected for each in stretches]),
                Series("open or abandoned", "c4", other),
            ],
        ),
        _chart(report, "prevented", "Duplicates prevented", "what would have been done again", prevented),
        _chart(
            report, "recoveries", "Recoveries", "actions that were sent more than once, by when they were claimed",
            [
                Series("succeeded after a resend", "c2", [each.rows.recovered for each in stretches]),
                Series("not succeeded", "c5", [each.rows.retried - each.rows.recovered for each in stretches]),
            ],
            tag("p", f"Attempts of dead processes taken over: {sum(counted(*TAKEN_OVER)):,}.", class_="hint"),
        ),
        _chart(
            report, "trouble", "Conflicts, expired keys and budget stops",
            "begins with other data, resends that came too late, and runs that ended early",
            [
                Series("conflicts", "c5", counted(*CONFLICTS)),
                Series("expired-key blocks", "c4", counted("expired_key")),
                Series("budget stops", "c3", counted("budget_stop")),
            ],
        ),
        _conflicts(report),
    )  # fmt: skip


def _chart(
    report: Report, name: str, title: str, hint: str, series: Sequence[Series], more: Markup | None = None
) -> Markup:
    time = report.time
    labels = [each.label for each in time.stretches]
    sums = ", ".join(f"{sum(each.values):,} {each.name}" for each in series)
    heads = [f"{time.unit} from (UTC)", *[each.name for each in series]]
    rows = [[label, *[f"{each.values[index]:,}" for each in series]] for index, label in enumerate(labels)]
    cut = " Older ones are left out." if time.cut else ""
    return tag(
        "section",
        tag("h2", title),
        tag("p", f"{hint[:1].upper()}{hint[1:]}, per {time.unit} (UTC).{cut}", class_="hint"),
        _legend(series),
        tag("figure", columns(title, f"Columns per {time.unit}: {sums}.", labels, series, name)),
        more,
        _numbers(title, heads, rows),
    )


def _legend(series: Sequence[Series]) -> Markup:
    items = [
        tag("li", tag("span", "", class_=f"swatch {each.colour}"), f"{each.name} ", tag("b", f"{sum(each.values):,}"))
        for each in series
    ]
    return tag("ul", *items, class_="legend")


def _conflicts(report: Report) -> Markup:
    listed = sorted(report.operations, key=lambda stats: (-stats.conflicts, stats.operation or ""))
    rows = [
        Bar(
            stats.operation or "",
            float(stats.conflicts),
            f"{stats.conflicts:,} of {stats.begins:,} begins, {percent(stats.conflict_rate)}",
            "c5",
        )
        for stats in listed
    ]
    told = [[row.name, row.told] for row in rows]
    title = "Conflicts by operation"
    return tag(
        "section",
        tag("h2", title),
        tag("p", "Other data, another destination or another credential under a known key.", class_="hint"),
        tag("figure", bars(title, "; ".join(f"{row.name}: {row.told}" for row in rows), rows, "conflicts")),
        _numbers(title, ["operation", "conflicts"], told),
    )


def _unknown(report: Report) -> Markup:
    stats, title = report.whole, "Open unknowns against their windows"
    if not stats.open_unknowns:
        return tag("section", tag("h2", title), tag("p", "None: no action is left without an answer.", class_="hint"))
    rows = [_window(record, stats) for record in report.unknown]
    more = stats.open_unknowns - len(rows)
    return tag(
        "section",
        tag("h2", title),
        tag(
            "p",
            "How much of the time has passed in which the API remembers the key. Before it is over, a rerun of the script or "
            "samekey recover can tell what happened; after it, only a person can.",
            class_="hint",
        ),
        tag("figure", bars(title, f"{count_of(len(rows), 'bar')}, the oldest first.", rows, "unknown", most=1.0)),
        tag("p", f"And {count_of(more, 'younger one')}.", class_="hint") if more > 0 else None,
        _numbers(title, ["action", "age and window"], [[row.name, row.told] for row in rows]),
    )


def _window(record: Record, stats: Stats) -> Bar:
    age = max(0.0, (stats.at - (record.first_sent_at or record.created_at)).total_seconds())
    name = f"{record.operation_name} {record.idempotency_key[:SHORT_KEY]}"
    if not record.window_seconds:
        return Bar(name, 1.0, f"{span(age)} old, no window is known", "c6")
    share = age / record.window_seconds
    colour = "c5" if share >= 1 else "c4" if share >= 0.5 else "c2"
    return Bar(name, max(share, 0.001), f"{span(age)} of {span(record.window_seconds)}", colour)


def _duplicates(report: Report) -> Markup | None:
    groups = objects(report.clashes)
    if not groups:
        return None
    heads = ["what", "operation", "keys", "references"]
    rows = [
        [
            kind_of(group),
            group[0].operation_name,
            ", ".join(dict.fromkeys(each.idempotency_key[:SHORT_KEY] for each in group)),
            ", ".join(dict.fromkeys(each.reference for each in group)),
        ]
        for group in groups[:MOST_GROUPS]
    ]
    more = len(groups) - MOST_GROUPS
    return tag(
        "section",
        tag("h2", "Duplicates"),
        tag(
            "p", "Writes that should have been one. Look at each, and undo at the API what is too much.", class_="hint"
        ),
        _table("Duplicates", heads, rows, kind="scroll words"),
        tag("p", f"And {count_of(more, 'more case')}: samekey audit.", class_="hint") if more > 0 else None,
    )


def _operations(report: Report) -> Markup | None:
    if not report.operations:
        return None
    heads = [
        "operation",
        "actions",
        "succeeded",
        "rejected",
        "prevented",
        "conflicts",
        "recovered",
        "per object",
        "open",
        "review",
    ]
    rows = [
        [
            stats.operation or "",
            f"{stats.actions:,}",
            f"{stats.succeeded:,}",
            f"{stats.rejected:,}",
            f"{stats.duplicates_prevented:,}",
            f"{stats.conflicts:,}",
            f"{stats.recovered:,} of {stats.retried:,}",
            ratio(stats.writes_per_object),
            f"{stats.open_unknowns:,}",
            f"{stats.review_backlog:,}",
        ]
        for stats in report.operations
    ]
    return tag("section", tag("h2", "By operation"), _table("By operation", heads, rows))


def _definitions() -> Markup:
    def plain(text: str) -> str:
        return f"{text[:1].upper()}{text[1:]}".replace("`", "").replace("*", "")

    items = [
        join(
            tag("dt", signal.title),
            tag(
                "dd",
                plain(
                    f"{signal.numerator}, of {signal.denominator}." if signal.denominator else f"{signal.numerator}."
                ),
            ),
            tag("dd", tag("em", "Moved by: "), plain(signal.moves), "."),
            tag("dd", tag("em", "What to do: "), plain(signal.act), "."),
        )
        for signal in SIGNALS.values()
    ]
    words = tag("details", tag("summary", "Definitions, what moves them, and what to do"), tag("dl", *items))
    return tag("section", tag("h2", "What the numbers mean"), words, class_="screen")


def _numbers(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    return tag("details", tag("summary", "The same in numbers"), _table(title, heads, rows))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "scroll") -> Markup:
    head = tag("tr", *[tag("th", each, scope="col") for each in heads])
    body = [tag("tr", tag("th", row[0], scope="row"), *[tag("td", cell) for cell in row[1:]]) for row in rows]
    table = tag("table", tag("caption", title), tag("thead", head), tag("tbody", *body))
    return tag("div", table, class_=kind, tabindex="0", role="region", aria_label=title)
