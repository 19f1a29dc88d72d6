import copy
import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from made_up_folder import write_folder

from mmkd_core import MODELS, Experiment, FitConfig, Record, chosen, evaluate, load, plan, restore, run, runs, training
from mmkd_core.chosen import tables_of
from mmkd_core.evidence.cases import REAL
from mmkd_core.hits import read_hits, save_hits
from mmkd_core.models import defaults_of
from mmkd_core.models.mmkd import MMKD, STUDENTS
from mmkd_core.models.teacher import Teacher
from mmkd_core.runs import model_of, resumes, trained, trained_teachers

SHORT = FitConfig(epochs=2, batch_size=256, lr=0.01, evaluate_every=1)


@pytest.fixture(scope="module")
def toy(make_data):
    return make_data(num_users=20, num_items=60, modalities=2)


def lightgcn(**changes):
    return Experiment(**{"dataset": "toy", "model": "lightgcn", "hparams": {"dim": 4}, "fit": SHORT} | changes)


def teacher(**changes):
    return lightgcn(model="teacher", **changes)


def mmkd(**changes):
    return lightgcn(**{"model": "mmkd", "teacher": teacher()} | changes)


def ensemble(**changes):
    return lightgcn(**{"model": "ensemble", "hparams": {}, "teacher": lightgcn(), "second": teacher()} | changes)


def lists(**changes):
    return lightgcn(**{"model": "mmkd-lists", "teacher": ensemble()} | changes)


KINDS = {"mmkd": mmkd, "ensemble": ensemble, "mmkd-lists": lists}


def no_training(*_, **__):
    raise AssertionError("trained again")


def files(store):
    return sorted(path.suffix for path in store.rglob("*") if path.is_file())


# --- experiments ---


def test_an_experiment_holds_every_setting_so_that_a_later_default_changes_nothing():
    assert lightgcn().hparams == defaults_of("lightgcn") | {"dim": 4}


def test_the_seed_of_an_experiment_is_that_of_its_training():
    assert lightgcn(seed=5).fit.seed == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hparams": {"lyers": 2}}, r"unknown setting 'lyers' of lightgcn; one of \['dim', 'l2', 'layers'\]"),
        ({"model": "lighgcn"}, r"unknown model 'lighgcn'; one of \['bm3', 'bpr-mf'"),
    ],
)
def test_unknown_names_are_refused_before_anything_runs(changes, message):
    with pytest.raises(ValueError, match=message):
        lightgcn(**changes)


def test_an_experiment_survives_its_dict_and_json():
    experiment = mmkd(options={"noise": 0.3}, seed=3)
    again = Experiment.from_dict(json.loads(json.dumps(experiment.as_dict())))
    assert again == experiment
    assert again.key("data") == experiment.key("data")


def test_the_key_is_16_hexadecimal_digits_and_depends_on_all_that_decides_a_result():
    variants = [
        lightgcn(),
        lightgcn(seed=1),
        lightgcn(hparams={"dim": 5}),
        lightgcn(dataset="other"),
        lightgcn(options={"noise": 0.3}),
        lightgcn(fit=FitConfig(epochs=3)),
        lightgcn(model="bpr-mf"),
        mmkd(),
        mmkd(teacher=teacher(seed=1)),
        mmkd(teacher=teacher(hparams={"prompt_rate": 0.0})),
    ]
    keys = {experiment.key("data") for experiment in variants}
    assert len(keys) == len(variants)
    assert lightgcn().key("other data") not in keys
    assert all(len(key) == 16 and int(key, 16) >= 0 for key in keys)


@pytest.mark.usefixtures("unchecked")
def test_the_key_does_not_depend_on_how_a_setting_is_spelt():
    spelt = [mmkd(hparams={"pair": 1.0, "dim": 4}), mmkd(hparams={"dim": 4}), mmkd(hparams={"pair": 1, "dim": 4})]
    spelt += [mmkd(fit=dataclasses.replace(SHORT, weight_decay=0)), mmkd(seed=0, options={})]
    assert len({experiment.key("data") for experiment in spelt}) == 1


