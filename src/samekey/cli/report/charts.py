"""Charts as inline SVG. Each has a title and a description, and a table beside it says the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from samekey.cli.report.markup import Markup, join, tag

WIDTH: Final = 720.0
_LEFT: Final = 64.0
_RIGHT: Final = 8.0
_TOP: Final = 12.0
_PLOT: Final = 150.0
_BOTTOM: Final = 26.0
_GAP: Final = 2.0
_ROW: Final = 46.0
_BAR: Final = 14.0
_LABEL_LETTERS: Final = 48
"""Letters that fit under the columns, also where they are large, on a telephone."""
_STEPS: Final = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Series:
    """One layer of the columns.

    Attributes:
        name: what it counts.
        colour: the class that colours it.
        values: one for each column.
    """

    name: str
    colour: str
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a list.

    Attributes:
        name: what it is of.
        value: how long it is.
        told: the same in words.
        colour: the class that colours it.
    """

    name: str
    value: float
    told: str
    colour: str


def columns(title: str, description: str, labels: Sequence[str], series: Sequence[Series], name: str) -> Markup:
    """Stacked columns, one for each stretch of time.

    Args:
        title: what the chart shows.
        description: what is to be seen, in a sentence.
        labels: the stretches.
        series: the layers, from below.
        name: an id that is the page's only one.
    """
    totals = [sum(each.values[index] for each in series) for index in range(len(labels))]
    step = scale_step(max(totals, default=0))
    top = step * -(-max(max(totals, default=0), 1) // step)
    width = (WIDTH - _LEFT - _RIGHT) / max(len(labels), 1)
    return _figure(
        title,
        description,
        name,
        _TOP + _PLOT + _BOTTOM,
        _grid(top, step),
        *[_column(index, width, top, label, series) for index, label in enumerate(labels)],
        *_ticks(labels, width),
    )


def _grid(top: int, step: int) -> Markup:
    lines = []
    for value in range(0, top + 1, step):
        y = _TOP + _PLOT * (1 - value / top)
        lines.append(tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="axis" if value == 0 else "grid"))
        lines.append(tag("text", f"{value:,}", x=_LEFT - 8, y=y + 4, class_="tick", text_anchor="end"))
    return join(*lines)


def _column(index: int, width: float, top: int, label: str, series: Sequence[Series]) -> Markup:
    thick = max(min(width - _GAP, 48.0), width * 0.6, 0.5)
    x = _LEFT + index * width + (width - thick) / 2
    y, parts = _TOP + _PLOT, []
    for each in series:
        value = each.values[index]
        if value:
            height = _PLOT * value / top
            y -= height
            told = tag("title", f"{label}: {value:,} {each.name}")
            parts.append(tag("rect", told, x=x, y=y, width=thick, height=max(height, 0.75), class_=each.colour))
    return join(*parts)


def _ticks(labels: Sequence[str], width: float) -> list[Markup]:
    fit = max(1, _LABEL_LETTERS // (max(map(len, labels), default=0) or 1))
    every = -(-len(labels) // fit) or 1
    y = _TOP + _PLOT + 17
    return [
        tag("text", label, x=_LEFT + (index + 0.5) * width, y=y, class_="tick", text_anchor="middle")
        for index, label in enumerate(labels)
        if index % every == every // 2
    ]


def scale_step(most: int) -> int:
    """The distance of the lines: 1, 2 or 5 times a power of ten, so that at most five of them are needed."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power * 4 >= most:
                return step * power
        power *= 10


def bars(title: str, description: str, rows: Sequence[Bar], name: str, *, most: float | None = None) -> Markup:
    """A list of horizontal bars, each under its name.

    Args:
        title: what the chart shows.
        description: what is to be seen, in a sentence.
        rows: from above.
        name: an id that is the page's only one.
        most: the value that fills the width; the longest bar's if it is None.
    """
    full = most or max((row.value for row in rows), default=0.0) or 1.0
    parts: list[Markup | None] = []
    for index, row in enumerate(rows):
        y = index * _ROW
        length = WIDTH * min(row.value / full, 1.0)
        parts += [
            tag("text", _cut(row.name), x=0.0, y=y + 16, class_="label"),
            tag("text", row.told, x=WIDTH, y=y + 16, class_="label", text_anchor="end"),
            tag("rect", x=0.0, y=y + 22, width=WIDTH, height=_BAR, class_="track"),
            tag("rect", x=0.0, y=y + 22, width=max(length, 2.0), height=_BAR, class_=row.colour)
            if row.value > 0
            else None,
        ]
    return _figure(title, description, name, len(rows) * _ROW, *parts)


def _cut(text: str) -> str:
    return text if len(text) <= 38 else f"{text[:37]}…"


def _figure(title: str, description: str, name: str, height: float, *parts: Markup | None) -> Markup:
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", description, id=f"{name}-desc"),
        *parts,
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        class_="chart",
    )
