"""Prints the rendered book as one PDF with bookmarks and page numbers: `make pdf`, after `make html`.

Each page is printed by a browser, as a reader would print it, and the prints are joined.
"""

import functools
import html
import http.server
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, Fit, FloatObject, NameObject, NullObject

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEAD = "<!doctype html><html data-theme=light><meta charset=utf-8><link rel=stylesheet href=/_static/theme.css>"


@dataclass
class Chapter:
    """A page of the site: where it stands, its headings as (level, id, text), its print and that one's first page."""

    path: str
    part: str | None
    title: str
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    print: PdfReader | None = None
    start: int = 0


def chapters(toc: dict, site: Path) -> list[Chapter]:
    """The pages that a table of contents names, in its order."""
    named = [(toc["root"], None)]
    named += [(entry["file"], part["caption"]) for part in toc["parts"] for entry in part["chapters"]]
    return [read(site, f"{name}.html", part) for name, part in named]


def read(site: Path, path: str, part: str | None) -> Chapter:
    """A page's title and headings."""
    article = BeautifulSoup((site / path).read_text(encoding="utf-8"), "html.parser").select_one("article")
    if article is None or article.h1 is None:
        raise ValueError(f"{path} has no title")
    for link in article.select(".headerlink"):
        link.decompose()
    sections = [(heading, heading.find_parent("section")) for heading in article.select("section > h2, section > h3")]
    headings = [(int(h.name[1]), str(s["id"]), text(h)) for h, s in sections if s is not None]
    return Chapter(path, part, text(article.h1), headings)


