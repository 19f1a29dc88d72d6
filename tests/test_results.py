"""Committed records are what they say, and what is printed from them is what they hold."""

import functools
import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import readme
from every import holds_for_every
from mmkd_core.claims import ledger
from mmkd_core.results import METRICS, collect, fill, is_capped, measurements, read_records, records_folder

from benchmarks.search import found_by
from mmkd_core import recipes, results
from mmkd_core.experiment import Experiment, Record, plan, read_hits, run

ROOT = Path(__file__).parents[1]
STORE = ROOT / "book" / "records"
SPACES = tomllib.loads((ROOT / "benchmarks" / "spaces.toml").read_text())
FILES = sorted(STORE.glob("*.json"))


@functools.cache
def read(path):
    return Record.read(path)


def test_a_record_is_named_by_its_experiment_and_data_and_is_small():
    def named_and_small(path):
        record = read(path)
        assert path.stem == record.key
        assert path.stat().st_size < 100_000
        assert not record.environment["commit"].endswith("dirty")

    holds_for_every(FILES, named_and_small)


def test_a_record_keeps_the_best_validation_epoch():
    def keeps_the_best(path):
        record = read(path)
        rows = {row["epoch"]: row["recall@20"] for row in record.history["validation"]}
        assert rows[record.history["best_epoch"]] == max(rows.values()) == record.validation["recall@20"]

    holds_for_every(FILES, keeps_the_best)


def test_a_student_learned_from_a_teacher_whose_record_is_committed():
    def has_its_teacher(path):
        record = read(path)
        assert record.experiment.teacher is not None
        assert (STORE / f"{record.experiment.teacher.key(record.data['fingerprint'])}.json").exists()

    holds_for_every([p for p in FILES if json.loads(p.read_text())["experiment"]["teacher"]], has_its_teacher)


@pytest.mark.parametrize(("model", "dataset"), [("lightgcn", "demo"), ("bpr-mf", "lfm2k")])
def test_a_committed_record_comes_out_again(model, dataset, tmp_path):
    if dataset != "demo" and not (Path(os.environ.get("MMKD_DATA", "")) / dataset).is_dir():
        pytest.skip(f"needs the real data {dataset} in the folder MMKD_DATA")
    experiment = plan(model, dataset)
    (committed,) = [record for record in map(read, FILES) if record.experiment == experiment]
    again = run(experiment, tmp_path)
    assert again.key == committed.key  # the data are the same, too
    # Equal bit for bit on the processor that the record names; another one sums in another order.
    same = again.environment["processor"] == committed.environment["processor"]
    assert again.metrics == (committed.metrics if same else pytest.approx(committed.metrics, abs=0.005))
    assert len(again.history["losses"]) == len(committed.history["losses"]) or not same


def test_the_readme_and_the_landing_page_print_the_records():
    made, texts = readme.parts(), [page.read_text() for page in readme.PAGES]
    assert all(any(part in text for text in texts) for part in made.values()), "run `make readme`"
    assert [readme.rewritten(text, made) for text in texts] == texts


@pytest.mark.parametrize("path", sorted((STORE / "searches").glob("*.json")), ids=lambda path: path.stem)
def test_the_settings_in_force_are_the_choice_of_the_study(path):
    study = json.loads(path.read_text())
    best, found = study["best"], plan(study["model"], study["dataset"])
    chosen: dict = {name: found.hparams[name] for name in best if name != "fit"}
    if "fit" in best:
        chosen["fit"] = {name: getattr(found.fit, name) for name in best["fit"]}
    assert chosen == best
    assert study["best validation"] == max(t["validation recall@20"] or 0 for t in study["trials"])
    file = tomllib.loads((ROOT / "mmkd_core" / "hparams" / f"{study['model']}.toml").read_text())
    assert file[study["dataset"]]["how"] == found_by(study["trials"], path.name)


def test_every_study_of_a_data_set_has_the_same_budget_and_the_space_in_force():
    studies = [json.loads(path.read_text()) for path in sorted((STORE / "searches").glob("*.json"))]
    assert studies
    for study in studies:
        assert study["budget"] == SPACES["budget"][study["dataset"]]
        assert study["space"] == SPACES[study["model"]]
        assert len(study["trials"]) == study["budget"]["trials"]


