"""From what is known to HTML. Knows no requests."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from samekey.cli.render import safe, stamp
from samekey.cli.timeline import WORDS
from samekey.cli.web.listing import STATUSES

if TYPE_CHECKING:
    from samekey.cli.web.desk import Shown
    from samekey.cli.web.listing import Listing

_STYLE: Final = (resources.files("samekey.cli.web") / "templates" / "style.css").read_text(encoding="utf-8")

STYLE_HASH: Final = f"sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}"
"""Names the style sheet for the content security policy."""


def _visible(value: Any) -> Any:
    """Text without what would steer a display, such as marks that turn the direction of writing around."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(safe(line) for line in value.split("\n"))
    return value


def _what(kind: str) -> str:
    return WORDS.get(kind, kind.replace("_", " "))


class Pages:
    """The pages of one desk.

    Args:
        root: the path that all its addresses begin with.
        location: the store, for people.
    """

    def __init__(self, root: str, location: str) -> None:
        self._root = root
        self._environment = Environment(
            loader=PackageLoader("samekey.cli.web"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(stamp=stamp, what=_what)
        style = Markup(_STYLE)  # noqa: S704 - our own file
        self._environment.globals.update(root=root, location=location, style=style, address=self.address)

    def address(self, key: str) -> str:
        """The path of one action's page."""
        return f"{self._root}/actions/{quote(key, safe='')}"

    def listing(self, found: Listing) -> str:
        """The list of actions."""
        return self._render("listing.html", found=found, statuses=STATUSES)

    def action(self, shown: Shown, *, decided: bool) -> str:
        """One action, and the form to decide about it."""
        return self._render("action.html", shown=shown, record=shown.record, decided=decided)

    def message(self, title: str, sentence: str) -> str:
        """What went wrong."""
        return self._render("message.html", title=title, sentence=sentence)

    def _render(self, name: str, **values: Any) -> str:
        return self._environment.get_template(name).render(values)
