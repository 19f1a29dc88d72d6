"""Fine-tuning on new interactions: what is new, what is deployed, what it may see, what is reported."""

from dataclasses import replace

import pytest
import torch

from mmkd_core.datasets import controlled
from mmkd_core.evaluation import evaluate
from mmkd_core.evidence.measurement import Measurement, find_or_take
from mmkd_core.evidence.questions import incremental as module
from mmkd_core.evidence.questions.incremental import deployed, incremental, new_pairs
from mmkd_core.experiment import Experiment, Record, plan
from mmkd_core.graph import propagate
from mmkd_core.runs import trained
from mmkd_core.training import FitConfig, fit

SHORT = FitConfig(epochs=2, batch_size=64, lr=1e-2, evaluate_every=1)
WAYS = ["stale", "edges", "fine-tuned", "retrained"]


@pytest.fixture(scope="module")
def whole(make_data):
    return make_data(30, 60)


@pytest.fixture(scope="module")
def old(whole):
    return controlled(whole, hold_back=0.1)


def experiment(model, **settings):
    teacher = Experiment("toy", "teacher", 0, {"dim": 8}, SHORT) if model == "mmkd" else None
    return Experiment("toy", model, 0, {"dim": 8, **settings}, SHORT, teacher)


def taken(monkeypatch, data, system, store, **arguments):
    monkeypatch.setattr(module, "load", lambda name, **options: controlled(data, **options))
    return incremental(store, system=system, **arguments)


def test_new_is_what_the_older_interactions_lack(old, whole):
    new = new_pairs(old, whole)
    assert 0 < len(new) < len(old.train)
    pairs = [*map(tuple, old.train.tolist()), *map(tuple, new.tolist())]
    assert sorted(pairs) == sorted(map(tuple, whole.train.tolist()))
    assert len(new_pairs(whole, whole)) == 0


@pytest.mark.parametrize("model", ["lightgcn", "lattice", "bm3", "mmkd"])
def test_over_the_graph_that_it_was_trained_on_what_is_deployed_serves_the_same_tables(model, old, tmp_path):
    system = experiment(model)
    earlier, _ = trained(system, tmp_path, old)
    with torch.no_grad():
        torch.testing.assert_close(deployed(earlier, system, old).embed(), earlier.embed(), atol=0, rtol=0)


def test_of_mmkd_its_student_is_deployed_and_the_new_interactions_are_edges_of_its_graph(old, whole, tmp_path):
    system = experiment("mmkd", layers=2)
    earlier, _ = trained(system, tmp_path, old)
    model = deployed(earlier, system, whole)
    assert [name for name, _ in model.named_parameters()] == ["nodes.weight"]
    assert len(model.graph.col) == 2 * len(whole.train)
    expected = propagate(model.graph, earlier.student.nodes.weight, 2)
    torch.testing.assert_close(torch.cat(model.embed()), expected, atol=0, rtol=0)


@pytest.mark.parametrize(("model", "student"), [("mmkd", "gcn"), ("mmkd+released-graph", "lightgcn")])
def test_a_student_that_is_no_lightgcn_of_its_own_cannot_be_deployed(model, student, old, whole, tmp_path):
    system = replace(experiment("mmkd", student=student), model=model)
    earlier, _ = trained(system, tmp_path, old)
    with pytest.raises(ValueError, match=f"'{student}' cannot do without its teacher"):
        deployed(earlier, system, whole)


def test_fine_tuning_visits_the_new_interactions_alone_and_no_negative_is_old(old, whole, tmp_path, monkeypatch):
    system, batches = experiment("lightgcn"), []
    earlier, _ = trained(system, tmp_path, old)
    model = deployed(earlier, system, whole)
    loss = model.loss
    monkeypatch.setattr(model, "loss", lambda batch: (batches.append(batch), loss(batch))[1])
    fit(model, whole, replace(SHORT, epochs=1), pairs=new_pairs(old, whole))
    visited = [(u, i) for batch in batches for u, i in zip(batch.users.tolist(), batch.pos.tolist(), strict=True)]
    assert sorted(visited) == sorted(map(tuple, new_pairs(old, whole).tolist()))
    drawn = {(u, i) for batch in batches for u, i in zip(batch.users.tolist(), batch.neg[:, 0].tolist(), strict=True)}
    assert not drawn & set(map(tuple, whole.train.tolist()))


