"""Committed records are what they say, and what is printed from them is what they hold."""

import functools
import json
import os
import tomllib
from pathlib import Path

import pytest
import readme

from mmkd_core import recipes
from mmkd_core.experiment import Experiment, Record, plan, read_hits, run

ROOT = Path(__file__).parents[1]
STORE = ROOT / "book" / "records"
SPACES = tomllib.loads((ROOT / "benchmarks" / "spaces.toml").read_text())
FILES = sorted(STORE.glob("*.json"))


@functools.cache
def read(path):
    return Record.read(path)


def test_there_are_records():
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_is_named_by_its_experiment_and_data_and_is_small(path):
    record = read(path)
    assert path.stem == record.key
    assert path.stat().st_size < 100_000
    assert not record.environment["commit"].endswith("dirty")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_keeps_the_best_validation_epoch(path):
    record = read(path)
    rows = {row["epoch"]: row["recall@20"] for row in record.history["validation"]}
    assert rows[record.history["best_epoch"]] == max(rows.values()) == record.validation["recall@20"]


@pytest.mark.parametrize("path", [p for p in FILES if json.loads(p.read_text())["experiment"]["teacher"]], ids=str)
def test_a_student_learned_from_a_teacher_whose_record_is_committed(path):
    record = read(path)
    assert record.experiment.teacher is not None
    assert (STORE / f"{record.experiment.teacher.key(record.data['fingerprint'])}.json").exists()


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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_record_fills_a_cell_of_some_table_or_figure(path, planned):
    assert str(read(path).experiment) in planned


@pytest.mark.parametrize("path", sorted(STORE.glob("*.npz")), ids=lambda path: path.stem)
def test_the_hits_beside_a_record_are_those_of_its_metrics(path):
    record, hits = read(path.with_suffix(".json")), read_hits(path)
    assert hits is not None
    assert {name: float(values.mean()) for name, values in hits.items()} == pytest.approx(record.metrics, abs=1e-12)
