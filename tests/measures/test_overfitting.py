"""The gap between pairs trained on and pairs held out: what is asked, and what an answer means."""

import math
from dataclasses import replace

import pytest
import torch

from mmkd_core.evidence.measurement import Measurement, find_or_take
from mmkd_core.evidence.questions import overfitting as module
from mmkd_core.evidence.questions.overfitting import ask, draw_probe, gap, overfitting, watch
from mmkd_core.experiment import Experiment, plan
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.runs import trained
from mmkd_core.training import FitConfig, fit

SHORT = FitConfig(epochs=6, batch_size=64, lr=1e-2, evaluate_every=2, patience=1)


class Known:
    """Scores 1 for the given pairs and 0 for all others."""

    device = torch.device("cpu")

    def __init__(self, data, *edges):
        self.table = torch.zeros(data.num_users, data.num_items)
        for users, items in (pairs.T for pairs in edges):
            self.table[users, items] = 1.0

    def scores(self, users):
        return self.table[users]


@pytest.fixture(scope="module")
def probe(data):
    return draw_probe(data, 20)


def test_a_probe_asks_about_users_with_both_kinds_of_pairs_and_items_outside_both(data, probe):
    known = {split: {*map(tuple, getattr(data, split).tolist())} for split in ("train", "val")}
    both = {u for u, _ in known["train"]} & {u for u, _ in known["val"]}
    assert probe.users.tolist() == sorted(both)
    assert probe.neg.shape == (len(both), 20)
    for user, items in zip(probe.users.tolist(), probe.neg.tolist(), strict=True):
        assert not {(user, item) for item in items} & (known["train"] | known["val"])
    for split, pairs in probe.pairs.items():
        asked = {(int(probe.users[place]), item) for place, item in pairs.tolist()}
        assert asked == {(u, i) for u, i in known[split] if u in both}


def test_a_probe_is_the_same_every_time_and_knows_no_test(data, probe):
    again = draw_probe(replace(data, test=data.test[:1]), 20)
    assert torch.equal(again.users, probe.users)
    assert torch.equal(again.neg, probe.neg)


def test_answers_follow_the_equations(data, probe):
    table = torch.randn(data.num_users, data.num_items).round(decimals=1)  # with ties
    scorer = Known(data)
    scorer.table = table
    expected = {}
    for split, pairs in probe.pairs.items():
        by_user = {}
        for place, item in pairs.tolist():
            user = int(probe.users[place])
            margins = [float(table[user, item] - table[user, j]) for j in probe.neg[place].tolist()]
            bpr = sum(math.log1p(math.exp(-m)) for m in margins) / len(margins)
            auc = sum((m > 0) + 0.5 * (m == 0) for m in margins) / len(margins)
            by_user.setdefault(user, []).append((bpr, auc))
        means = [[sum(column) / len(column) for column in zip(*values, strict=True)] for values in by_user.values()]
        expected[f"{split}_bpr"], expected[f"{split}_auc"] = (sum(c) / len(c) for c in zip(*means, strict=True))
    assert ask(scorer, probe) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("knows", "train_auc", "val_auc"), [((), 0.5, 0.5), (("train",), 1.0, 0.5), (("train", "val"), 1.0, 1.0)]
)
def test_only_what_is_known_of_one_kind_alone_makes_a_gap(knows, train_auc, val_auc, data, probe):
    answers = ask(Known(data, *(getattr(data, split) for split in knows)), probe)
    assert (answers["train_auc"], answers["val_auc"]) == (train_auc, val_auc)
    assert gap(answers)["auc"] == train_auc - val_auc
    bpr = {0.5: math.log(2), 1.0: math.log1p(math.exp(-1))}
    assert gap(answers)["bpr"] == pytest.approx(bpr[val_auc] - bpr[train_auc], abs=1e-6)


def test_a_model_that_memorises_noise_has_a_larger_gap_than_one_that_is_held_back(data, probe):
    gaps = []
    for l2 in (0.0, 0.3):
        torch.manual_seed(0)
        model = BPRMF(data, dim=32, l2=l2)
        # fit returns to the best epoch, so the gap is read where training ends
        last = []
        fit(
            model, data, FitConfig(epochs=60, lr=3e-2, patience=100, evaluate_every=60),
            on_epoch=lambda *_, model=model, last=last: last.append(gap(ask(model.embed(), probe))["auc"]),
        )  # fmt: skip
        gaps.append(last[-1])
    assert gaps[0] > gaps[1] + 0.1


@pytest.mark.parametrize("model", ["bpr-mf", "mmkd"])
def test_being_asked_does_not_change_a_training_and_nothing_stops_it(model, make_data, tmp_path):
    data = make_data(30, 60)
    teacher = Experiment("toy", "teacher", 0, {"dim": 8}, SHORT) if model == "mmkd" else None
    system = Experiment("toy", model, 0, {"dim": 8}, SHORT, teacher)
    rows, best_epoch = watch(system, tmp_path, data, draw_probe(data, 10))
    assert [row["epoch"] for row in rows] == [0, 2, 4, 6]
    patient = replace(system, fit=replace(SHORT, patience=9))
    _, record = trained(patient, tmp_path, data)
    assert record.history["best_epoch"] == best_epoch
    expected = [row["recall@20"] for row in record.history["validation"]]
    assert [row["recall@20"] for row in rows] == pytest.approx(expected, abs=1e-6)


def test_what_is_reported_is_read_off_the_curves(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load", lambda name, **options: data)
    values = overfitting(tmp_path, system=Experiment("toy", "bpr-mf", 0, {"dim": 8}, SHORT), negatives=10)
    rows = {row["epoch"]: row for row in values["curves"]}
    recall = {epoch: row["recall@20"] for epoch, row in rows.items()}
    assert recall[values["best_epoch"]] == max(recall.values()) == values["recall@20"]["best"]
    assert values["recall@20"]["fall"] == pytest.approx(values["recall@20"]["best"] - recall[6], abs=1e-6)
    assert values["gap"] == {"start": gap(rows[0]), "best": gap(rows[values["best_epoch"]]), "end": gap(rows[6])}
    assert values["cold"] == pytest.approx(1 / len(data.val))  # the last item, which no one trained on


def test_a_gap_is_worse_the_larger_in_both_quantities():
    row = {"train_bpr": 0.2, "val_bpr": 0.5, "train_auc": 0.9, "val_auc": 0.7}
    assert gap(row) == pytest.approx({"bpr": 0.3, "auc": 0.2})


def test_on_the_demo_a_second_time_reads_what_was_measured(tmp_path, monkeypatch):
    system = plan("lightgcn", "demo", fit={"epochs": 1, "evaluate_every": 1})
    measurement = Measurement.of(overfitting, system=system)
    first = find_or_take(measurement, overfitting, tmp_path)
    assert [row["epoch"] for row in first.values["curves"]] == [0, 1]
    assert first.values["gap"]["end"]["auc"] > 0.1  # training pairs are edges of the graph
    monkeypatch.setattr(module, "fit", None)
    assert find_or_take(measurement, overfitting, tmp_path) == first
