"""The chapters' plain copies: they show what the page shows, and run where neither the book nor MyST is known."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import colab
import mmkd_colab
import nbformat
import pytest
import yaml
from docutils import nodes
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build/html"
COPIES = sorted((SITE / "colab").glob("*.ipynb"))

CONF = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "sphinx_design", "sphinxcontrib.bibtex", "mmkd_colab"]
html_title = "A small book"
html_theme = "sphinx_book_theme"
html_theme_options = {{"repository_url": {address!r}, "use_repository_button": bool({address!r})}}
if {address!r}:
    html_theme_options["launch_buttons"] = {{"colab_url": "https://colab.research.google.com"}}
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
nb_execution_mode = "off"
numfig = True
bibtex_bibfiles = ["refs.bib"]
bibtex_reference_style = "author_year"
"""
PAGE = """# The other page

(here)=
## A place

:::{glossary}
graph
  Nodes and edges.
:::

{cite}`one`

:::{bibliography}
:::
"""
BIB = '@article{one, author = "A. One", title = "A title", year = 2001, journal = "J"}'
TEXT = r"""# A chapter of $x$

Text with *marks*, **bold**, `co*de`, snake_case, 2 < 3 and a \*star\*; $a_b^*$ {cite}`one`, the {term}`graph`,
[a place](#here), {doc}`../page`, {numref}`fig-drawn` and {numref}`tab-of-cell`, {eq}`sum`, [far](https://a.org/b).

:::{admonition} Mind *this*
:class: tip
- one
- two
  1. inner

  more of two
:::

```{warning}
Beware.
```

$$
\sum_i x_i
$$ (sum)

\begin{align}
a &= b \\
c &= d
\end{align}

```{literalinclude} ../lib.py
:language: python
:pyobject: double
```

:::{dropdown} The solution
It is $|x|$.
:::

| a | b |
|---|---|
| $\|x\|$ | `y` |

term
: what it means

```{figure} ../drawn.svg
:name: fig-drawn
:alt: A line.

A *drawn* line.
```

> quoted

## Summary

Next: [the other](../page.md).
"""
TABLE = ":::{table} Of a cell\n:name: tab-of-cell\n\n| n |\n| --- |\n| 1 |\n:::\n\nsee [it](chapter.ipynb)"
CELL = f"from IPython.display import Markdown\n\nMarkdown({TABLE!r})"


def code(source, outputs=(), **metadata):
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


@pytest.fixture(scope="module", params=["https://github.com/owner/name", ""], ids=["address", "no address"])
def book(request, tmp_path_factory):
    """A small book with every construct that the chapters use, rendered; its folder, and the address it was given."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "notebooks").mkdir()
    (folder / "lib.py").write_text("def double(x):\n    return 2 * x\n\n\ndef unused():\n    pass\n")
    (folder / "drawn.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L9 9"/></svg>')
    (folder / "refs.bib").write_text(BIB)
    (folder / "page.md").write_text(PAGE)
    (folder / "index.md").write_text("# Start\n\n```{toctree}\nnotebooks/chapter\npage\n```\n")
    (folder / "conf.py").write_text(CONF.format(extensions=str(ROOT / "book/_ext"), address=request.param))
    (folder / "pyproject.toml").write_text('[project]\nname = "mmkd-book"\nversion = "1.2"')
    shown = nbformat.v4.new_output("display_data", {"text/markdown": TABLE})
    cells = [
        nbformat.v4.new_markdown_cell(TEXT),
        code("budget = None\ndatasets = None", tags=["parameters"]),
        code("hidden = 1", tags=["remove-cell"]),
        code(CELL, [shown], tags=["hide-input"], mystnb={"markdown_format": "myst"}),
        code("print(hidden, budget)", tags=["hide-cell"], mystnb={"code_prompt_show": "Show the solution"}),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "notebooks/chapter.ipynb")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", str(folder), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, request.param


@pytest.fixture
def copy(book):
    return nbformat.read(book[0] / "out/colab/chapter.ipynb", as_version=4)


def text_of(notebook):
    """The copy's Markdown without the cell that says what it is."""
    return "\n\n".join(cell.source for cell in notebook.cells[1:] if cell.cell_type == "markdown")