def text(tag) -> str:
    """The words of a heading; formulas lose their marks."""
    return re.sub(r"\\\(|\\\)|[{}$]|\\math\w+|\\", "", " ".join(tag.get_text().split()))


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site, and pages `drawn` beside it.

    Each page of the site gets invisible links to all of its places, so that these are known in its print.
    """

    def __init__(self, *args, drawn: dict[str, str], **kwargs):
        self.drawn = drawn
        super().__init__(*args, **kwargs)

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if self.path not in self.drawn and path.suffix != ".html":
            super().do_GET()
            return
        page = self.drawn.get(self.path) or path.read_text(encoding="utf-8")
        places = "".join(
            f'<a href="#{place}" style="position:absolute;width:0;height:0" tabindex="-1"></a>'
            for place in re.findall(r'\bid="([^"]+)"', page)
        )
        body = page.replace("</article>", places + "</article>", 1).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def served(site: Path, drawn: dict[str, str]) -> Iterator[str]:
    """The address at which the site is served, on this machine alone."""
    handler = functools.partial(Handler, directory=site, drawn=drawn)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def browser() -> str | None:
    """The browser that prints, if this machine has one."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def printed(address: str, folder: Path) -> PdfReader:
    """A page as the browser prints it, when its equations are set."""
    file = folder / f"{len(list(folder.iterdir()))}.pdf"
    command = [browser() or BROWSERS[0], "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    command += ["--no-pdf-header-footer", "--virtual-time-budget=60000", f"--print-to-pdf={file}", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if not file.exists():
        raise RuntimeError(f"{address} was not printed:\n{done.stderr}")
    return PdfReader(file)


def contents(title: str, book: list[Chapter]) -> str:
    """The front page, as HTML: the title and what stands on which page."""
    lines, part = [f"<h1 style='font-size:30pt;margin:10mm 0 6mm'>{html.escape(title)}</h1>"], None
    for chapter in book:
        if chapter.part != part:
            part = chapter.part
            lines.append(f"<h2 style='font-size:12pt;margin:4mm 0 1mm'>{html.escape(part or '')}</h2>")
        row = f"<span>{html.escape(chapter.title)}</span><span>{chapter.start + 1}</span>"
        style = "display:flex;justify-content:space-between;color:#000;text-decoration:none;line-height:1.5"
        lines.append(f"<a style='{style}' href='/{chapter.path}'>{row}</a>")
    page = "@page { size: A4; margin: 17mm 16mm 19mm } body { margin: 0; font: 10.5pt 'Source Sans 3' }"
    page += "h1 { font-family: 'Source Serif 4'; font-weight: 500 }"
    return f"{HEAD}<style>{page}</style><body>{''.join(lines)}"


def feet(book: list[Chapter], pages: int) -> str:
    """The feet of all pages but the first, as HTML: chapter and number."""
    style = "@page{size:A4;margin:0} body{margin:0;font:8pt 'Source Sans 3';color:#555} p{margin:0}"
    style += "div{height:297mm;box-sizing:border-box;padding:283mm 16mm 0;break-after:page;overflow:hidden}"
    style += "p{display:flex;justify-content:space-between}"
    titles = {number: chapter.title for chapter in book for number in range(chapter.start, pages)}
    lines = [f"<p><span>{html.escape(titles.get(n, ''))}</span><span>{n + 1}</span></p>" for n in range(pages)]
    lines[0] = ""
    return f"{HEAD}<style>{style}</style><body>{''.join(f'<div>{line}</div>' for line in lines)}"


def place(chapter: Chapter, name: str) -> tuple[int, float | None]:
    """The page of a chapter's place in the book, and how far up it is; the chapter's first page if it is unknown."""
    assert chapter.print is not None
    found = chapter.print.named_destinations.get(f"/{name}")
    number = chapter.print.get_destination_page_number(found) if found else None
    return (chapter.start, None) if number is None else (chapter.start + number, found.top)


def relink(writer: PdfWriter, page: PageObject, chapter: Chapter | None, book: dict[str, Chapter], base: str) -> None:
    """Links into the site become links into the PDF; those to what is not in it go."""
    kept = ArrayObject()
    for reference in page.get("/Annots", []):
        link = reference.get_object()
        address = str(link.get("/A", {}).get("/URI", ""))
        if "/Dest" in link and chapter:
            target = (chapter, str(link["/Dest"]).lstrip("/"))
        elif address.startswith(base):
            split = urlsplit(address)
            target = (book.get(split.path.lstrip("/")), unquote(split.fragment))
        else:
            kept.append(reference)
            continue
        if target[0] is not None:
            number, top = place(*target)
            up = NullObject() if top is None else FloatObject(top)
            link[NameObject("/Dest")] = ArrayObject(
                [writer.pages[number].indirect_reference, NameObject("/XYZ"), NullObject(), up, NullObject()]
            )
            link.pop("/A", None)
            kept.append(reference)
    page[NameObject("/Annots")] = kept


def bound(front: PdfReader, book: list[Chapter], numbers: PdfReader, title: str, base: str) -> PdfWriter:
    """All prints as one, with links, bookmarks and feet."""
    writer = PdfWriter()
    owners: list[Chapter | None] = []
    for chapter, reader in [(None, front), *((chapter, chapter.print) for chapter in book)]:
        assert reader is not None
        for page in reader.pages:
            writer.add_page(page)
            owners.append(chapter)
    by_path = {chapter.path: chapter for chapter in book}
    for page, owner, foot in zip(writer.pages, owners, numbers.pages, strict=True):
        relink(writer, page, owner, by_path, base)
        page.merge_page(foot)
        page.compress_content_streams()  # joining them has unpacked them
    mark = functools.partial(writer.add_outline_item, is_open=False)
    parts: dict[str, DictionaryObject] = {}
    for chapter in book:
        if chapter.part and chapter.part not in parts:
            parts[chapter.part] = mark(title=chapter.part, page_number=chapter.start, bold=True)
        above = parts.get(chapter.part or "")
        parents = {1: mark(title=chapter.title, page_number=chapter.start, parent=above)}
        for level, name, heading in chapter.headings:
            number, top = place(chapter, name)
            above = parents[max(known for known in parents if known < level)]
            parents = {known: item for known, item in parents.items() if known < level}
            parents[level] = mark(title=heading, page_number=number, parent=above, fit=Fit.xyz(top=top))
    writer.add_metadata({"/Title": title, "/Creator": "make pdf", "/Producer": "pypdf"})
    writer.page_mode = "/UseOutlines"
    writer.compress_identical_objects()
    return writer


def make(site: Path, book: list[Chapter], title: str) -> PdfWriter:
    """The book as one PDF."""
    drawn: dict[str, str] = {}
    with served(site, drawn) as base, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for chapter in book:
            chapter.print = printed(f"{base}/{chapter.path}", folder)
            print(f"{chapter.path}: {len(chapter.print.pages)} pages", flush=True)
        front, length = None, 1
        while front is None or len(front.pages) != length:  # how long the contents are is seen when they are printed
            start = length = len(front.pages) if front else length
            for chapter in book:
                chapter.start, start = start, start + len(chapter.print.pages)
            drawn["/contents"] = contents(title, book)
            front = printed(f"{base}/contents", folder)
        drawn["/feet"] = feet(book, start)
        return bound(front, book, printed(f"{base}/feet", folder), title, base)


def main() -> None:
    site = ROOT / "_build/html"
    if not browser():
        sys.exit(f"No browser to print with: install one of {', '.join(BROWSERS)}.")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    book = chapters(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")), site)
    out = ROOT / "_build/pdf/mmkd.pdf"
    out.parent.mkdir(parents=True, exist_ok=True)
    written = make(site, book, config["title"])
    written.write(out)
    print(f"{out.relative_to(ROOT)}: {len(written.pages)} pages, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
