"""Checks the chapters' plain copies and lays them out for Colab: `make colab`, after `make html` wrote them."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.mdit_to_docutils.base import DocutilsRenderer
from myst_parser.parsers.mdit import create_md_parser

BUILD = Path(__file__).parent.parent / "_build"
# What MyST's own parser makes of Markdown, with all that this book has switched on.
PARSER = create_md_parser(
    MdParserConfig(enable_extensions={"amsmath", "colon_fence", "deflist", "dollarmath", "substitution", "tasklist"}),
    DocutilsRenderer,
)
SYNTAX = {
    "myst_role", "myst_target", "myst_block_break", "myst_line_comment", "colon_fence", "front_matter",
    "math_block_label", "substitution_inline", "substitution_block", "dl_open", "footnote_ref", "footnote_block_open",
}  # fmt: skip
OUTSIDE = re.compile(r"https?://|mailto:|data:image/")


def tokens(text: str) -> Iterator[Token]:
    """All tokens of a text in Markdown, those inside lines included."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def syntax(text: str) -> list[str]:
    """What in a text only MyST understands."""
    found = []
    for token in tokens(text):
        directive = token.type == "fence" and token.info.startswith("{")
        if token.type in SYNTAX or directive:
            found.append(f"{token.type}: {(token.info + ' ' + token.content).strip()[:60]}")
        if token.type == "text" and (match := re.search(r":::|\{[a-z:-]+\}`|\]\(<?(project|path|inv):", token.content)):
            found.append(f"text: {match[0]}")
    return found


def links(text: str) -> Iterator[str]:
    """The addresses of links and pictures."""
    for token in tokens(text):
        if token.type in ("link_open", "image"):
            yield str(token.attrs["href" if token.type == "link_open" else "src"])


def leads_nowhere(address: str, site: str, pages: Path) -> bool:
    """Whether a link leads to no file; those into the book, published at `site`, are looked up among its `pages`.

    Where it is not published a copy has no others beside it but those of its folder.
    """
    if not OUTSIDE.match(address):
        return bool(site) or not (pages / "colab" / address).is_file()
    if not site or not address.startswith(site + "/"):
        return False
    path, anchor = urldefrag(unquote(address.removeprefix(site + "/")))
    page = pages / (path or "index.html")
    return not page.is_file() or (bool(anchor) and f'id="{anchor}"' not in page.read_text())


def published(notebook: nbformat.NotebookNode) -> str:
    """Where the book is published, as the first cell of a copy says; empty if it does not."""
    match = re.search(r"\]\((https?://\S+)/notebooks/[\w-]+\.html\)", notebook.cells[0].source)
    return match[1] if match else ""


def problems(notebook: nbformat.NotebookNode, pages: Path) -> list[str]:
    """What keeps a copy from being read or run anywhere: MyST, links that lead nowhere, a pin of torch."""
    nbformat.validate(notebook)
    found = []
    for cell in notebook.cells:
        texts = [cell.source] if cell.cell_type == "markdown" else []
        texts += [o["data"]["text/markdown"] for o in cell.get("outputs", []) if "text/markdown" in o.get("data", {})]
        for text in texts:
            found += syntax(text)
            found += [f"link: {link}" for link in links(text) if leads_nowhere(link, published(notebook), pages)]
        if re.search(r"pip install.*\btorch\b", cell.source):
            found.append("torch: Colab has its own")
    return found


def copies_for(edition: str) -> tuple[list[Path], Path]:
    """The copies that the build made, and the edition's folder, emptied; ends the program where there are none."""
    out = BUILD / edition
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    copies = sorted((BUILD / "html/colab").glob("*.ipynb"))
    if not copies:
        sys.exit("There are no copies: run `make html`.")
    return copies, out


def main() -> None:
    copies, out = copies_for("colab")
    found = [f"{p.stem}: {x}" for p in copies for x in problems(nbformat.read(p, as_version=4), BUILD / "html")]
    if found:
        sys.exit("\n".join(found))
    for path in copies:
        shutil.copy(path, out)
    print(f"{len(copies)} copies in {out.relative_to(BUILD.parent)}")


if __name__ == "__main__":
    main()
