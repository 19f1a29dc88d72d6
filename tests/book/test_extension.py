"""The book's Sphinx extension: no button leads nowhere, and pages made from records, the catalogue and CHANGELOG.md."""

import base64
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from docutils import nodes
from docutils.utils import new_document
from execute import execute, lighter, note
from mmkd_book import (
    EXECUTIONS,
    ON_GPU,
    cards,
    chapters,
    data_terms,
    duration,
    head_part,
    link_repository,
    number_changes,
    runtime,
    status_table,
    with_links,
)
from PIL import Image

from mmkd_core.datasets import DATASETS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def linked(monkeypatch):
    def link(setting="", variable=""):
        monkeypatch.setenv("BOOK_REPOSITORY", variable)
        config = SimpleNamespace(html_theme_options={"repository_url": setting, "launch_buttons": {"colab_url": ""}})
        link_repository(None, config)
        return config.html_theme_options

    return link


def test_without_an_address_there_is_no_button(linked):
    theme = linked()
    assert not theme["use_repository_button"]
    assert not theme["use_issues_button"]
    assert not any(theme["launch_buttons"].values())


@pytest.mark.parametrize("place", ["setting", "variable"])
def test_one_address_fills_every_button(linked, place):
    theme = linked(**{place: "https://github.com/owner/name"})
    assert theme["repository_url"] == "https://github.com/owner/name"
    assert theme["use_repository_button"]
    assert theme["use_issues_button"]
    assert theme["launch_buttons"]["colab_url"]


def test_the_variable_goes_before_the_setting(linked):
    assert linked("https://github.com/a/a", "https://github.com/b/b")["repository_url"].endswith("b/b")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (12.4, "12 s"), (89, "89 s"), (90, "2 min"), (600, "10 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A notebook of one cell, executed twice, and the record of the first time."""
    path = tmp_path_factory.mktemp("executed") / "one.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("sum(range(4))", id="a")]), path)
    took = execute(path)
    once = path.read_bytes()
    execute(path)
    note(path, took, path.parent)
    return SimpleNamespace(folder=path.parent, once=once, twice=path.read_bytes())


def test_executing_leaves_its_time_beside_the_notebook_and_not_in_it(executed):
    assert executed.once == executed.twice
    assert b"'6'" in executed.once or b'"6"' in executed.once
    (entry,) = json.loads((executed.folder / "one.json").read_text()).values()
    assert entry["cpu_seconds"] > 0
    assert entry["seconds"] > 0
    assert {"date", "commit", "torch", "processor", "device"} <= set(entry)


def test_a_figure_gets_lighter_and_looks_the_same():
    colours = np.random.default_rng(0).integers(0, 256, (12, 3), dtype=np.uint8)
    pixels = np.kron(np.arange(12).reshape(3, 4), np.ones((40, 40), dtype=int))
    file = io.BytesIO()
    Image.fromarray(colours[pixels]).save(file, "PNG", compress_level=0)
    text = lighter(base64.b64encode(file.getvalue()).decode())
    assert len(text) < len(file.getvalue()) / 10
    with Image.open(io.BytesIO(base64.b64decode(text))) as figure:
        np.testing.assert_array_equal(np.asarray(figure.convert("RGB")), colours[pixels])


def test_an_execution_on_another_device_stays(tmp_path):
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"another": {"seconds": 2.0}}))
    note(tmp_path / "one.ipynb", {"seconds": 1.0, "cpu_seconds": 1.0}, tmp_path)
    assert [entry["seconds"] for entry in json.loads(file.read_text()).values()] == [2.0, 1.0]


ENTRY = {
    "seconds": 40.0, "cpu_seconds": 11.6, "date": "2026-11-26", "commit": "abc", "python": "3.11.7", "torch": "2.13.0",
    "numpy": "2.4.6", "processor": "Some CPU", "device": "cpu",
}  # fmt: skip


@pytest.fixture
def records(tmp_path):
    (tmp_path / "first.json").write_text(json.dumps({"cpu": ENTRY}))
    later = ENTRY | {"date": "2026-11-27", "device": "Some GPU", "seconds": 7.2}
    (tmp_path / "second.json").write_text(json.dumps({"cpu": ENTRY, "cuda": later}))
    (tmp_path / "gpu.json").write_text(json.dumps({"kind": "", "seconds": {"first": 9.0, "second": 99.0}}))
    return tmp_path


def test_a_runtime_is_that_of_the_processor(records):
    assert runtime("first", records) == "12 s CPU"
    assert runtime("second", records) == "12 s CPU"
    assert runtime("third", records) == "not measured yet"


