"""The book as one PDF: pages printed by a browser, joined with bookmarks, numbers and working links."""

import pdf
import pytest
from pypdf import PdfReader

ROOT = pdf.ROOT
PAGE = """<!doctype html><html><head><link rel="stylesheet" href="../_static/print.css"></head><body>
<article><section id="top"><h1>{title}<a class="headerlink" href="#top">#</a></h1><p>{text}</p>
<details><summary>more</summary><p>folded away</p></details>
<section id="first"><h2>First \\(x\\) of {title}</h2><p><a href="#second">down</a> <a href="https://example.org/">out</a>
<a href="gone.html">gone</a></p><section id="second" style="break-before:page"><h3>Second</h3><p>the end</p></section>
</section></section></article></body></html>"""
TOC = {
    "root": "book/start",
    "parts": [{"caption": "The part", "chapters": [{"file": "book/one"}, {"file": "book/two"}]}],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    for name in ("book", "_static"):
        (site / name).mkdir()
    (site / "_static/print.css").write_text((ROOT / "book/_static/print.css").read_text())
    (site / "_static/theme.css").touch()
    links = {"start": "", "one": "", "two": 'see <a href="one.html#second">one</a> and <a href="start.html">start</a>'}
    for name, text in links.items():
        (site / f"book/{name}.html").write_text(PAGE.format(title=name.title(), text=text))
    return site


@pytest.fixture(scope="module")
def book(site, tmp_path_factory):
    if not pdf.browser():
        pytest.skip("no browser: install chromium")
    file = tmp_path_factory.mktemp("pdf") / "book.pdf"
    pdf.make(site, pdf.chapters(TOC, site), "All of it").write(file)
    return PdfReader(file)


def outline(book, items=None, depth=0):
    for item in book.outline if items is None else items:
        if isinstance(item, list):
            yield from outline(book, item, depth + 1)
        else:
            yield depth, item.title, book.get_destination_page_number(item)


def test_titles_and_headings_are_those_of_the_pages(site):
    start, one, _ = pdf.chapters(TOC, site)
    assert (start.title, start.part, one.title, one.part) == ("Start", None, "One", "The part")
    assert one.headings == [(2, "first", "First x of One"), (3, "second", "Second")]


def test_a_page_without_a_title_is_refused(tmp_path):
    (tmp_path / "a.html").write_text("<p>text")
    with pytest.raises(ValueError, match=r"a\.html has no title"):
        pdf.read(tmp_path, "a.html", None)


def test_bookmarks(book):
    assert list(outline(book)) == [
        (0, "Start", 1), (1, "First x of Start", 1), (2, "Second", 2),
        (0, "The part", 3),
        (1, "One", 3), (2, "First x of One", 3), (3, "Second", 4),
        (1, "Two", 5), (2, "First x of Two", 5), (3, "Second", 6),
    ]  # fmt: skip


def test_pages_are_numbered_and_listed(book):
    texts = [page.extract_text() for page in book.pages]
    assert [text.split()[-1] for text in texts[1:]] == ["2", "3", "4", "5", "6", "7"]
    assert "All of it" in texts[0]
    for entry in ("The part", "One", "4", "Two", "6"):
        assert entry in texts[0]
    assert not texts[0].rstrip().endswith("1")


def test_what_is_folded_is_open(book):
    assert "folded away" in book.pages[3].extract_text()


def test_links_stay_in_the_book_or_leave_for_the_web(book):
    inside, outside = [], []
    pages = {page.indirect_reference.idnum: number for number, page in enumerate(book.pages)}
    for number, page in enumerate(book.pages):
        for link in (annotation.get_object() for annotation in page.get("/Annots", [])):
            if "/Dest" in link:
                inside.append((number, pages[link["/Dest"][0].idnum]))
            else:
                outside.append(link["/A"]["/URI"])
    assert inside == [(0, 1), (0, 3), (0, 5), (1, 2), (3, 4), (5, 4), (5, 1), (5, 6)]
    assert outside == ["https://example.org/"] * 3


def test_no_address_of_this_machine_is_in_it(book):
    assert not [page for page in book.pages if "127.0.0.1" in str([a.get_object() for a in page.get("/Annots", [])])]


def test_print_rules_are_for_print_alone():
    rules = (ROOT / "book/_static/print.css").read_text()
    outside = rules.split("@media print", 1)[0]
    assert "@page" in outside
    assert outside.count("{") == 1