# --- running ---


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """The store after one run of mmkd with its teacher, and the record that `run` returned."""
    store = tmp_path_factory.mktemp("store")
    return store, run(mmkd(), store, data=toy)


def test_a_record_has_the_entries_that_callers_rely_on(finished, toy):
    store, record = finished
    values = json.loads(record.file(store).read_text())
    assert set(values) == {"experiment", "metrics", "validation", "history", "cost", "environment", "data"}
    assert {"dataset", "model", "seed", "hparams", "fit", "teacher"} <= set(values["experiment"])
    assert set(values["experiment"]["fit"]) == {*vars(FitConfig())}
    assert set(values["metrics"]) == {"recall@20", "ndcg@20", "recall@50", "ndcg@50"}
    assert all(0 <= value <= 1 for value in values["metrics"].values())
    assert values["validation"] == values["history"]["best"]
    assert values["data"]["fingerprint"] == toy.fingerprint
    assert (values["data"]["train"], values["data"]["features"]) == (len(toy.train), {"image": 12, "text": 7})
    assert {"seconds", "cpu_seconds", "peak_memory_mib", "epochs", "parameters"} <= set(values["cost"])
    assert {"commit", "torch", "python", "device", "threads", "date"} <= set(values["environment"])
    assert values["experiment"]["hparams"]["init"] == "teacher"
    assert values["experiment"]["hparams"]["prompt_mode"] == "kd"


def test_running_again_reads_the_record_and_trains_nothing(finished, toy, monkeypatch):
    store, record = finished
    monkeypatch.setattr(runs, "fit", no_training)
    assert run(mmkd(), store, data=toy) == record


def test_the_teacher_is_an_experiment_of_its_own_with_a_record(finished, toy, monkeypatch):
    store, _ = finished
    monkeypatch.setattr(runs, "fit", no_training)
    assert run(teacher(), store, data=toy).experiment == teacher()
    assert files(store) == [".json", ".json", ".npz", ".npz", ".safetensors", ".safetensors"]


def test_a_second_student_finds_its_teacher_trained(finished, toy, monkeypatch):
    store, _ = finished
    trained = []

    def fit(model, *arguments, **keywords):
        trained.append(type(model).__name__)
        return training(model, *arguments, **keywords)

    training = runs.fit
    monkeypatch.setattr(runs, "fit", fit)
    run(mmkd(hparams={"dim": 4, "list": 0.0}), store, data=toy)
    assert trained == ["MMKD"]


def test_the_second_student_starts_from_the_same_teacher_as_the_first(finished, toy, tmp_path):
    store, first = finished
    with_stored_teacher = run(mmkd(seed=1), store, data=toy)
    from_nothing = run(mmkd(seed=1), tmp_path, data=toy)
    assert with_stored_teacher.history == from_nothing.history
    assert with_stored_teacher.metrics == from_nothing.metrics
    assert with_stored_teacher.key != first.key


def test_a_record_survives_saving_and_reading(finished, tmp_path):
    _, record = finished
    assert Record.read(record.save(tmp_path)) == record


@pytest.mark.parametrize("name", MODELS)
def test_restoring_a_record_reproduces_its_metrics(name, toy, tmp_path):
    experiment = KINDS.get(name, lambda: lightgcn(model=name, hparams={}))()
    record = run(experiment, tmp_path, data=toy)
    model = restore(record.file(tmp_path), toy)
    assert not model.training
    with torch.no_grad():
        values = evaluate(model.embed(), toy, "test", (20, 50))
    assert {metric: float(x.mean()) for metric, x in values.items()} == record.metrics


def test_the_restored_prompt_is_the_tuned_one(toy, tmp_path):
    training = FitConfig(epochs=10, batch_size=64, lr=0.02, evaluate_every=5)
    tuned = mmkd(hparams={"dim": 4, "init": "random"}, fit=training)
    model, record = trained(tuned, tmp_path, toy)
    restored = restore(record.file(tmp_path), toy)
    assert torch.equal(restored.teacher.prompt.linear.weight, model.teacher.prompt.linear.weight)
    original, _ = trained(teacher(), tmp_path, toy)
    assert record.history["best_epoch"] > 0
    assert not torch.equal(restored.teacher.prompt.linear.weight, original.prompt.linear.weight)