def test_what_myst_knows_alone_is_written_out(book, copy):
    assert colab.problems(copy, book[0] / "out") == []
    text = text_of(copy)
    for part in [
        "# A chapter of $x$",
        "*marks*, **bold**, `co*de`, snake_case, 2 < 3 and a \\*star\\*; $a_b^*$",
        "The other page",
        "Book Fig. 1 and Book Table 1, (1), [far](https://a.org/b)",
        "> **Mind *this***\n>\n> - one\n>\n> - two\n>\n>   1. inner\n>\n>   more of two",
        "> **Warning**\n>\n> Beware.",
        "$$\n\\sum_i x_i \\tag{1}\n$$",
        "\\begin{aligned}",
        "```python\ndef double(x):\n    return 2 * x\n```",
        "<summary>The solution</summary>\n\nIt is $|x|$.",
        "| a | b |\n| --- | --- |\n| $\\vert x\\vert$ | `y` |",
        "**term**: what it means",
        "![A line.](data:image/svg+xml;base64,",
        "**Book Fig. 1.** A *drawn* line.",
        "> quoted",
        "## Summary",
    ]:
        assert part in text
    assert "unused" not in text


def test_a_picture_drawn_inline_leaves_no_caption_behind():
    caption = nodes.caption("", "", nodes.Text("What it shows."))
    plain = mmkd_colab.Plain(ROOT, "page", "", {})
    assert plain.blocks(nodes.figure("", nodes.raw("", "<svg/>", format="html"), caption)) == []
    assert plain.blocks(nodes.figure("", nodes.image(uri="https://a.org/b.png"), caption.deepcopy())) == [
        "![](https://a.org/b.png)",
        "What it shows.",
    ]


def test_links_lead_into_the_published_book_or_are_text(book, copy):
    there = [address for address in colab.links(text_of(copy)) if not address.startswith(("data:", "https://a.org"))]
    if not book[1]:
        assert there == []
        return
    page = "https://owner.github.io/name/page.html"
    assert {page, f"{page}#here", f"{page}#term-graph"} <= set(there)
    assert all(address.startswith(page) for address in there)


def test_code_is_there_once_and_in_order(copy):
    own = [c for c in copy.cells if c.cell_type == "code"][2:]
    assert [c.source.splitlines()[0] for c in own] == [
        "budget = None",
        "if TRAIN:  # the switch at the top",
        "hidden = 1",
        "# @title The code of Book Table 1",
        "# @title Show the solution",
    ]
    assert [c.metadata.get("cellView") for c in own[-2:]] == ["form", "form"]
    assert not any(c.get("outputs") for c in copy.cells)


def test_the_first_cell_installs_this_version_and_not_torch(book, copy):
    first = next(cell.source for cell in copy.cells if cell.cell_type == "code")
    fetched = re.findall(r"https://\S+", first)
    files = "https://owner.github.io/name/files"
    assert fetched == ([f"{files}/mmkd_book-1.2-py3-none-any.whl", f"{files}/records.tar.gz"] if book[1] else [])
    assert "torch" not in first.split("import torch")[0].replace("torch stays", "")
    assert first.startswith("TRAIN = False")


def run(notebook, folder, book):
    """A copy's outputs, run in an empty folder beside a copy of the book."""
    old = os.environ.get("MMKD_BOOK")
    os.environ["MMKD_BOOK"] = str(book)
    try:
        options = {"resources": {"metadata": {"path": folder}}, "extra_arguments": ["--IPKernelApp.log_level=ERROR"]}
        NotebookClient(notebook, timeout=600, coalesce_streams=True, **options).execute()
    finally:
        os.environ.pop("MMKD_BOOK") if old is None else os.environ.update(MMKD_BOOK=old)
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_what_cells_show_is_plain_too(book, copy, tmp_path):
    outputs = run(copy, tmp_path, book[0])
    assert colab.problems(copy, book[0] / "out") == []
    (shown,) = [o["data"]["text/markdown"] for o in outputs if "text/markdown" in o.get("data", {})]
    link = "[it](https://owner.github.io/name/notebooks/chapter.html)" if book[1] else "it"
    assert shown.strip() == f"**Book Table 1.** Of a cell\n\n| n |\n| --- |\n| 1 |\n\n\nsee {link}"


