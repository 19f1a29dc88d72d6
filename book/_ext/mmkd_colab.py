"""Writes a copy of every chapter that needs neither Sphinx nor MyST, for Colab and for a reader's own Jupyter.

The page as Sphinx resolved it is written down again as plain Markdown. So every role and directive that the book can
render comes out as what a reader of the page sees: numbers, names, included code. The copies lie in `colab/` of the
rendered site, and `make colab` checks them. What a copy installs and reads lies in `files/` of the site: the library as
a wheel, and an archive of the records. The variable BOOK_URL says where the site will be, if `html: baseurl` does not.
"""

import ast
import base64
import json
import math
import mimetypes
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import tomllib
from copy import deepcopy
from pathlib import Path, PurePosixPath
from urllib.parse import urldefrag, urljoin

import nbformat
from docutils import nodes
from sphinx_design.dropdown import dropdown_title

FOLDER = "colab"  # of the site
BRANCH = "colab"  # of the repository: Colab opens files of branches, so the publishing workflow puts the copies there


class Plain:
    """Writes nodes of one resolved page as Markdown that Colab, Jupyter and GitHub read alike."""

    def __init__(self, root, docname, site, numbers):
        self.root, self.docname, self.site, self.numbers = Path(root), docname, site, numbers

    def blocks(self, node, level=1):
        """The blocks of Markdown that a node makes, in order."""
        if isinstance(node, nodes.Text | nodes.Inline | nodes.reference):
            node = nodes.paragraph("", "", node.deepcopy())
        method = getattr(self, f"block_{type(node).__name__}", self.block_of_children)
        return method(node, level)

    def block_of_children(self, node, level):
        if isinstance(node, nodes.Admonition):
            return self.quote(type(node).__name__.capitalize(), node.children, level)
        if node.get("design_component") == "dropdown":
            return self.details(self.inline(node[0]), node.children[1:], level)
        return [block for child in node.children for block in self.blocks(child, level)]

    def nothing(self, node, level=1):
        return []

    block_comment = block_substitution_definition = block_index = block_meta = nothing

    def block_section(self, node, level):
        return [block for child in node.children for block in self.blocks(child, level + 1)]

    def block_title(self, node, level):
        return [f"{'#' * min(max(level - 1, 1), 6)} {self.inline(node)}"]

    def block_rubric(self, node, level):
        return [f"**{self.inline(node)}**"]

    def block_paragraph(self, node, level):
        text = self.inline(node).strip()
        text = re.sub(r"^([#>+=-]|\d+(?=[.)]))", r"\\\1", text) if re.match(r"([#>+=-]|\d+[.)])(\s|$)", text) else text
        return [text] if text else []

    block_caption = block_attribution = block_paragraph

    def block_transition(self, node, level):
        return ["---"]

    def block_bullet_list(self, node, level):
        return [self.items(node, ["-"] * len(node), level)]

    def block_enumerated_list(self, node, level):
        first = node.get("start", 1)
        return [self.items(node, [f"{number}." for number in range(first, first + len(node))], level)]

    def items(self, node, marks, level):
        written = [self.block_of_children(item, level) for item in node.children]
        lines = []
        for mark, blocks in zip(marks, written, strict=True):
            body = textwrap.indent("\n\n".join(blocks), " " * (len(mark) + 1))
            lines.append(f"{mark} {body.strip()}")
        return ("\n" if all(len(blocks) < 2 for blocks in written) else "\n\n").join(lines)

    def block_definition_list(self, node, level):
        blocks = []
        for item in node.children:
            terms = [self.inline(term) for term in item.children if isinstance(term, nodes.term)]
            first, *rest = [b for child in item.children[len(terms) :] for b in self.blocks(child, level)] or [""]
            blocks += [f"**{', '.join(terms)}**: {first}".strip(), *rest]
        return blocks

    def block_block_quote(self, node, level):
        return self.quote("", node.children, level)

    def block_admonition(self, node, level):
        title, *rest = node.children
        if "dropdown" in node["classes"]:
            return self.details(self.inline(title), rest, level)
        return self.quote(self.inline(title), rest, level)

    def quote(self, title, children, level):
        blocks = [f"**{title}**"] if title else []
        blocks += [block for child in children for block in self.blocks(child, level)]
        return ["\n".join(f"> {line}".rstrip() for line in "\n\n".join(blocks).splitlines())]

    def block_dropdown_main(self, node, level):
        rest = [child for child in node.children if not isinstance(child, dropdown_title)]
        return self.details("".join(self.inline(t) for t in node.findall(dropdown_title)), rest, level)

    def details(self, title, children, level):
        blocks = [block for child in children for block in self.blocks(child, level)]
        return ["\n\n".join([f"<details>\n<summary>{title.strip()}</summary>", *blocks, "</details>"])]

    def block_literal_block(self, node, level):
        text = node.astext().rstrip("\n")
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
        language = node.get("language", "")
        return [f"{fence}{'' if language in ('default', 'none') else language}\n{text}\n{fence}"]

    block_doctest_block = block_literal_block

    def block_math_block(self, node, level):
        text = re.sub(r"\\(begin|end)\{(align|gather)\*?\}", r"\\\1{\2ed}", node.astext().strip())
        text = re.sub(r"\\(begin|end)\{equation\*?\}", "", text)
        text = re.sub(r"\n\s*\n", "\n", text).strip()
        tag = rf" \tag{{{node['number']}}}" if node.get("number") else ""
        return [f"$$\n{text}{tag}\n$$"]

    def block_figure(self, node, level):
        if isinstance(node[0], nodes.raw):
            return []  # a picture drawn inline, with links: plain Markdown has no place for it nor for its caption
        captions = [f"{self.named(node)}{self.inline(c)}" for c in node.findall(nodes.caption)]
        legends = [b for legend in node.findall(nodes.legend) for b in self.blocks(legend, level)]
        return [self.inline(image) for image in node.findall(nodes.image)] + captions + legends

    def block_table(self, node, level):
        titles = [f"{self.named(node)}{self.inline(t)}" for t in node.children if isinstance(t, nodes.title)]
        rows = [[self.entry(entry) for entry in row.children] for row in node.findall(nodes.row)]
        if not any(True for _ in node.findall(nodes.thead)):
            rows.insert(0, [""] * len(rows[0]))
        rows.insert(1, ["---"] * len(rows[0]))
        return [*titles, "\n".join(f"| {' | '.join(row)} |" for row in rows)]

    def entry(self, node):
        text = "<br>".join(" ".join(block.split()) for block in self.block_of_children(node, 1))
        return re.sub(r"(\$[^$]*\$)|(?<!\\)\|", lambda found: _no_bars(found[1]) if found[1] else r"\|", text)

    def block_footnote(self, node, level):
        label, *rest = node.children
        blocks = [block for child in rest for block in self.blocks(child, level)]
        return [f"<sup>{label.astext()}</sup> {blocks[0] if blocks else ''}", *blocks[1:]]

    def named(self, node):
        """The number of a figure or table: "Book Fig. 3. ", since "Fig. 3" is the paper's where there are no links."""
        known = [self.numbers[identity] for identity in node["ids"] if identity in self.numbers]
        return f"**{known[0]}.** " if known else ""

    def inline(self, node):
        """The text of a node with its marks, on one line."""
        if isinstance(node, nodes.Text):
            text = re.sub(r"\s+", " ", node.astext())
            return re.sub(r"([\\`*\[\]$~]|<(?=[a-zA-Z/!?])|(?<!\w)_|_(?!\w))", r"\\\1", text)
        method = getattr(self, f"inline_{type(node).__name__}", None)
        inner = "".join(self.inline(child) for child in node.children)
        return method(node, inner) if method else inner

    def inline_emphasis(self, node, inner):
        return f"*{inner}*"

    inline_title_reference = inline_emphasis

    def inline_strong(self, node, inner):
        return f"**{inner}**"

    def inline_literal(self, node, inner):
        text = " ".join(node.astext().split())
        ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
        return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"

    def inline_math(self, node, inner):
        return f"${' '.join(node.astext().split())}$"

    def inline_superscript(self, node, inner):
        return f"<sup>{inner}</sup>"

    def inline_subscript(self, node, inner):
        return f"<sub>{inner}</sub>"

    inline_footnote_reference = inline_superscript

    def inline_image(self, node, inner):
        uri = node["uri"]
        if "://" not in uri:  # a copy stands alone
            kind = mimetypes.guess_type(uri)[0]
            uri = f"data:{kind};base64,{base64.b64encode((self.root / uri).read_bytes()).decode()}"
        alt = " ".join(node.get("alt", "").split()).replace("[", r"\[").replace("]", r"\]")
        return f"![{alt}]({uri})"

    def inline_raw(self, node, inner):
        return node.astext() if node.astext().startswith("<") and "svg" not in node.astext() else ""

    def inline_number_reference(self, node, inner):
        return self.inline_reference(node, f"Book {inner}")

    def inline_reference(self, node, inner):
        address = node.get("refuri", "")
        if re.match(r"[a-z]+:", address):
            return f"[{inner}]({address})"
        page, anchor = urldefrag(urljoin(f"{self.docname}.html", address))
        if not address or page == f"{self.docname}.html":
            return inner
        if self.site:
            return f"[{inner}]({self.site}/{page}{'#' if anchor else ''}{anchor})"
        chapter = PurePosixPath(page)  # the copies of an edition lie in one folder
        return f"[{inner}]({chapter.stem}.ipynb)" if chapter.parent.name == "notebooks" else inner