def test_the_same_experiment_in_two_stores_gives_the_same_numbers(toy, tmp_path):
    torch.rand(3)
    first, second = (run(lightgcn(), tmp_path / name, data=toy) for name in ("a", "b"))
    assert (first.metrics, first.history, first.key) == (second.metrics, second.history, second.key)


def test_a_record_alone_restores_its_model(tmp_path):
    folder = write_folder(tmp_path / "tiny")
    record = run(plan("lightgcn", str(folder), hparams={"dim": 4}, fit={"epochs": 1}), tmp_path / "store")
    path = record.file(tmp_path / "store")
    alone, given = restore(path), restore(path, load(str(folder)))
    assert all(torch.equal(one, other) for one, other in zip(alone.embed(), given.embed(), strict=True))
    assert not alone.training
    other = load(str(write_folder(tmp_path / "other", seed=1)))
    with pytest.raises(ValueError, match=rf"{record.key}\.json: made from other data than other is now"):
        restore(path, other)
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=rf"{record.key}\.json: its data: unknown data set .*; say where they lie now"):
        restore(path)


def test_running_leaves_the_global_generator_as_it_was(toy, tmp_path):
    before = torch.get_rng_state()
    record = run(lightgcn(), tmp_path, data=toy)
    assert torch.equal(torch.get_rng_state(), before)
    restore(record.file(tmp_path), toy)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_teacher_of_an_experiment_is_trained_once_and_starts_its_student(toy, tmp_path, monkeypatch):
    assert trained_teachers(lightgcn(), tmp_path, toy) == {}
    trained = trained_teachers(mmkd(), tmp_path, toy)["teacher"]
    monkeypatch.setattr(runs, "fit", no_training)
    again = trained_teachers(mmkd(), tmp_path, toy)["teacher"]
    assert isinstance(trained, Teacher)
    assert isinstance(again, Teacher)
    assert all(torch.equal(one, other) for one, other in zip(trained.embed(), again.embed(), strict=True))
    student = model_of(mmkd(hparams={"dim": 4, "layers": 0}), toy, teacher=trained)
    torch.testing.assert_close(torch.cat([*student.embed()]), torch.cat([*trained.embed()]))


def test_teachers_are_nested_as_deep_as_they_are_and_each_is_trained_once(toy, tmp_path, monkeypatch):
    assert [stage.model for stage in lists().stages] == ["lightgcn", "teacher", "ensemble", "mmkd-lists"]
    record = run(lists(), tmp_path, data=toy)
    made = {path.parent.name: Record.read(path) for path in tmp_path.rglob("*.json")}
    assert {name: made[name].experiment for name in made} == {stage.model: stage for stage in lists().stages}
    assert made["ensemble"].cost["epochs"] == 0
    assert made["ensemble"].history["validation"][0].keys() >= {"share", "recall@20"}
    recall = made["ensemble"].validation["recall@20"]
    assert record.history["validation"][0]["teacher_recall"] == pytest.approx(recall, abs=1e-6)
    monkeypatch.setattr(runs, "fit", no_training)
    assert trained_teachers(lists(seed=0, hparams={"dim": 5}), tmp_path, toy)["teacher"].embed().users.shape == (20, 8)


def test_the_stages_that_are_left_end_where_a_teacher_is_there(toy, tmp_path):
    assert [stage.model for stage, *_ in resumes(lists(), tmp_path, toy)] == [stage.model for stage in lists().stages]
    run(ensemble(), tmp_path, data=toy)
    next(tmp_path.rglob("lightgcn/*.safetensors")).unlink()  # nobody needs it any more
    assert [stage.model for stage, *_ in resumes(lists(), tmp_path, toy)] == ["mmkd-lists"]