def test_buttons_give_the_copy(book):
    html = (book[0] / "out/notebooks/chapter.html").read_text()
    assert 'href="../colab/chapter.ipynb"' in html
    button = "https://colab.research.google.com/github/owner/name/blob/colab/chapter.ipynb"
    assert (button in html) == bool(book[1])
    other = (book[0] / "out/page.html").read_text()
    assert "colab" not in other
    assert ("https://owner.github.io/name/mmkd.pdf" in other) == bool(book[1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("see {cite}`a`", "myst_role"),
        ("see {numref}`fig`", "myst_role"),
        ("```{note}\nx\n```", "fence"),
        ("> ```{figure} a.png\n> ```", "fence"),
        (":::{table} caption\n| a |\n:::", "colon_fence"),
        ("(here)=\n# a", "myst_target"),
        ("$$x$$ (eq)", "math_block_label"),
        ("{{ value }}", "substitution"),
        ("+++", "myst_block_break"),
        ("% a comment", "myst_line_comment"),
        ("term\n: definition", "dl_open"),
        ("text[^1]\n\n[^1]: note", "footnote_ref"),
        ("[a](b.ipynb)", "link"),
        ("![a](b.png)", "link"),
        ("[](https://example.org/book/gone.html)", "link"),
        ("[a](https://example.org/book/here.html#gone)", "link"),
    ],
)
def test_the_gate_finds(tmp_path, text, why):
    (tmp_path / "here.html").write_text('<p id="known">')
    first = nbformat.v4.new_markdown_cell("[a](https://example.org/book/notebooks/a.html)")
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/a.html").touch()
    in_text = nbformat.v4.new_notebook(cells=[first, nbformat.v4.new_markdown_cell(text)])
    shown = code("x", [nbformat.v4.new_output("display_data", {"text/markdown": text})])
    for notebook in (in_text, nbformat.v4.new_notebook(cells=[first, shown])):
        assert [found for found in colab.problems(notebook, tmp_path) if found.startswith(why)]


def test_the_gate_finds_a_pin_of_torch(tmp_path):
    pins = code('%pip install -q "mmkd-book" torch==2.2')
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a"), pins])
    assert colab.problems(notebook, tmp_path)


def test_the_gate_lets_through(tmp_path):
    (tmp_path / "here.html").write_text('<p id="known">')
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/a.html").touch()
    text = "$\\{a\\}$ `{cite}` [a](https://example.org/book/here.html#known)\n\n```\nx\n```\n\n| a |\n|---|\n| b |"
    cells = ["[a](https://example.org/book/notebooks/a.html)", text, "![a](data:image/png;base64,AAAA)"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_markdown_cell, cells)))
    assert colab.problems(notebook, tmp_path) == []


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        ("https://github.com/owner/name", "https://owner.github.io/name"),
        ("https://github.com/owner/name.git", "https://owner.github.io/name"),
        ("https://github.com/owner/owner.github.io/", "https://owner.github.io"),
        ("https://gitlab.com/owner/name", ""),
    ],
)
def test_where_the_book_is_published(address, pages, monkeypatch):
    class Config:
        html_baseurl = ""

    assert mmkd_colab.published(Config, address) == pages
    Config.html_baseurl = "https://example.org/book/"
    assert mmkd_colab.published(Config, address) == "https://example.org/book"
    monkeypatch.setenv("BOOK_URL", "http://127.0.0.1:8000/")
    assert mmkd_colab.published(Config, address) == "http://127.0.0.1:8000"


def test_the_version_is_the_tag_or_else_the_commit(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2"')
    assert mmkd_colab.version_of(tmp_path) == "v1.2"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    assert len(mmkd_colab.version_of(tmp_path)) == 40
    subprocess.run([*git, "tag", "v1.2.3"], check=True)
    assert mmkd_colab.version_of(tmp_path) == "v1.2.3"


needs_copies = pytest.mark.skipif(not COPIES, reason="no rendered book: run `make html`")


@needs_copies
def test_every_chapter_has_a_copy():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = {entry["file"] for part in toc["parts"] for entry in part["chapters"]}
    rendered = {
        Path(page).name for page in pages if (SITE / f"{page}.html").is_file() and page.startswith("notebooks/")
    }
    assert rendered <= {path.stem for path in COPIES}


@needs_copies
@pytest.mark.parametrize("path", COPIES, ids=lambda path: path.stem)
def test_a_copy_is_plain_and_small(path):
    assert colab.problems(nbformat.read(path, as_version=4), SITE) == []
    assert path.stat().st_size < 200_000


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """What a copy fetches of the repository; it may write to it."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "notebooks").mkdir()
    shutil.copytree(ROOT / "book/records", folder / "book/records")
    return folder


@needs_copies
@pytest.mark.parametrize("train", [False, True])
def test_a_copy_runs(train, repository, tmp_path):
    notebook = nbformat.read(SITE / "colab/convergence.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.source.startswith("TRAIN = "):
            cell.source = cell.source.replace("TRAIN = False", f"TRAIN = {train}", 1)
        cell.source = cell.source.replace('budget = ["demo"], "quick"', 'budget = ["demo"], "smoke"')
    known = set(repository.rglob("*.json"))
    outputs = run(notebook, tmp_path, repository)
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert colab.problems(notebook, SITE) == []
    assert bool(set(repository.rglob("*.json")) - known) == train
    texts = "".join(str(o.get("text", "")) + str(o.get("data", {}).get("text/markdown", "")) for o in outputs)
    assert ("demo" in texts.lower()) == train