@pytest.mark.parametrize("model", ["lightgcn", "mmkd"])
def test_without_a_step_fine_tuning_is_the_new_edges_alone(model, whole, tmp_path, monkeypatch):
    values = taken(monkeypatch, whole, experiment(model), tmp_path, epochs=0)
    assert list(values["metrics"]) == WAYS
    assert values["metrics"]["fine-tuned"] == values["metrics"]["edges"] != values["metrics"]["stale"]
    assert values["best_epoch"] == 0


def test_stale_tables_are_those_of_the_older_interactions_but_recommend_none_of_the_new(whole, tmp_path, monkeypatch):
    values = taken(monkeypatch, whole, experiment("lightgcn"), tmp_path, epochs=0)
    held = replace(experiment("lightgcn"), options={"hold_back": 0.1})
    earlier, _ = trained(held, tmp_path, controlled(whole, hold_back=0.1))
    expected = evaluate(earlier.embed(), whole, "test", (20,))["recall@20"].mean()
    assert values["metrics"]["stale"]["recall@20"] == pytest.approx(float(expected))


def test_the_epoch_is_the_best_on_validation_and_test_plays_no_part(whole, tmp_path, monkeypatch):
    other = replace(whole, test=whole.test[::2])
    first, second = (
        taken(monkeypatch, data, experiment("lightgcn"), tmp_path / str(len(data.test)), epochs=3)
        for data in (whole, other)
    )
    assert first["validation"] == second["validation"]
    assert first["best_epoch"] == second["best_epoch"]
    assert first["metrics"] != second["metrics"]
    merits = [(row["recall@20"], row["ndcg@20"]) for row in first["validation"]]
    assert merits.index(max(merits)) == first["best_epoch"]


def test_retraining_is_the_systems_own_record_and_costs_what_the_teachers_adds(whole, tmp_path, monkeypatch):
    values = taken(monkeypatch, whole, experiment("mmkd"), tmp_path, epochs=0)
    records = [Record.read(path) for path in tmp_path.glob("*/*/*.json")]
    again = {record.experiment.model: record for record in records if not record.experiment.options}
    assert set(again) == {"mmkd", "teacher"}
    assert values["metrics"]["retrained"]["recall@20"] == again["mmkd"].metrics["recall@20"]
    seconds = sum(record.cost["cpu_seconds"] for record in again.values())
    assert values["retraining"]["cpu_seconds"] == pytest.approx(seconds)
    held_back = {r.experiment.model for r in records if r.experiment.options == {"hold_back": 0.1}}
    assert held_back == {"mmkd", "teacher"}


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_leaves_nothing_new_or_nothing_old_is_refused(share, tmp_path):
    with pytest.raises(ValueError, match=f"share={share}; expected more than 0 and less than 1"):
        incremental(tmp_path, system=experiment("lightgcn"), share=share)


def test_on_the_demo_every_time_is_there_and_positive(tmp_path):
    system = plan("lightgcn", "demo", fit={"epochs": 1, "evaluate_every": 1})
    values = find_or_take(Measurement.of(incremental, system=system, epochs=1), incremental, tmp_path).values
    for clock in ("ms", "cpu_ms"):
        assert set(values[clock]) == {"epoch", "tables", "ranking"}
        assert min(values[clock].values()) > 0
    share = values["interactions"]["new"] / sum(values["interactions"][part] for part in ("old", "new"))
    assert share == pytest.approx(0.1, abs=0.01)
