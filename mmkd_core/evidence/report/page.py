"""Pieces of HTML, in which everything that comes from data is escaped: text that is not `Markup` is text."""

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> str:
    """`value` as HTML: as it is if it is `Markup`, else every sign of it as text."""
    return value if isinstance(value, Markup) else html.escape(str(value))


def element(tag: str, *parts: object, **attributes: object) -> Markup:
    """`<tag attribute="...">parts</tag>`, of `img` the first half alone.

    An attribute `class_` is `class`, and `_` within a name is `-`.
    """
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for name, value in attributes.items()
    )
    return Markup(f"<{tag}{told}>" if tag == "img" else f"<{tag}{told}>{joined(parts)}</{tag}>")


def joined(parts: Iterable[object]) -> Markup:
    """The parts one after the other."""
    return Markup("".join(map(escaped, parts)))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> Markup:
    """A table whose first column names the rows; on a narrow page it scrolls by itself."""
    cells = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    top = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    whole = element("table", element("caption", caption), top, element("tbody", *cells))
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def figure(svg: str, caption: str) -> Markup:
    """A drawing, which is HTML, and what it shows."""
    return element("figure", Markup(svg), element("figcaption", caption), class_="chart")


def section(name: str, title: str, *parts: object) -> Markup:
    """A part of the page."""
    return element("section", element("h2", title, id=name), *parts, aria_labelledby=name)


def page(title: str, parts: Iterable[object], foot: object) -> str:
    """The whole page: `report.html` with the parts in it."""
    template = files("mmkd_core.evidence").joinpath("report.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escaped(title), body=joined(parts), foot=escaped(foot))
