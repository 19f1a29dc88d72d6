"""What keeps a page of the theme from WCAG 2.2 A and AA: names that speech control could not find on the screen.

The theme and myst-nb label some controls with other words than they show (success criterion 2.5.3, label in name). What
is shown then is the better name. The icons inside the switch of the colour mode need none beside the switch's own. And
Sphinx gives an entry of the bibliography a role that WAI-ARIA has given up since.
"""

import re
from pathlib import Path

SUPERFLUOUS = re.compile(
    r"""(<summary)\ aria-label="Toggle\ hidden\ content"
    |   (<button\ [^>]*search-button-field[^>]*?)\ aria-label="[^"]*"
    |   (<i\ class="theme-switch\ [^>]*?)\ title="[^"]*"
    """,
    re.VERBOSE,
)


def unnamed(html):
    """The page without labels that differ from what it shows, and with a role in use."""
    html = SUPERFLUOUS.sub(lambda found: "".join(filter(None, found.groups())), html)
    return html.replace(' role="doc-biblioentry"', ' role="listitem"')


def rename_controls(app, error):
    """Rewrites the pages once they are written: no template of the theme lets a label through."""
    if error is None and app.builder.format == "html":
        for page in Path(app.outdir).rglob("*.html"):
            html = page.read_text(encoding="utf-8")
            if (better := unnamed(html)) != html:
                page.write_text(better, encoding="utf-8")


def setup(app):
    app.connect("build-finished", rename_controls)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
