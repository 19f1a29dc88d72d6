"""What the book asks of Sphinx beyond `_config.yml`: working buttons, and pages made from what lies elsewhere.

{runtime}`quickstart`        a role: a badge with how long a chapter runs, "12 s CPU"
{execution-status}           a directive: when each chapter was executed last, where, and for how long
{number-changes}             a directive: the parts of CHANGELOG.md that are called "Numbers"
{data-terms} tiktok          a directive: what a data set is, where it comes from and on what terms
{argument}                   a directive: the picture of the argument, whose marks are links, and its caption
argument-the-method.svg      such a picture in `_static` heads the part "The method", in its first chapter
{parts}                      a directive: a card per part of `_toc.yml`, with its sentence, its chapters and their times
"""

import json
import os
import re
from pathlib import Path

import sphinx_thebe
import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole

from mmkd_core.datasets import DATASETS

ROOT = Path(__file__).parents[2]
TOC = ROOT / "_toc.yml"
EXECUTIONS = ROOT / "book/records/execution"  # tools/execute.py writes them
ON_GPU = ROOT / "book/records/h100/notebooks.json"
CHANGELOG = ROOT / "CHANGELOG.md"
ARGUMENT = ROOT / "book/_static/argument.svg"  # tools/readme.py writes it, and those of parts beside it
OF_PART = (
    "What this part decides: what the paper says, a mark per claim that leads to its row of the ledger, what was found,"
    " and the chapters that show it."
)


def duration(seconds):
    """Seconds as a reader wants them: "3 s", "2 min"."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"


def executions(name, folder=EXECUTIONS):
    """The last executions of a notebook by kind of device: {"cpu": {...}}; empty when there was none."""
    file = folder / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def runtime(name, folder=EXECUTIONS):
    """How long a notebook runs; CPU seconds, because the clock's depend on what else the machine did."""
    took = executions(name, folder).get("cpu")
    return f"{duration(took['cpu_seconds'])} CPU" if took else "not measured yet"


def parts(toc):
    """The pages of a table of contents by the name of their part: {"Start": ["notebooks/quickstart", ...], ...}."""
    return {part["caption"]: [page["file"] for page in part["chapters"]] for part in yaml.safe_load(toc)["parts"]}


def chapters(toc):
    """The notebooks of a table of contents, in its order."""
    return [Path(page).name for pages in parts(toc).values() for page in pages if page.startswith("notebooks/")]


def cards(toc, sentences):
    """A MyST grid: of each part of a table of contents its name, a sentence on it, and its pages.

    `sentences` has a line per part, "Name: a sentence". Raises `ValueError` for other parts than the table has.
    """
    pages = parts(toc)
    said = dict(line.split(": ", 1) for line in sentences)
    if list(said) != list(pages):
        raise ValueError(f"parts: got sentences on {list(said)}; expected them on {list(pages)}, as _toc.yml has them")
    blocks = []
    for name, sentence in said.items():
        timed = {page: f" {{runtime}}`{Path(page).name}`" * ("notebooks/" in page) for page in pages[name]}
        lines = [f"- {{doc}}`/{page}`{time}" for page, time in timed.items()]
        blocks.append("\n".join([f"::::{{grid-item-card}} {name}", sentence, "", *lines, "::::"]))
    return "\n\n".join([":::::{grid} 1 1 2 2\n:gutter: 3", *blocks, ":::::"])


