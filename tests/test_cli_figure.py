"""The command `mmkd figure` as a user meets it: the file it leaves, what it says, what it refuses."""

import re
from pathlib import Path

import pytest
from command_line import call
from made_up_folder import write_folder

from mmkd_core.commands.evidence import names
from mmkd_core.evidence.questions import FIGURES

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
RECORDS = Path(__file__).parents[1] / "book" / "records"
SIGNATURES = {".svg": b"<?xml", ".png": b"\x89PNG"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.delenv("MMKD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_out_an_svg_of_the_figures_number_lies_in_the_current_folder(capsys, tmp_path):
    status, out, err = call(capsys, "figure", "5", "--records", RECORDS, "--data", "tiktok")
    assert (status, err) == (0, "")
    assert out.splitlines()[0] == "figure-5.svg"
    assert " ".join(FIGURES["5"].notes) in " ".join(out.split())
    assert [path.name for path in tmp_path.iterdir()] == ["figure-5.svg"]
    text = (tmp_path / "figure-5.svg").read_text()
    assert text.startswith("<?xml")
    assert "Stage 2: student" in re.sub(r"<!-- (.*?) -->", r"\1", text)


@pytest.mark.parametrize("suffix", SIGNATURES)
def test_the_suffix_decides_and_the_same_records_give_the_same_file(suffix, capsys, tmp_path):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        status, out, _ = call(capsys, "figure", "4", "--records", RECORDS, "--out", file)
        assert (status, out.splitlines()[0]) == (0, str(file))
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(SIGNATURES[suffix])
    assert first == second


def test_a_figure_with_a_budget_first_runs_what_the_records_lack(folder, tmp_path, capsys):
    store = tmp_path / "store"
    arguments = ["figure", "3", "--data", folder, "--records", store, "--budget", "smoke", "--out", "3.svg"]
    assert call(capsys, *arguments)[0] == 0
    text = (tmp_path / "3.svg").read_text()
    assert "not run" not in text
    assert len(re.findall("<!-- mixing 0\\.\\d\\d -->", text)) == 7
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    assert len([path for path in before if path.suffix == ".json"]) >= 2
    assert call(capsys, *arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_without_any_record_is_drawn_and_says_so(name, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert call(capsys, "figure", name, "--records", "none")[0] == 0
    assert "<!-- not run -->" in (tmp_path / f"figure-{name}.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["2"], r"invalid choice: '2' \(choose from '?3'?, '?4'?, '?5'?\)"),
        (["5", "--out", "a.pdf"], r"--out a\.pdf: unknown suffix '\.pdf'; one of \['\.svg', '\.png'\]"),
        (["5", "--out", "picture"], r"--out picture: unknown suffix ''; one of"),
        (["5", "--records", "none"], "none: no such folder of records; expected the folder book/records of a clone"),
        (["5", "--data", "tiktak"], "'tiktak': no such data set or folder"),
        (["5", "--budget", "large"], "invalid choice: 'large'"),
        (["5", "--out", "file/a.svg", "--records", str(RECORDS)], "file"),
    ],
)
def test_a_wrong_argument_is_one_line_and_leaves_no_file(arguments, says, tmp_path, capsys):
    (tmp_path / "file").touch()
    status, out, err = call(capsys, "figure", *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert re.search(says, err), err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_wrong_suffix_is_told_before_anything_runs(folder, tmp_path, capsys):
    arguments = ["--data", folder, "--records", tmp_path / "store", "--budget", "smoke", "--out", "a.gif"]
    assert call(capsys, "figure", "5", *arguments)[0] == 2
    assert not (tmp_path / "store").exists()


def test_the_command_draws_what_the_library_knows():
    assert names("figure") == [*FIGURES]
    assert all(question.draw is not None for question in FIGURES.values())


def test_help_names_the_arguments(capsys):
    status, out, _ = call(capsys, "figure", "--help")
    assert status == 0
    for name in ("--data", "--seeds", "--records", "--budget", "--engine", "--workers", "--out"):
        assert name in out
