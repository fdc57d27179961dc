"""Elements of HTML and SVG. Text and attributes are escaped here and nowhere else."""

from __future__ import annotations

from html import escape
from typing import Final

from samekey.cli.render import safe

_EMPTY: Final = frozenset({"meta", "link", "line", "rect", "circle"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: str | Markup | None, **attributes: str | float | None) -> Markup:
    """One element.

    Args:
        name: its name.
        *children: markup, or text, which is escaped; None is left out.
        **attributes: by name; a trailing underscore is dropped, others become hyphens; None is left out.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY and not children:
        return Markup(f"<{name}{given}>" if name in {"meta", "link"} else f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: str | Markup | None) -> Markup:
    """Elements one after the other."""
    return Markup(
        "".join(each if isinstance(each, Markup) else escape(safe(each)) for each in children if each is not None)
    )


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return safe(str(value))
