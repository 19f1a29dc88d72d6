"""What comes after training, choices or items, and what serves it; and rows of items that nobody chose."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mmkd_core.datasets import controlled
from mmkd_core.evaluation import evaluate
from mmkd_core.evidence.questions import cold_items as cold_module
from mmkd_core.evidence.questions import refresh as module
from mmkd_core.evidence.questions.cold_items import cold_items
from mmkd_core.evidence.questions.refresh import LATER, WAYS, new_items, refreshed
from mmkd_core.experiment import Experiment, Record
from mmkd_core.runs import trained
from mmkd_core.training import FitConfig

SHORT = FitConfig(epochs=2, batch_size=64, lr=1e-2, evaluate_every=1)
SYSTEM = Experiment("toy", "bpr-mf", 0, {"dim": 8}, SHORT)


@pytest.fixture(scope="module")
def whole(make_data):
    return make_data(30, 60)


@pytest.fixture
def _toy(whole, monkeypatch):
    for one in (module, cold_module):
        monkeypatch.setattr(one, "load", lambda name, **options: controlled(whole, **options))


@pytest.mark.usefixtures("_toy")
@pytest.mark.parametrize("new", LATER)
def test_the_ways_are_measured_on_the_whole_data_after_a_training_without_what_is_new(new, whole, tmp_path):
    values = refreshed(tmp_path, system=SYSTEM, new=new)
    assert set(values["metrics"]) == set(WAYS)
    old = controlled(whole, **LATER[new])
    assert values["interactions"] == {"old": len(old.train), "new": len(whole.train) - len(old.train)}
    before = replace(SYSTEM, options=LATER[new])
    stale = evaluate(trained(before, tmp_path, old)[0].embed(), whole, "test", (20,))["recall@20"].mean()
    assert values["metrics"]["stale"]["recall@20"] == pytest.approx(float(stale))
    (again,) = (r for r in map(Record.read, tmp_path.glob("*/*/*.json")) if not r.experiment.options)
    assert values["metrics"]["retrained"]["recall@20"] == again.metrics["recall@20"]
    assert values["cpu_seconds"]["retraining"] == again.cost["cpu_seconds"]
    assert ("new_items" in values) == (new == "items")
    assert all(0 < values["validation"][way]["recall@20"] < 1 for way in ("stale", "folded in", "refreshed"))


def test_new_items_are_those_that_nobody_had_chosen(whole):
    old = controlled(whole, cold=0.1)
    later = {item for _, item in new_items(old, whole).tolist()}
    assert later
    assert not later & set(old.train[:, 1].tolist())


@pytest.mark.usefixtures("_toy")
def test_among_held_out_items_those_alone_are_ranked(whole, tmp_path):
    system = replace(SYSTEM, options={"cold": 0.4})
    found = {rows: cold_items(tmp_path, system=system, rows=rows) for rows in ("content", "own", "popularity")}
    data = controlled(whole, cold=0.4)
    held = data.test[:, 1].unique()
    assert found["own"]["held_out"] == {"items": len(held), "interactions": len(data.test)}
    users, items = trained(system, tmp_path, data)[0].embed()
    hits = []
    for user in data.test[:, 0].unique():
        wanted = data.test[data.test[:, 0] == user, 1]
        best = held[(items[held] @ users[user]).topk(20).indices]
        hits.append(float(torch.isin(wanted, best).float().mean()))
    assert found["own"]["among"]["recall@20"] == pytest.approx(np.mean(hits))
    assert found["popularity"]["all"]["recall@20"] <= found["popularity"]["among"]["recall@20"]
    assert found["content"] != found["own"]


def test_what_cannot_be_measured_is_refused(tmp_path):
    with pytest.raises(ValueError, match="new='users'; expected one of"):
        refreshed(tmp_path, system=SYSTEM, new="users")
    with pytest.raises(ValueError, match="rows='mean'"):
        cold_items(tmp_path, system=replace(SYSTEM, options={"cold": 0.1}), rows="mean")
    with pytest.raises(ValueError, match="a share that is cold"):
        cold_items(tmp_path, system=SYSTEM, rows="own")
