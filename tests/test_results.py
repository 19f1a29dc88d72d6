"""Committed records are what they say, and what is printed from them is what they hold."""

import functools
import json
import os
import re
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import readme
from every import holds_for_every

from benchmarks.search import budgets
from mmkd_core.evidence import store as module
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.ledger import judged
from mmkd_core.evidence.measurement import Measurement, MeasurementRecord
from mmkd_core.evidence.questions import QUESTIONS
from mmkd_core.evidence.questions.data import statistics
from mmkd_core.evidence.store import METRICS, Store, is_capped, records_folder
from mmkd_core.experiment import Experiment, Record, plan
from mmkd_core.hits import read_hits
from mmkd_core.models import usual_fit
from mmkd_core.runs import run
from mmkd_core.study import space_of

ROOT = Path(__file__).parents[1]
STORE = ROOT / "book" / "records"
BUDGETS = budgets()
FILES = sorted(STORE.glob("*/*/s*-*.json"))


@functools.cache
def read(path):
    return Record.read(path)


def test_a_record_is_named_by_its_experiment_and_data_and_is_small():
    def named_and_small(path):
        record = read(path)
        assert path == record.file(STORE)
        assert path.name == f"s{record.experiment.seed}-{record.key}.json"
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
        for teacher in record.experiment.teachers.values():
            assert teacher.file(STORE, record.data["fingerprint"]).exists()

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


def test_the_readme_the_landing_page_and_the_argument_print_the_records():
    store = module.Store(STORE)
    ledger = judged(store)
    made = readme.parts(store, ledger)
    files = readme.files(made, ledger)
    assert all(any(part in text for text in files.values()) for part in made.values()), "run `make readme`"
    assert {file: file.read_text("utf-8") for file in files} == files, "run `make readme`"


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
    completed = sum(trial["state"] == "complete" for trial in study["trials"])
    found_by = f"best of {completed} completed trials, {len(study['trials'])} started, by validation Recall@20, "
    assert file[study["dataset"]]["how"] == f"{found_by}book/records/searches/{path.name}"


def test_every_study_has_the_budget_of_its_data_set_and_the_space_in_force():
    studies = [json.loads(path.read_text()) for path in sorted((STORE / "searches").glob("*.json"))]
    assert studies
    for study in studies:
        if "fingerprint" not in study:  # one that broke trials off, to be done anew
            assert study["budget"] == BUDGETS["pruned"][study["dataset"]]
            assert len(study["trials"]) == study["budget"]["trials"]
            continue
        budget = BUDGETS[study["dataset"]]
        patience = usual_fit(study["model"]).get("patience", budget["patience"])
        assert study["budget"] == {"trials": budget["trials"], "epochs": budget["epochs"], "patience": patience}
        assert study["space"] == space_of(study["model"])[0]
        assert sum(trial["state"] == "complete" for trial in study["trials"]) == budget["trials"]


@pytest.fixture(scope="module")
def planned():
    """Every experiment of every question at the paper budget, and the teachers of students."""
    cases = [case for question in QUESTIONS.values() for case in question.cases()]
    jobs = [job for _, job in cases if isinstance(job, Experiment)]
    return {str(stage) for job in jobs for stage in job.stages}


def test_a_record_fills_a_cell_of_some_table_or_figure(planned):
    def is_planned(path):
        assert str(read(path).experiment) in planned

    holds_for_every(FILES, is_planned)


def test_the_hits_beside_a_record_are_those_of_its_metrics():
    def agree(path):
        record, hits = read(path.with_suffix(".json")), read_hits(path)
        assert hits is not None
        assert {name: float(values.mean()) for name, values in hits.items()} == pytest.approx(record.metrics, abs=1e-12)

    holds_for_every(sorted(STORE.rglob("*.npz")), agree)


def trained(epochs, best, *, cap=10, patience=2, model="bpr-mf", seed=0, fingerprint="made up"):
    """A record of a run on the demo, evaluated after every second epoch."""
    fit = {"epochs": cap, "patience": patience, "evaluate_every": 2}
    teacher = plan("teacher", "demo", seed=seed, fit=fit) if model == "mmkd" else None
    experiment = plan(model, "demo", seed=seed, fit=fit, teacher=teacher)
    validation = [{"epoch": e, "recall@20": 0.2 if e == best else 0.1} for e in range(0, epochs + 1, 2)]
    return Record(
        experiment, metrics=dict.fromkeys(METRICS, 0.1), validation={"recall@20": 0.2},
        history={"losses": [{"bpr": 0.7}] * epochs, "validation": validation, "best_epoch": best},
        cost={"epochs": epochs, "seconds": 1.0, "cpu_seconds": 1.0, "parameters": {"trained": 1, "served": 1}},
        environment={}, data={"fingerprint": fingerprint},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "best", "expected"),
    [(10, 10, True), (10, 8, True), (10, 6, False), (8, 4, False), (0, 0, False)],
    ids=["best at the cap", "near it", "patience just used up", "stopped early", "not trained"],
)
def test_a_run_is_capped_that_ended_at_its_cap_with_patience_left(tmp_path, epochs, best, expected):
    record = trained(epochs, best)
    assert is_capped(record) is expected
    path = record.save(tmp_path)
    (row,) = Store(tmp_path).rows([Case({}, record.experiment)]).to_dict("records")
    assert row["capped"] is expected
    assert row["record"] == str(path)


