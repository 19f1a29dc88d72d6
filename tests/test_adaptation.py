"""Tables of adaptation and of overfitting, and the picture of the gaps, from made-up measurements."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from mmkd_core.evidence.cases import Asked, Variant
from mmkd_core.evidence.measurement import MeasurementRecord
from mmkd_core.evidence.questions import comparison, hyperparameters, incremental, overfitting
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import flat

mpl.use("agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def keep(case, values, store):
    """Writes a result as `measure` would."""
    MeasurementRecord(case.job, values, {}, {}, {"fingerprint": "made up"}).save(store)


def adapted(stale, tuned, epochs):
    metrics = dict(zip(incremental.WAYS, (stale, stale, tuned, 0.5), strict=True))
    return {
        "metrics": {way: {"recall@20": value, "ndcg@20": value / 2} for way, value in metrics.items()},
        "best_epoch": epochs,
        "cpu_ms": {"epoch": 10.0, "tables": 2.0, "ranking": 3.0},
        "retraining": {"cpu_seconds": 40.0},
    }


def test_table_7_is_means_over_seeds_gains_are_of_one_seed_and_an_update_is_what_was_kept(tmp_path):
    cases = incremental.cases(["lfm2k"], [0, 1])
    ours = [case for case in cases if case.labels["system"] == "MMKD"]
    for case, values in zip(ours, (adapted(0.25, 0.5, 0), adapted(0.5, 0.75, 4)), strict=True):
        keep(case, values, tmp_path)
    frames = incremental.frames(cases, Store(tmp_path))
    line = frames["lfm2k: test metrics"].loc["MMKD"]
    assert line["seeds"] == "2"
    assert line["Recall@20, stale"] == "0.3750 ± 0.1768"
    assert line["gain"] == "+0.2500 ± 0.0000"
    assert line["NDCG@20, fine-tuned"] == "0.3125 ± 0.0884"
    times = frames["lfm2k: times"].loc["MMKD"]
    assert times["one epoch, all, ms"] == "15.0 ± 0.0"
    assert times["update, ms"] == "25.0 ± 28.3"  # 0 and 4 epochs of 10 ms, and 5 for tables and lists
    assert times["retraining, s"] == "40.0 ± 0.0"
    assert frames["lfm2k: test metrics"].loc["BM3"].tolist() == ["0", *["not run"] * 7]


def test_steps_are_differences_between_neighbouring_ways_of_one_seed(tmp_path):
    cases = incremental.cases(["lfm2k"], [0])
    for case in cases:
        keep(case, adapted(0.25, 0.375, 1), tmp_path)
    line = incremental.steps(flat(Store(tmp_path).taken(cases))).loc["BM3"]
    assert line.tolist() == ["1", "0.0000", "+0.1250", "+0.1250"]


def test_conclusions_name_who_is_best_and_fastest_once_all_were_measured(tmp_path):
    cases = incremental.cases(["lfm2k"], [0])
    found = {"LATTICE": (0.25, 9.0), "BM3": (0.125, 2.0), "MMKD": (0.375, 3.0), "LightGCN": (0.5, 1.0)}
    for case in cases[1:]:
        tuned, epoch = found[case.labels["system"]]
        values = adapted(0.25, tuned, 1)
        values["cpu_ms"]["epoch"] = epoch
        keep(case, values, tmp_path)
    assert incremental.conclusions(flat(Store(tmp_path).taken(cases))) == ["not run"]
    values = adapted(0.25, 0.25, 1)
    values["cpu_ms"]["epoch"] = 9.0
    keep(cases[0], values, tmp_path)
    best, fastest, helped = incremental.conclusions(flat(Store(tmp_path).taken(cases)))
    assert best.endswith(": LightGCN, MMKD, LATTICE, BM3")
    assert fastest.endswith(": LightGCN, BM3, MMKD, LATTICE")
    assert helped.endswith(": MMKD, LightGCN")


def test_the_papers_table_7_as_printed():
    frame = incremental.printed_table7()
    assert list(frame.index) == ["LATTICE", "BM3", "MMKD"]
    assert frame.loc["LATTICE"].tolist() == ["0.1210", "0.0487", "1,605.26 ms"]


def overfitted(auc, recall, end):
    row = {"train_auc": 0.9, "val_auc": 0.9 - auc, "train_bpr": 0.1, "val_bpr": 0.2}
    return {
        "best_epoch": 5,
        "recall@20": {"best": recall, "end": end, "fall": recall - end},
        "gap": {when: {"auc": auc, "bpr": 0.1} for when in ("start", "best", "end")},
        "curves": [{"epoch": epoch, "recall@20": r, **row} for epoch, r in ((0, 0.0), (5, recall), (10, end))],
    }


@pytest.fixture
def measured(tmp_path):
    cases = overfitting.cases(["lfm2k"], [0, 1])
    made = {"teacher": (0.25, 0.25), "teacher, no dropout": (0.5, 0.125), "student": (0.5, 0.125)}
    for case in cases:
        if case.labels["system"] in made:
            gap = made[case.labels["system"]][case.labels["seed"]]
            keep(case, overfitted(gap, 0.5, 0.375), tmp_path)
    return cases


def test_gaps_are_means_and_a_fall_is_in_per_cent_of_the_best(measured, tmp_path):
    table = overfitting.frames(measured, Store(tmp_path))["lfm2k: gaps"]
    assert table.loc["teacher, no dropout", "AUC gap, best"] == "0.3125 ± 0.2652"
    assert table.loc["teacher", "fall, %"] == "25.0 ± 0.0"
    assert table.loc["VBPR"].tolist() == ["0", *["not run"] * 8]


def test_a_pair_says_in_how_many_seeds_the_gap_is_as_the_paper_has_it(measured, tmp_path):
    pairs = overfitting.frames(measured, Store(tmp_path))["lfm2k: in pairs"]
    dropout = pairs.loc["dropout keeps it small"]
    assert dropout["which"] == "teacher, no dropout minus teacher"
    assert (dropout["AUC gap, best"], dropout["as said, best"]) == ("+0.06250 ± 0.26517", "1 of 2")
    student = pairs.loc["the student's is smaller"]
    assert (student["AUC gap, end"], student["as said, end"]) == ("-0.06250 ± 0.26517", "1 of 2")
    assert pairs.loc["content adds to the gap", "as said, best"] == "not run"


def test_every_pair_is_of_systems_that_are_measured():
    assert {name for pair in overfitting.PAIRS.values() for name in pair} <= set(overfitting.SYSTEMS)


def test_curves_are_means_over_seeds_and_the_picture_shades_the_gap(measured, tmp_path):
    curves = overfitting.curves(measured, Store(tmp_path), "lfm2k")
    assert list(curves) == list(overfitting.SYSTEMS)
    assert curves["VBPR"] is None
    assert curves["teacher, no dropout"]["val_auc"].tolist() == pytest.approx([0.5875] * 3)
    figure = overfitting.draw_gaps(curves)
    axes = {ax.get_title("left").replace("\n", " "): ax for ax in figure.axes if ax.get_title("left")}
    assert list(axes) == list(overfitting.SYSTEMS)
    teacher = axes["teacher"]
    train, val, star = teacher.lines
    assert train.get_ydata().tolist() == pytest.approx([0.9] * 3)
    assert val.get_ydata().tolist() == pytest.approx([0.65] * 3)
    assert star.get_xdata().tolist() == [5]
    (shade,) = teacher.collections
    assert shade.get_datalim(teacher.transData).height == pytest.approx(0.25)
    assert [text.get_text() for text in axes["VBPR"].texts] == ["not run"]


def test_a_picture_of_another_quantity_is_refused():
    with pytest.raises(ValueError, match=r"unknown quantity 'loss'; one of \['auc', 'bpr'\]"):
        overfitting.draw_gaps({"a": pd.DataFrame()}, "loss")


def test_the_teacher_without_content_has_the_teachers_settings():
    for dataset in ("tiktok", "lfm2k"):
        cases = {case.labels["system"]: case.job.arguments["system"] for case in overfitting.cases([dataset], [0])}
        bare, teacher = (cases[name] for name in (overfitting.NO_CONTENT, "teacher"))
        assert bare.model == "lightgcn"
        assert {name: teacher.hparams[name] for name in bare.hparams} == bare.hparams
        assert (bare.fit.lr, bare.fit.batch_size, bare.fit.epochs) == (teacher.fit.lr, teacher.fit.batch_size, 200)


def test_long_trainings_are_of_the_system_alone_its_teacher_is_trained_as_ever():
    cases = overfitting.cases(["lfm2k"], [1])
    student = next(case.job.arguments["system"] for case in cases if case.labels["system"] == "student")
    assert student.teacher == Asked(earlier=True).planned("lfm2k", 1, Variant()).teacher


def test_table_7_retrains_what_table_4_or_figure_4_holds():
    held = {case.job.canonical for case in (*comparison.cases(), *hyperparameters.cases())}
    assert {case.job.arguments["system"].canonical for case in incremental.cases()} <= held