def _no_bars(formula):
    """A formula without "|", which ends a cell of a table."""
    text = formula[1:-1].replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    return f"${text.strip()}$"


def numbers(env, docname, kinds=("figure", "table")):
    """What a copy calls its figures and tables, by id: "Book Fig. 3"."""
    return {
        identity: f"Book {env.config.numfig_format[kind]}" % ".".join(map(str, number))
        for kind in kinds
        for identity, number in env.toc_fignumbers.get(docname, {}).get(kind, {}).items()
    }


def assigned(source):
    """The names that the statements of a cell assign."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return {node.id for node in found if isinstance(node.ctx, ast.Store)}


def fold(cell, title=""):
    """Folds the code of a cell, in Colab's way and in Jupyter's."""
    cell.source = f"# @title {title}\n{cell.source}" if title else cell.source
    cell.metadata.update(cellView="form", jupyter={"source_hidden": True})


class Copy:
    """The cells of one chapter's copy, in the making."""

    def __init__(self, notebook, plain):
        self.sources, self.plain = notebook.cells, plain
        self.cells, self.blocks, self.done = [], [], 0

    def read(self, node, level=1):
        """Takes in a node of the page: text becomes cells of Markdown, one a section, and code cells stay."""
        if node.get("nb_element") == "cell_code":
            self.code(until=node["cell_index"])
            self.source(self.sources[node["cell_index"]], node)
            self.done = node["cell_index"] + 1
        elif isinstance(node, nodes.document | nodes.section):
            self.text()
            for child in node.children:
                self.read(child, level + isinstance(node, nodes.section))
        else:
            self.blocks += self.plain.blocks(node, level)

    def text(self):
        """Ends a cell of Markdown."""
        if self.blocks:
            self.cells.append(nbformat.v4.new_markdown_cell("\n\n".join(self.blocks)))
        self.blocks = []

    def code(self, until):
        """Code that the page does not show, before the cell `until`, runs all the same."""
        for source in self.sources[self.done : until]:
            if source.cell_type == "code":
                self.source(source)

    def source(self, cell, node=None):
        self.text()
        tags = cell.metadata.get("tags", [])
        new = nbformat.v4.new_code_cell(cell.source, metadata={"tags": ["parameters"]} if "parameters" in tags else {})
        figures = list(node.findall(nodes.figure)) if node else []
        if (prompt := cell.metadata.get("mystnb", {}).get("code_prompt_show")) or "hide-cell" in tags:
            fold(new, prompt or "Show the code")
        elif "hide-input" in tags:
            what = [self.plain.named(n).strip(".* ") for n in (figures or list(node.findall(nodes.table)))]
            fold(new, "The code of " + (" and ".join(filter(None, what)) or "what follows"))
        self.cells.append(new)
        if "parameters" in tags and "budget" in assigned(cell.source) and "claim" not in assigned(cell.source):
            self.cells.append(nbformat.v4.new_code_cell(SWITCH))
        # The picture comes when the cell runs; what the page says under it is text.
        blocks = [block for figure in figures for block in self.plain.blocks(figure)]
        self.blocks += [block for block in blocks if not block.startswith("![")]