@pytest.fixture(scope="module")
def planned():
    """Every experiment of every recipe at the paper budget, and the teachers of students."""
    cases = [case for recipe in (*recipes.TABLES.values(), *recipes.FIGURES.values()) for case in recipe()]
    jobs = [job for _, job in cases if isinstance(job, Experiment)]
    return {str(job) for job in [*jobs, *(job.teacher for job in jobs if job.teacher)]}


def test_a_record_fills_a_cell_of_some_table_or_figure(planned):
    def is_planned(path):
        assert str(read(path).experiment) in planned

    holds_for_every(FILES, is_planned)


def test_the_hits_beside_a_record_are_those_of_its_metrics():
    def agree(path):
        record, hits = read(path.with_suffix(".json")), read_hits(path)
        assert hits is not None
        assert {name: float(values.mean()) for name, values in hits.items()} == pytest.approx(record.metrics, abs=1e-12)

    holds_for_every(sorted(STORE.glob("*.npz")), agree)


def trained(path, epochs, best, *, cap=10, patience=2, model="bpr-mf", teacher=None):
    """A record of a run on a made-up data set, evaluated after every second epoch, written to `path`."""
    fit = {"epochs": cap, "patience": patience, "evaluate_every": 2}
    experiment = plan(model, "demo", fit=fit, teacher={"fit": fit} if teacher else None)
    validation = [{"epoch": e, "recall@20": 0.2 if e == best else 0.1} for e in range(0, epochs + 1, 2)]
    record = Record(
        experiment, metrics=dict.fromkeys(METRICS, 0.1), validation={"recall@20": 0.2},
        history={"losses": [], "validation": validation, "best_epoch": best},
        cost={"epochs": epochs, "seconds": 1.0, "cpu_seconds": 1.0, "parameters": {"trained": 1, "served": 1}},
        environment={}, data={"fingerprint": "made up"},
    )  # fmt: skip
    return path, record


@pytest.mark.parametrize(
    ("epochs", "best", "expected"),
    [(10, 10, True), (10, 8, True), (10, 6, False), (8, 4, False), (0, 0, False)],
    ids=["best at the cap", "near it", "patience just used up", "stopped early", "not trained"],
)
def test_a_run_is_capped_that_ended_at_its_cap_with_patience_left(tmp_path, epochs, best, expected):
    path, record = trained(tmp_path / "run.json", epochs, best)
    assert is_capped(record) is expected
    (row,) = fill([recipes.Case({}, record.experiment)], {path: record}).to_dict("records")
    assert row["capped"] is expected


def test_a_student_of_a_capped_teacher_is_capped_too(tmp_path):
    student, record = trained(tmp_path / "student.json", 8, 4, model="mmkd", teacher=True)
    teacher, capped = trained(tmp_path / "teacher.json", 10, 10)
    capped = replace(capped, experiment=record.experiment.teacher)
    (row,) = fill([recipes.Case({}, record.experiment)], {student: record, teacher: capped}).to_dict("records")
    assert row["capped"] is True


def test_a_folder_of_records_that_is_missing_is_no_empty_one(tmp_path):
    assert not read_records(tmp_path)
    for read_it in (lambda: collect([], tmp_path / "no"), lambda: measurements([], tmp_path / "no")):
        with pytest.raises(
            ValueError, match=r"no: no such folder of records; expected the folder book/records of a clone"
        ):
            read_it()
    with pytest.raises(ValueError, match="no such folder of records"):
        ledger(tmp_path / "no")
    assert records_folder(tmp_path / "no", new=True) == tmp_path / "no"


def test_the_records_of_the_clone_are_found_from_any_folder_of_it_and_from_elsewhere(tmp_path, monkeypatch):
    for place, expected in ((ROOT, "book/records"), (ROOT / "notebooks", "../book/records")):
        monkeypatch.chdir(place)
        assert str(records_folder()) == expected
    monkeypatch.chdir(tmp_path)
    assert records_folder().resolve() == STORE  # of the clone that the package is imported from
    monkeypatch.setattr(results, "__file__", str(tmp_path / "site" / "mmkd_core" / "results.py"))
    with pytest.raises(ValueError, match=r"no folder book/records in .* or above it; name the folder of records"):
        records_folder()