def test_a_second_teacher_has_a_line_in_records_and_keys_where_there_is_one_alone():
    assert "second" not in mmkd().canonical
    assert "second" not in json.dumps(mmkd().as_dict())
    for experiment in (ensemble(), lists()):
        assert Experiment.from_dict(json.loads(json.dumps(experiment.as_dict()))) == experiment
    assert ensemble().as_dict()["second"] == teacher().as_dict()
    swapped = ensemble(teacher=teacher(), second=lightgcn())
    assert len({one.key("data") for one in (ensemble(), swapped, ensemble(second=lightgcn()))}) == 3
    there = lists().at("there")
    assert {stage.dataset for stage in there.stages} == {"there"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lists(teacher=None), "teacher=None of mmkd-lists, which learns from one; expected a teacher"),
        (lambda: ensemble(second=None), "second=None of ensemble, which learns from one; expected a teacher"),
        (lambda: mmkd(second=teacher()), "mmkd cannot be taught by teacher; expected mmkd and teacher"),
        (lambda: mmkd(teacher=lightgcn()), "mmkd cannot be taught by lightgcn; expected mmkd and teacher"),
    ],
)
def test_teachers_too_few_too_many_or_of_another_kind_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_plan_of_the_list_student_nests_its_two_teachers_and_their_usual_training():
    experiment = plan("mmkd-lists", "some/folder", seed=2)
    first, second, both, own = experiment.stages
    assert [first.model, second.model, both.model] == ["softmax-teacher", "softmax-factors", "ensemble"]
    assert {stage.seed for stage in experiment.stages} == {2}
    assert (first.fit.lr, second.fit.lr, own.fit.lr) == (2e-3, 5e-3, 1e-3)
    assert plan("softmax-teacher", "some/folder", fit={"lr": 0.5}).fit.lr == 0.5
    one = plan("mmkd-lists", "some/folder", seed=2, teacher=first)
    assert [stage.model for stage in one.stages] == ["softmax-teacher", "mmkd-lists"]


def test_the_teacher_of_a_model_is_untrained_and_has_its_own_settings_unless_one_is_given(toy):
    model = model_of(mmkd(teacher=teacher(hparams={"dim": 5})), toy)
    assert isinstance(model, MMKD)
    assert model.teacher.nodes.weight.shape == (80, 5)


def test_progress_names_the_stage(toy, tmp_path):
    stages = []
    run(mmkd(), tmp_path, data=toy, on_epoch=lambda stage, epoch, _: stages.append((stage.model, epoch)))
    assert stages == [("teacher", 1), ("teacher", 2), ("mmkd", 1), ("mmkd", 2)]


# --- failures ---


def test_a_catalogue_smaller_than_the_cut_offs_is_refused_before_training(data, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "fit", no_training)
    with pytest.raises(ValueError, match="k=50 for a catalogue of 40 items"):
        run(lightgcn(), tmp_path, data=data)


@pytest.mark.parametrize("writer", ["checkpoint", "weights", "record"])
def test_nothing_half_written_is_left_when_writing_fails(writer, toy, tmp_path, monkeypatch):
    undisturbed = run(lightgcn(), tmp_path / "undisturbed", data=toy)
    suffix = {"checkpoint": ".checkpoint", "weights": ".safetensors", "record": ".json"}[writer]

    def half(write):
        def written(path, *arguments, **keywords):
            if f"{suffix}." not in path.name:  # another file's temporary one
                return write(path, *arguments, **keywords)
            with path.open("wb") as file:
                file.write(b"{ half")
            raise OSError("disk full")

        return written

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "write_text"):
            patch.setattr(Path, name, half(getattr(Path, name)))
        with pytest.raises(OSError, match="disk full") as caught:
            run(lightgcn(), tmp_path / "store", data=toy)
    assert str(undisturbed.file(tmp_path / "store").with_suffix(suffix)) in str(caught.value)
    left = {"checkpoint": [], "weights": [".checkpoint"], "record": [".checkpoint", ".npz", ".safetensors"]}
    assert files(tmp_path / "store") == left[writer]
    monkeypatch.setattr(training.Trainer, "epoch", training.Trainer.epoch if writer == "checkpoint" else None)
    again = run(lightgcn(), tmp_path / "store", data=toy)  # what was trained is not trained again
    assert (again.metrics, again.history) == (undisturbed.metrics, undisturbed.history)
    assert files(tmp_path / "store") == files(tmp_path / "undisturbed")