SWITCH = """\
if TRAIN:  # the switch at the top
    datasets, budget = ["demo"], "quick"  # datasets = None: the chapter's own; fetches them, and may take hours"""

INTRODUCTION = """\
This is a plain copy of the chapter {chapter} of *{book}*, version {version}. The cell below {gets}. All else runs as it
is: choose *Run all*.

It needs no GPU and uses one if there is one. Without one it takes what it says under "It takes", measured on one CPU
core.{on_gpu}{switch}"""

ON_GPU = """
With one: it took {seconds:.0f} s on an H100. A T4, as Colab lends it, has about a tenth of that card's memory bandwidth
and arithmetic, so {minutes} min are an upper bound there."""

SWITCHED = """

`TRAIN = False` reads the runs that came with the book. `TRAIN = True` makes smaller ones here and now: what the chapter
compares, on the demo data, with one seed and 20 epochs at most: one to five minutes on one CPU core."""

GETS = (
    "installs this very version of the library and fetches the book's records from {site}, unless they are there; "
    "torch stays as it is"
)
FINDS = (
    "looks for a copy of the book's repository, from which the library must be installed (`pip install ./mmkd-book`): "
    "a folder `mmkd-book` beside this notebook, or the one that the variable `MMKD_BOOK` names"
)
FILES = "files"  # of the site
ARCHIVE = "records.tar.gz"