def test_a_student_of_a_capped_teacher_is_capped_too(tmp_path):
    record, capped = trained(8, 4, model="mmkd"), trained(10, 10)
    record.save(tmp_path)
    with pytest.raises(ValueError, match="no record of its teacher"):  # it could be either
        Store(tmp_path).rows([Case({}, record.experiment)])
    teacher = replace(trained(8, 4), experiment=record.experiment.teacher)
    path = teacher.save(tmp_path)
    (row,) = Store(tmp_path).rows([Case({}, record.experiment)]).to_dict("records")
    assert row["capped"] is False
    path.unlink()
    replace(capped, experiment=record.experiment.teacher).save(tmp_path)
    (row,) = Store(tmp_path).rows([Case({}, record.experiment)]).to_dict("records")
    assert row["capped"] is True


def renamed(path):
    return path.rename(path.with_name("s0-0123456789abcdef.json"))


def edited(path):
    text = path.read_text()
    assert text.count('"lr": ') == 1
    path.write_text(re.sub(r'"lr": [^,]+', '"lr": 0.5', text))
    return path


@pytest.mark.parametrize("change", [renamed, edited])
def test_a_record_that_was_renamed_or_edited_by_hand_is_named(change, tmp_path):
    trained(4, 2).save(tmp_path)
    path = change(trained(4, 2, seed=0).file(tmp_path))
    with pytest.raises(ValueError, match=r"its content has the key .* changed or renamed by hand") as caught:
        Store(tmp_path).rows([Case({}, plan("bpr-mf", "demo"))])
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("change", [renamed, edited])
def test_a_measurement_that_was_renamed_or_edited_by_hand_is_named(change, tmp_path):
    measurement = Measurement.of(statistics, dataset="demo")
    path = MeasurementRecord(measurement, {"lr": 1}, {}, {}, {"fingerprint": "made up"}).save(tmp_path)
    if change is edited:
        path.write_text(path.read_text().replace("made up", "of other data"))
    else:
        path = change(path)
    with pytest.raises(ValueError, match=r"its content has the key .* changed or renamed by hand") as caught:
        Store(tmp_path).taken([Case({}, measurement)])
    assert str(caught.value).startswith(f"{path}: ")


def test_records_of_one_data_set_with_two_fingerprints_are_refused_and_both_files_named(tmp_path):
    one, other = trained(4, 2), trained(4, 2, seed=1, fingerprint="other data")
    paths = [record.save(tmp_path) for record in (one, other)]
    with pytest.raises(ValueError, match="the data demo have the fingerprint other data, but made up in ") as caught:
        Store(tmp_path).rows([Case({}, one.experiment)])
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_measurement_of_other_data_than_the_records_is_refused_and_both_files_named(tmp_path):
    measurement = Measurement.of(statistics, dataset="demo")
    paths = [
        trained(4, 2).save(tmp_path),
        MeasurementRecord(measurement, {"users": 1}, {}, {}, {"fingerprint": "other data"}).save(tmp_path),
    ]
    store = Store(tmp_path)
    assert len(store.records) == 1
    with pytest.raises(ValueError, match="expected records of the same data") as caught:
        store.taken([Case({}, measurement)])
    assert all(str(path) in str(caught.value) for path in paths)


def test_other_options_of_a_data_set_are_other_data(tmp_path):
    one = trained(4, 2)
    noisy = replace(one, experiment=replace(one.experiment, options={"noise": 0.5}), data={"fingerprint": "noisy"})
    for record in (one, noisy):
        record.save(tmp_path)
    assert len(Store(tmp_path).records) == 2


def test_a_folder_of_records_that_is_missing_is_no_empty_one(tmp_path):
    assert not Store(tmp_path).records
    assert not Store(tmp_path / "no", new=True).records
    with pytest.raises(ValueError, match=r"no: no such folder of records; expected the folder book/records of a clone"):
        Store(tmp_path / "no")
    assert set(judged(Store(tmp_path))["verdict"]) == {"not run", "cannot be tested"}
    assert records_folder(tmp_path / "no", new=True) == tmp_path / "no"


def test_the_records_of_the_clone_are_found_from_any_folder_of_it_and_from_elsewhere(tmp_path, monkeypatch):
    for place, expected in ((ROOT, "book/records"), (ROOT / "notebooks", "../book/records")):
        monkeypatch.chdir(place)
        assert str(records_folder()) == expected
    monkeypatch.chdir(tmp_path)
    assert records_folder().resolve() == STORE  # of the clone that the package is imported from
    monkeypatch.setattr(module, "__file__", str(tmp_path / "site" / "mmkd_core" / "evidence" / "store.py"))
    with pytest.raises(ValueError, match=r"no folder book/records in .* or above it; name the folder of records"):
        records_folder()


def test_a_student_whose_teacher_has_no_record_is_named(tmp_path):
    source = next(path for path in sorted((STORE / "tiktok" / "mmkd").glob("s0-*.json")))
    job = Record.read(source).experiment
    place = tmp_path / "tiktok" / "mmkd"
    place.mkdir(parents=True)
    shutil.copy(source, place)
    with pytest.raises(ValueError, match=rf"{source.name}: no record of its teacher; expected it in {tmp_path}"):
        Store(tmp_path).rows([Case({"dataset": "tiktok", "seed": 0}, job)])
    shutil.copytree(STORE / "tiktok" / "teacher", tmp_path / "tiktok" / "teacher")
    (row,) = Store(tmp_path).rows([Case({"dataset": "tiktok", "seed": 0}, job)]).to_dict("records")
    assert row["capped"] in (True, False)
    assert row["hits"] is None  # its .npz was not copied