def test_a_run_that_fails_in_training_leaves_no_record(toy, tmp_path):
    with pytest.raises(FloatingPointError):
        run(lightgcn(fit=FitConfig(epochs=3, lr=1e38, evaluate_every=1)), tmp_path, data=toy)
    assert files(tmp_path) == []


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: no such record; expected a file that `mmkd run` wrote"):
        Record.read(tmp_path / "none.json")


def without(values, *path):
    values = copy.deepcopy(values)
    part = values
    for name in path[:-1]:
        part = part[name]
    del part[path[-1]]
    return values


def with_value(values, value, *path):
    values = without(values, *path)
    part = values
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return values


CORRUPT = {
    "truncated": lambda values: json.dumps(values)[:100],
    "empty": lambda values: "",
    "not an object": lambda values: "[]",
    "null": lambda values: "null",
    "no experiment": lambda values: without(values, "experiment"),
    "no metrics": lambda values: without(values, "metrics"),
    "an entry too many": lambda values: values | {"more": 1},
    "no fit": lambda values: without(values, "experiment", "fit"),
    "a fit of text": lambda values: with_value(values, "short", "experiment", "fit"),
    "an experiment of text": lambda values: values | {"experiment": "lightgcn"},
    "an unknown model": lambda values: with_value(values, "lighgcn", "experiment", "model"),
    "an unknown setting": lambda values: with_value(values, {"lyers": 1}, "experiment", "hparams"),
    "a batch of zero": lambda values: with_value(values, 0, "experiment", "fit", "batch_size"),
    "a teacher of text": lambda values: with_value(values, "good", "experiment", "teacher"),
    "no data": lambda values: values | {"data": {}},
    "a fingerprint that is no text": lambda values: values | {"data": values["data"] | {"fingerprint": 7}},
    "data of text": lambda values: values | {"data": "toy"},
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("corrupt", CORRUPT)
def test_a_file_that_is_no_record_is_named_as_such(corrupt, finished, tmp_path):
    store, record = finished
    values = CORRUPT[corrupt](json.loads(record.file(store).read_text()))
    path = tmp_path / "bad.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    with pytest.raises(ValueError, match=r"bad\.json: not a record"):
        Record.read(path)


def test_bytes_that_are_no_text_are_no_record(tmp_path):
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"bad\.json: not a record"):
        Record.read(tmp_path / "bad.json")


def test_a_record_without_weights_says_how_to_get_them(finished, toy, tmp_path):
    _, record = finished
    path = record.save(tmp_path)
    with pytest.raises(ValueError, match=r"no weights beside the record; .* another folder: mmkd run mmkd --data toy"):
        restore(path, toy)


def test_truncated_weights_are_named(finished, toy, tmp_path):
    store, record = finished
    path = record.save(tmp_path)
    whole = record.file(store).with_suffix(".safetensors").read_bytes()
    path.with_suffix(".safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{record.key}\.safetensors"):
        restore(path, toy)


def test_weights_of_another_record_are_named(finished, toy, tmp_path):
    store, record = finished
    path = record.save(tmp_path)
    other = teacher().file(store, toy.fingerprint).with_suffix(".safetensors")
    path.with_suffix(".safetensors").write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match=rf"{record.key}\.safetensors"):
        restore(path, toy)


def test_a_teacher_that_cannot_teach_is_refused():
    for experiment in ({"teacher": teacher()}, {"model": "mmkd", "teacher": lightgcn()}):
        with pytest.raises(ValueError, match=r"cannot be taught by (teacher|lightgcn); expected mmkd and teacher"):
            lightgcn(**experiment)