SETUP = """\
{train}import os
import platform
from importlib.metadata import version
from pathlib import Path, PurePosixPath

os.environ.setdefault("MMKD_BOOK", str(Path("mmkd-book").absolute()))  # a copy of the repository, for its records
book = Path(os.environ["MMKD_BOOK"])
{install}if not (book / "notebooks").is_dir():
    raise FileNotFoundError(f"no copy of the book's repository at {{book}}; put one there, or set MMKD_BOOK")
os.chdir(book / "notebooks")

import torch

device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: on the CPU"
print("Python", platform.python_version(), "| torch", torch.__version__, "| mmkd-book", version("mmkd-book"))
print(device)"""

INSTALL = """\
if not (book / "notebooks").is_dir():  # the library and the records of the published book
    %pip install -q {site}/{files}/{wheel}
    !mkdir -p "{{book}}/notebooks" && curl -fsSL {site}/{files}/{archive} | tar -xz -C "{{book}}"
"""

SHOWN = '''\
# @title What cells show: plain Markdown in place of the book's marks
import re

from IPython.display import Markdown

BOOK = "{site}"
NUMBERS = {{
{numbers}}}


def plain(shown):
    """A table's marks become a line of text above it, a link to a chapter one into the published book."""
    text = re.sub(
        r":::\\{{table\\}} (.*)\\n:name: (.*)\\n",
        lambda table: f"**{{NUMBERS.get(table[2], 'Table')}}.** {{table[1]}}\\n",
        shown.data,
    )
    text = re.sub(r"^:::$", "", text, flags=re.MULTILINE)
    link = rf"[\\1]({{BOOK}}/notebooks/\\2.html\\3)" if BOOK else r"\\1"
    return re.sub(r"\\[([^]]*)\\]\\(([\\w./-]+)\\.(?:ipynb|md)(#[\\w-]+)?\\)", link, text)


get_ipython().display_formatter.formatters["text/markdown"].for_type(Markdown, plain)'''