def status_table(names, folder=EXECUTIONS, on_gpu=ON_GPU):
    """A MyST table, one line a notebook, and under it a list of the machines that its letters stand for."""
    there = json.loads(on_gpu.read_text(encoding="utf-8"))["seconds"]
    machines = []
    lines = ["| chapter | CPU\u00a0s | GPU\u00a0s | executed | library | on |", "|---|--:|--:|---|---|---|"]
    for name in names:
        found = executions(name, folder)
        cpu, gpu = found.get("cpu"), found.get("cuda")
        cells = [
            f"[](/notebooks/{name})",
            f"{cpu['cpu_seconds']:.0f}" if cpu else "",
            f"{gpu['seconds'] if gpu else there[name]:.0f}" if gpu or name in there else "",
        ]
        if found:
            last = max(found.values(), key=lambda took: took["date"])
            processor = last["processor"] if last is cpu else last["device"]
            machine = f"{processor}, Python {last['python']}, torch {last['torch']}, numpy {last['numpy']}"
            machines += [machine] * (machine not in machines)
            date = last["date"].replace("-", "\u2011")  # hyphens at which no line breaks
            cells += [date, f"`{last['commit']}`", chr(ord("a") + machines.index(machine))]
        else:
            cells += ["not recorded", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {chr(ord('a') + i)}: {machine}" for i, machine in enumerate(machines))])


def number_changes(changelog):
    """Each version's "### Numbers" section under the version's heading, in the order of the file."""
    versions = re.findall(r"^(## .+)\n((?:(?!## ).*\n?)*)", changelog, re.MULTILINE)
    found = []
    for heading, text in versions:
        section = re.search(r"^### Numbers\n((?:(?!### ).*\n?)*)", text, re.MULTILINE)
        found.append(f"{heading}\n\n{section[1].strip() if section else 'No number moved.'}\n")
    return "\n".join(found)


def data_terms(entry):
    """A data set of the catalogue as a MyST list of facts; addresses become links that a reader can open."""
    facts = {
        "What": entry.summary,
        "From": with_links(entry.source),
        "Terms": with_links(entry.terms),
        "Layout": entry.layout,
        "Files": " or ".join(", ".join(f"`{file}`" for file in form) for form in entry.forms) or "none",
    }
    return "\n".join(f"- **{fact}**: {value}" for fact, value in facts.items())


def with_links(text):
    """Addresses in a text as links; a raw folder of GitHub, which no browser shows, as the page of that folder."""
    raw = r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/([0-9a-f]{7})([0-9a-f]*)/(\S+)/"
    text = re.sub(raw, r"[\1, \4, at commit \2](https://github.com/\1/tree/\2\3/\4)", text)
    return re.sub(r"(?<!\]\()(https://[^\s)]+)", r"<\1>", text)


class Runtime(SphinxRole):
    def run(self):
        if not (ROOT / f"notebooks/{self.text}.ipynb").exists():
            message = self.inliner.reporter.error(f"runtime: no notebook {self.text!r}", line=self.lineno)
            return [], [message]
        self.env.note_dependency(str(EXECUTIONS / f"{self.text}.json"))
        text = runtime(self.text)
        return [nodes.inline(text, text, classes=["mmkd-runtime"])], []


class ExecutionStatus(SphinxDirective):
    def run(self):
        names = chapters(TOC.read_text(encoding="utf-8"))
        for file in [TOC, ON_GPU, *(EXECUTIONS / f"{name}.json" for name in names)]:
            self.env.note_dependency(str(file))
        return self.parse_text_to_nodes(status_table(names))


class NumberChanges(SphinxDirective):
    def run(self):
        self.env.note_dependency(str(CHANGELOG))
        text = number_changes(CHANGELOG.read_text(encoding="utf-8"))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class DataTerms(SphinxDirective):
    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        if name not in DATASETS:
            raise self.error(f"data-terms: unknown data set {name!r}; one of {list(DATASETS)}")
        return self.parse_text_to_nodes(data_terms(DATASETS[name]))


class Parts(SphinxDirective):
    has_content = True

    def run(self):
        self.env.note_dependency(str(TOC))
        try:
            return self.parse_text_to_nodes(cards(TOC.read_text(encoding="utf-8"), self.content))
        except ValueError as error:
            raise self.error(str(error)) from error


class Argument(SphinxDirective):
    has_content = True

    def run(self):
        self.env.note_dependency(str(ARGUMENT))
        (caption,) = self.parse_text_to_nodes("\n".join(self.content))
        return [argument(ARGUMENT, *caption.children)]


def argument(file, *caption):
    """A figure of a picture of the argument; inline, since a link inside of an `img` leads nowhere."""
    picture = nodes.raw("", file.read_text(encoding="utf-8"), format="html")
    return nodes.figure("", picture, nodes.caption("", "", *caption), classes=["mmkd-argument"])


def head_part(app, doctree):
    """Puts a part's picture of the argument, where there is one, below the first admonition of its first chapter."""
    from mmkd_core.evidence.ledger import argument_file

    app.env.note_dependency(str(TOC))
    for part, pages in parts(TOC.read_text(encoding="utf-8")).items():
        file = ARGUMENT.with_name(argument_file(part))
        if pages[0] == app.env.docname and file.exists():
            app.env.note_dependency(str(file))
            said = next(doctree.findall(nodes.admonition))
            figure = argument(file, nodes.Text(OF_PART))
            doctree.note_implicit_target(figure)  # figures are numbered by their ids
            said.parent.insert(said.parent.index(said) + 1, figure)


def disconnect_thebe(app, config):
    """Live code is not used, and its scripts declare a constant twice: an error on every page."""
    for event in ("env-before-read-docs", "doctree-resolved"):
        for listener in list(app.events.listeners[event]):
            if getattr(listener.handler, "__module__", None) == sphinx_thebe.__name__:
                app.disconnect(listener.id)


def link_repository(app, config):
    """Repository and Colab buttons, if the address is known: a button that leads nowhere is worse than none."""
    theme = config.html_theme_options
    theme["repository_url"] = os.environ.get("BOOK_REPOSITORY") or theme["repository_url"]
    theme["use_repository_button"] = theme["use_issues_button"] = bool(theme["repository_url"])
    if theme["repository_url"]:
        theme["launch_buttons"] = {"colab_url": "https://colab.research.google.com"}


def setup(app):
    app.connect("config-inited", disconnect_thebe)
    app.connect("config-inited", link_repository)
    app.connect("doctree-read", head_part)
    app.add_role("runtime", Runtime())
    app.add_directive("execution-status", ExecutionStatus)
    app.add_directive("number-changes", NumberChanges)
    app.add_directive("data-terms", DataTerms)
    app.add_directive("argument", Argument)
    app.add_directive("parts", Parts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