@pytest.mark.parametrize("model", ["mmkd", "mmkd+mse"])
def test_a_student_without_a_teacher_is_refused(model):
    with pytest.raises(ValueError, match=rf"teacher=None of {re.escape(model)}, .*; expected a teacher, as `plan`"):
        lightgcn(model=model)


def test_the_depth_of_a_student_that_names_none_is_frozen():
    """Records hold `layers: null` for it: another number would give them another meaning under the same key."""
    assert defaults_of("mmkd")["layers"] is None
    assert {name: kind.usual_layers for name, kind in STUDENTS.items()} == {"lightgcn": 1, "gcn": 2}


def test_a_bad_value_of_the_student_is_refused_before_its_teacher_is_trained(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "fit", no_training)
    for hparams in ({"dim": 0}, {"student": "mlp"}, {"gamma": 0.5}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match=next(iter(hparams))):
            run(mmkd(hparams=hparams), tmp_path, data=toy)


# --- the hits beside a record ---


def test_the_hits_beside_a_record_give_the_metrics_of_each_user(finished, toy):
    store, record = finished
    path = record.file(store)
    with torch.no_grad():
        expected = evaluate(restore(path, toy).embed(), toy, "test", (20, 50))
    hits = read_hits(path)
    assert hits is not None
    assert {name: torch.equal(values, expected[name]) for name, values in hits.items()} == dict.fromkeys(expected, True)


def test_a_record_without_hits_has_none(finished, tmp_path):
    assert read_hits(finished[1].save(tmp_path)) is None


@pytest.mark.parametrize("content", [b"", b"PK half", b"no archive"])
def test_hits_that_cannot_be_read_are_named(content, tmp_path):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz: not the hits of a record"):
        read_hits(tmp_path / "bad.json")


def test_the_hits_of_large_ids_survive(tmp_path):
    users, places = torch.tensor([3, 3, 70_000]), torch.tensor([50, 0, 1])
    save_hits(tmp_path / "key.json", users, places)
    hits = read_hits(tmp_path / "key.json")
    assert hits is not None
    assert [hits["recall@20"].tolist(), hits["recall@50"].tolist()] == [[0.0, 1.0], [0.5, 1.0]]


# --- plans ---


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """A package folder whose hparams say something of their own."""
    (tmp_path / "hparams").mkdir()
    (tmp_path / "hparams" / "lightgcn.toml").write_text(
        '[search]\nl2 = [0.5]\nstart.l2 = 0.5\n\n[toy]\nhow = "none"\nl2 = 0.25\nfit = { epochs = 7, lr = 0.125 }\n'
    )
    (tmp_path / "hparams" / "teacher.toml").write_text("[toy]\ndropout = 0.5\nfit = { epochs = 9 }\n")
    monkeypatch.setattr(chosen.resources, "files", lambda package: tmp_path)


@pytest.mark.usefixtures("tuned")
def test_a_plan_overlays_the_defaults_of_the_signature_with_the_data_sets_block_and_with_what_is_given():
    assert plan("lightgcn", "other") == Experiment("other", "lightgcn")
    assert plan("lightgcn", "search") == Experiment("search", "lightgcn")
    assert plan("lightgcn", "toy", seed=2, hparams={"layers": 1}, fit={"epochs": 8}) == Experiment(
        "toy", "lightgcn", 2, {"layers": 1, "l2": 0.25}, FitConfig(epochs=8, lr=0.125)
    )