def copy(app, docname, version=""):
    """The copy of one chapter, as a notebook without outputs: they come in seconds, and the page has them."""
    site = site_of(app)
    notebook = nbformat.read(app.env.doc2path(docname), as_version=4)
    made = Copy(notebook, Plain(app.srcdir, docname, site, numbers(app.env, docname)))
    made.read(app.env.get_and_resolve_doctree(docname, app.builder))
    made.text()
    made.code(until=None)
    copied = nbformat.v4.new_notebook(cells=[*head(app, docname, made, site, version), *made.cells])
    for number, cell in enumerate(copied.cells):
        cell.id = f"cell-{number}"
    copied.metadata.update(
        mmkd={"chapter": named(app, docname), "needs": needs(site)},  # for the student edition's own first cell
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        accelerator="GPU",
        colab={"name": PurePosixPath(docname).name, "toc_visible": True, "gpuType": "T4"},
    )
    nbformat.validate(copied)
    return copied


def head(app, docname, made, site, version):
    """The cells before a chapter's own: what this is, the library and the records, and how tables are shown."""
    switch = any(cell.source == SWITCH for cell in made.cells)
    install = INSTALL.format(site=site, files=FILES, wheel=wheel_of(app.srcdir), archive=ARCHIVE) if site else ""
    yield nbformat.v4.new_markdown_cell(
        INTRODUCTION.format(
            chapter=named(app, docname),
            book=app.config.html_title,
            version=version[:12],
            gets=needs(site),
            on_gpu=on_gpu(app.srcdir, docname),
            switch=SWITCHED if switch else "",
        )
    )
    train = "TRAIN = False  # True: make runs here and now\n\n" if switch else ""
    yield nbformat.v4.new_code_cell(SETUP.format(train=train, install=install))
    if any("Markdown(" in cell.source for cell in made.cells):
        known = "".join(f'    "{i}": "{n}",\n' for i, n in numbers(app.env, docname, ["table"]).items())
        cell = nbformat.v4.new_code_cell(SHOWN.format(site=site, numbers=known))
        fold(cell)
        yield cell


def named(app, docname):
    """A chapter's title, a link into the published book if there is one."""
    title, site = app.env.titles[docname].astext(), site_of(app)
    return f"[{title}]({site}/{docname}.html)" if site else f'"{title}"'


def needs(site):
    """What the first cell of code gets, or looks for."""
    return GETS.format(site=site) if site else FINDS


def on_gpu(root, docname):
    """What is known of a chapter's time on a GPU, from the record of one run of all chapters."""
    file = Path(root) / "book/records/h100/notebooks.json"
    took = json.loads(file.read_text())["seconds"].get(PurePosixPath(docname).name) if file.is_file() else None
    return ON_GPU.format(seconds=took, minutes=math.ceil(10 * took / 60)) if took else ""


def version_of(root):
    """The tag of this very commit, else the commit, else the version that the library states."""
    for command in (["describe", "--tags", "--exact-match"], ["rev-parse", "HEAD"]):
        done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return "v" + tomllib.loads((Path(root) / "pyproject.toml").read_text())["project"]["version"]


def owner_and_name(address):
    """Of a repository on GitHub, else None: Colab opens files of no other host."""
    found = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(\.git)?/?", address)
    return (found[1], found[2]) if found else None


