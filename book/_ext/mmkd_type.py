"""How prose and tables are set: what belongs together stays on one line, and a minus is a minus.

Records, notebooks and sources keep to plain spaces and hyphens; only the rendered page gets no-break spaces inside
"0.10 ± 0.01", "[-0.1, +0.2]", "p = .03", "95 %" and "Table 3", a real minus before a number, and a box around a formula
and the punctuation that touches it, after which a browser would otherwise break the line.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

NBSP = "\u00a0"
VERBATIM = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)
INTERVAL = re.compile(r"\[[^\[\]]{1,30}\]")
MINUS = re.compile(r"(?<![\w.\-\u2212/)])-(?=\.?\d)")
TOGETHER = re.compile(
    r"(?<=\d) (?=[%±¹²†])"
    r"|(?<=±) (?=[\d.])"
    r"|(?<=[ %†]) (?=[¹²†])"
    r"|(?<=\w) (?=[=<] [-\u2212]?[\d.])"
    r"|(?<=[=<]) (?=[-\u2212]?[\d.])"
    r"|(?<=\bnot) (?=run\b)"
    r"|(?<=\d) (?=/ \d)"
    r"|(?<=\d) (?=of \d)|(?<=\d of) (?=\d)"
    r"|(?<=\bTable) (?=\d)|(?<=\bTables) (?=\d)|(?<=\bFigure) (?=\d)"
    r"|(?<=\bEq\.) (?=\d)|(?<=\bFig\.) (?=\d)|(?<=\bSec\.) (?=\d)"
)
OPENING, CLOSING = re.compile(r"[(\[“‘]+$"), re.compile(r"^[,.;:!?)\]’”%]+")


def set_text(text):
    """The text with no-break spaces and minus signs."""
    text = INTERVAL.sub(lambda found: found[0].replace(" ", NBSP) if re.search(r"\d", found[0]) else found[0], text)
    return TOGETHER.sub(NBSP, MINUS.sub("\u2212", text))


class Typography(SphinxPostTransform):
    default_priority = 900  # after references are resolved: "Table 3" is text by then
    formats = ("html",)

    def run(self, **_):
        for text in list(self.document.findall(nodes.Text)):
            if not any(isinstance(above, VERBATIM) for above in ancestors(text)) and (new := set_text(text)) != text:
                text.parent[place_of(text)] = nodes.Text(new)
        for math in list(self.document.findall(nodes.math)):
            hold(math)


def place_of(node):
    """Where a node stands in its parent: itself, not another text that says the same, as `index` would find."""
    return next(place for place, child in enumerate(node.parent) if child is node)


def ancestors(node):
    while node.parent is not None:
        node = node.parent
        yield node


def hold(math):
    """Puts a formula and the punctuation that touches it into a box that no line ends in."""
    parent, place = math.parent, place_of(math)
    before = parent[place - 1] if place else None
    after = parent[place + 1] if place + 1 < len(parent) else None
    opening = OPENING.search(before) if isinstance(before, nodes.Text) else None
    closing = CLOSING.search(after) if isinstance(after, nodes.Text) else None
    if not (opening or closing):
        return
    box = nodes.inline(classes=["mmkd-keep"])
    if opening:
        parent[place - 1] = nodes.Text(before[: opening.start()])
        box += nodes.Text(opening[0])
    if closing:
        parent[place + 1] = nodes.Text(after[closing.end() :])
    parent[place] = box
    box += math
    if closing:
        box += nodes.Text(closing[0])


def setup(app):
    app.add_post_transform(Typography)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