def test_status_has_a_line_a_chapter_and_names_the_machines(records):
    table = status_table(["first", "second", "third"], records, records / "gpu.json")
    _, _, first, second, third, *rest = table.replace("\u2011", "-").splitlines()
    versions = "Python 3.11.7, torch 2.13.0, numpy 2.4.6"
    assert first == "| [](/notebooks/first) | 12 | 9 | 2026-11-26 | `abc` | a |"
    assert second == "| [](/notebooks/second) | 12 | 7 | 2026-11-27 | `abc` | b |"
    assert third == "| [](/notebooks/third) |  |  | not recorded |  |  |"
    assert rest == ["", f"- a: Some CPU, {versions}", f"- b: Some GPU, {versions}"]


def test_chapters_are_those_of_the_contents_in_order():
    toc = ["root: book/index", "parts:", "  - caption: All", "    chapters:"]
    toc += [f"      - file: {file}" for file in ("notebooks/b", "book/x", "notebooks/a")]
    assert chapters("\n".join(toc)) == ["b", "a"]
    assert set(chapters((ROOT / "_toc.yml").read_text())) >= {"quickstart", "claims"}


def test_the_first_chapter_of_a_part_has_its_picture_below_what_it_teaches():
    app = SimpleNamespace(env=SimpleNamespace(note_dependency=str, docname="notebooks/teacher"))
    document = new_document("teacher")
    document += [nodes.title(), nodes.admonition(), nodes.paragraph()]
    head_part(app, document)
    assert [type(node) for node in document] == [nodes.title, nodes.admonition, nodes.figure, nodes.paragraph]
    assert "argument-title" in document[2][0].astext()
    app.env.docname = "notebooks/prompt"
    head_part(app, document)
    assert len(document) == 4


TOC = """
parts:
  - caption: Start
    chapters: [{file: notebooks/a}]
  - caption: More
    chapters: [{file: notebooks/b}, {file: book/c}]
"""


def test_a_card_per_part_of_the_table_of_contents():
    text = cards(TOC, ["Start: The first.", "More: Others: two."])
    grid, first, second, end = text.split("\n\n:", 3)
    assert grid.startswith(":::::{grid}")
    assert first == ":::{grid-item-card} Start\nThe first.\n\n- {doc}`/notebooks/a` {runtime}`a`\n::::"
    assert second.splitlines()[1:5] == ["Others: two.", "", "- {doc}`/notebooks/b` {runtime}`b`", "- {doc}`/book/c`"]
    assert end == "::::"


@pytest.mark.parametrize("sentences", [["Start: a."], ["More: b.", "Start: a."], ["Start: a.", "More: b.", "New: c."]])
def test_a_part_without_its_sentence_is_an_error(sentences):
    with pytest.raises(ValueError, match=r"parts: got sentences on \[.*\]; expected them on \['Start', 'More'\]"):
        cards(TOC, sentences)


@pytest.mark.parametrize("name", chapters((ROOT / "_toc.yml").read_text()))
def test_every_chapter_has_a_recorded_execution(name):
    assert runtime(name).endswith(" CPU"), f"run `make notebook NB=notebooks/{name}.ipynb`"


def test_no_record_tells_of_a_notebook_that_is_gone():
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert {path.stem for path in EXECUTIONS.glob("*.json")} <= notebooks
    assert all(seconds > 0 for seconds in json.loads(ON_GPU.read_text())["seconds"].values())


def test_number_changes_are_cut_out_of_the_change_log():
    text = (
        "# Changelog\n\n## 0.2.0\nText.\n\n### Numbers\n- One moved.\n  Why.\n\n### Other\n- No.\n\n"
        "## 0.1.1\n- No.\n\n## 0.1.0\n### Numbers\n- First.\n"
    )
    assert number_changes(text) == (
        "## 0.2.0\n\n- One moved.\n  Why.\n\n## 0.1.1\n\nNo number moved.\n\n## 0.1.0\n\n- First.\n"
    )
    assert "Recall@20" in number_changes((ROOT / "CHANGELOG.md").read_text())


def test_the_page_on_terms_has_every_data_set_of_the_catalogue():
    page = (ROOT / "book/data_terms.md").read_text()
    for name, entry in DATASETS.items():
        assert f"```{{data-terms}} {name}\n" in page
        assert f"| `{name}` |" in page
        facts = data_terms(entry)
        assert entry.summary in facts
        assert entry.terms in re.sub("[<>]", "", facts)
        assert all(f"`{file}`" in facts for file in entry.sums)


def test_addresses_become_links_that_can_be_opened():
    sha = "fae20e642aeeaad4284be6f7fb3432ebb551da8e"
    folder = f"https://raw.githubusercontent.com/owner/name/{sha}/some/folder/"
    page = f"https://github.com/owner/name/tree/{sha}/some/folder"
    assert with_links(folder) == f"[owner/name, some/folder, at commit fae20e6]({page})"
    assert with_links("cite it (https://a.org/b.txt)") == "cite it (<https://a.org/b.txt>)"