def published(config, address):
    """The address of the rendered book: BOOK_URL, `html: baseurl`, else GitHub's for this repository's pages."""
    if known := os.environ.get("BOOK_URL") or config.html_baseurl:
        return known.rstrip("/")
    owner, name = owner_and_name(address) or ("", "")
    if not owner:
        return ""
    return f"https://{owner}.github.io" + ("" if name.lower() == f"{owner}.github.io".lower() else f"/{name}")


def site_of(app):
    """The address of the book that is being rendered; empty if it has none."""
    return published(app.config, app.config.html_theme_options.get("repository_url", ""))


def chapters(env):
    """The notebooks among the pages."""
    return sorted(name for name in env.found_docs if str(env.doc2path(name)).endswith(".ipynb"))


def write_copies(app, exception):
    if exception or app.builder.name != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    version = version_of(app.srcdir)
    names = {Path(docname).name: docname for docname in chapters(app.env)}
    for old in folder.glob("*.ipynb"):
        if old.stem not in names:
            old.unlink()
    for name, docname in names.items():
        made = copy(app, docname, version)
        nbformat.write(made, folder / f"{name}.ipynb")
        if name == "challenge":
            for file, one in challenges(made):
                nbformat.write(one, Path(app.outdir) / file)


def wheel_of(root):
    """What the library's wheel is called."""
    project = tomllib.loads((Path(root) / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"


def write_files(app, exception):
    """Puts what the copies install and read beside the pages, if the site has an address and the book a library."""
    root, folder = Path(app.srcdir), Path(app.outdir) / FILES
    if exception or app.builder.name != "html":
        return
    shutil.rmtree(folder, ignore_errors=True)
    if not site_of(app) or not (root / "mmkd_core").is_dir():
        return
    folder.mkdir()
    with tempfile.TemporaryDirectory() as temporary:  # a build leaves files where it is made
        source = Path(temporary)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, source)
        shutil.copytree(root / "mmkd_core", source / "mmkd_core", ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True)
    with tarfile.open(folder / ARCHIVE, "w:gz") as archive:
        archive.add(root / "book/records", "book/records")


def challenges(notebook):
    """A copy of the chapter `challenge` for each claim: the place of the copy in the site, and the copy."""
    from mmkd_core.evidence import ledger

    places = [place for place, cell in enumerate(notebook.cells) if cell.source.startswith("claim = ")]
    assert len(places) == 1, f"challenge: {len(places)} cells begin with `claim = `; expected the one of parameters"
    for claim in ledger.claims():
        made = nbformat.from_dict(deepcopy(notebook))
        cell = made.cells[places[0]]
        cell.source = re.sub(r"^claim = .*?(?=  #|$)", f"claim = {json.dumps(claim)}", cell.source, flags=re.MULTILINE)
        yield ledger.challenge_file(claim), made


def point_buttons(app, pagename, templatename, context, doctree):
    """Colab's button opens the copy, and so does the one that downloads the notebook; a new one gives the book."""
    address = app.config.html_theme_options.get("repository_url", "")
    github, name = owner_and_name(address), PurePosixPath(pagename).name
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []) if pagename in chapters(app.env) else []:
            if button.get("label") == "download-source-button":
                button["url"] = context["pathto"](f"{FOLDER}/{name}.ipynb", 1)
                button["tooltip"] = "Download this chapter as a plain notebook"
            elif button.get("text") == "Colab" and github:
                host = app.config.html_theme_options["launch_buttons"]["colab_url"]
                button["url"] = f"{host}/github/{'/'.join(github)}/blob/{BRANCH}/{name}.ipynb"
        if group.get("label") == "download-buttons" and (site := address and published(app.config, address)):
            whole = {"text": "book.pdf", "tooltip": "Download the whole book as PDF", "label": "download-book-button"}
            group["buttons"].append(whole | {"type": "link", "url": f"{site}/mmkd.pdf", "icon": "fas fa-book"})


def setup(app):
    app.connect("build-finished", write_copies)
    app.connect("build-finished", write_files)
    app.connect("html-page-context", point_buttons, priority=900)  # after the theme has made its buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