def test_settings_are_kept_for_data_sets_and_searches_alone():
    assert all({*tables_of(name)} <= {"search", "demo", *REAL} for name in MODELS)
    assert all({*tables_of(name)} >= {*REAL} for name in MODELS if defaults_of(name) and name != "ensemble")


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers = true", "layers=True of lightgcn; expected a whole number of at least 0"),
        ("layers = 2.0", "layers=2.0 of lightgcn; expected a whole number"),
        ('layers = "2"', "layers='2' of lightgcn; expected a whole number"),
        ("l2 = nan", "l2=nan of lightgcn; expected a number of at least 0 and at most"),
        ("lyers = 2", "unknown setting 'lyers' of lightgcn"),
        ("fit = 5", "settings of the training: got 5; expected names with values"),
        ("fit = { epoch = 5 }", "unknown setting 'epoch' of the training"),
        ("fit = { seed = 5 }", "unknown setting 'seed' of the training"),
        ("fit = { lr = false }", "lr=False of the training; expected a number more than 0"),
        ("fit = { epochs = 5.0 }", "epochs=5.0 of the training; expected a whole number"),
    ],
)
def test_a_file_of_settings_is_checked_as_arguments_are(text, message, tmp_path, monkeypatch):
    (tmp_path / "hparams").mkdir()
    (tmp_path / "hparams" / "lightgcn.toml").write_text(f"[toy]\n{text}\n")
    monkeypatch.setattr(chosen.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=re.escape(message)):
        plan("lightgcn", "toy")


@pytest.mark.usefixtures("tuned")
def test_a_plan_of_mmkd_nests_that_of_its_teacher():
    experiment = plan("mmkd", "toy", seed=3, options={"noise": 0.3})
    assert experiment.teacher == Experiment(
        "toy", "teacher", 3, {"dropout": 0.5}, FitConfig(epochs=9), None, {"noise": 0.3}
    )
    assert (experiment.options, experiment.fit.seed) == ({"noise": 0.3}, 3)


@pytest.mark.usefixtures("tuned")
def test_a_plan_of_mmkd_nests_the_teacher_that_it_is_given():
    same = {"seed": 3, "options": {"noise": 0.3}}
    teacher = plan("teacher", "toy", hparams={"layers": 1}, fit={"lr": 0.25}, **same)
    assert plan("mmkd", "toy", teacher=teacher, **same).teacher == Experiment(
        "toy", "teacher", 3, {"dropout": 0.5, "layers": 1}, FitConfig(epochs=9, lr=0.25), None, {"noise": 0.3}
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "seed of mmkd: got 0, and 1 of its teacher; expected the same"),
        ({"dataset": "other"}, "dataset of mmkd: got 'toy', and 'other' of its teacher; expected the same"),
        ({"options": {"noise": 0.3}}, r"options of mmkd: got {}, and {'noise': 0.3} of its teacher; expected the same"),
    ],
)
def test_a_teacher_of_other_data_or_another_seed_is_refused(other, message):
    with pytest.raises(ValueError, match=message):
        plan("mmkd", "toy", teacher=plan(**{"model": "teacher", "dataset": "toy"} | other))


def test_planning_leaves_the_arguments_as_they_were():
    given = {"layers": 1}, {"lr": 0.25}, {"noise": 0.3}
    plan("mmkd", "toy", hparams=given[0], fit=given[1], options=given[2])
    assert given == ({"layers": 1}, {"lr": 0.25}, {"noise": 0.3})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "lighgcn"}, "unknown model 'lighgcn'"),
        ({"hparams": {"lyers": 1}}, "unknown setting 'lyers' of lightgcn"),
        ({"fit": {"epoch": 1}}, "unknown setting 'epoch' of the training; one of"),
        ({"fit": {"seed": 1}}, "unknown setting 'seed' of the training; one of"),
        ({"teacher": teacher()}, "lightgcn cannot be taught by teacher; expected mmkd and teacher"),
        ({"model": "teacher", "hparams": {"lyers": 1}}, "unknown setting 'lyers' of teacher"),
        ({"model": "teacher", "fit": {"epoch": 1}}, "unknown setting 'epoch' of the training"),
    ],
)
def test_unknown_names_in_a_plan(arguments, message):
    with pytest.raises(ValueError, match=message):
        plan(**{"model": "lightgcn", "dataset": "toy"} | arguments)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_plan_for_every_data_set(name):
    for dataset in ("demo", "tiktok", "ml-100k", "some/folder"):
        assert plan(name, dataset).model == name
