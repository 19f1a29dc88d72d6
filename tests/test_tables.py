"""Tables say what the records hold, and what was not run."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from made_up_records import system

from mmkd_core import MODELS
from mmkd_core.evidence import tables
from mmkd_core.evidence.cases import REAL
from mmkd_core.evidence.compare import Comparison, difference_text, signed
from mmkd_core.evidence.questions import TABLES, comparison, content
from mmkd_core.evidence.store import METRICS, Store

SYSTEMS = [  # of the paper's Table 4, the two that nothing trains, and MMKD's stages
    "Popularity", "ItemKNN", "BPR-MF", "NGCF", "LightGCN", "VBPR", "MMGCN", "GRCN", "LATTICE", "CLCRec", "SLMRec",
    "BM3", "MMKD's teacher", "MMKD",
]  # fmt: skip


def row(system, seed, value, dataset="tiktok", capped=False, **labels):
    known = value is not None
    return {
        "dataset": dataset, "system": system, "seed": seed, "model": system.lower(), **labels,
        "record": "file" if known else None, "capped": capped if known else None,
        **dict.fromkeys(METRICS, value if known else float("nan")),
    }  # fmt: skip


ROWS = pd.DataFrame(
    [
        row("LightGCN", 0, 0.25),
        row("LightGCN", 1, 0.75),
        row("BM3", 0, 0.125, capped=True),
        row("MMKD", 0, 0.625),
        row("MMKD", 1, 0.625),
        row("MMKD", 2, None),
        row("VBPR", 0, None),
        row("LightGCN", 0, 0.5, dataset="lfm2k"),
        row("MMKD", 0, None, dataset="lfm2k"),
    ]
)


def test_every_model_has_a_name():
    titles = [model.title for model in MODELS.values()]
    assert all(titles)
    assert len(set(titles)) == len(MODELS)


def test_a_line_is_mean_and_deviation_over_seeds():
    line = comparison.systems(ROWS, "tiktok", mark=False).loc["LightGCN"]
    assert line.tolist() == ["2", *["0.5000 ± 0.3536"] * 4]  # the root of (0.25^2 + 0.25^2) / 1


def test_one_seed_has_no_deviation_and_a_run_that_met_its_cap_is_marked():
    assert comparison.systems(ROWS, "tiktok").loc["BM3"].tolist() == ["1 †", *["0.1250"] * 4]


def test_what_was_not_run_says_so_in_whole_and_in_part_and_other_data_do_not_leak_in():
    table = comparison.systems(ROWS, "tiktok", mark=False)
    assert table.loc["VBPR"].tolist() == ["0", *["not run"] * 4]
    assert table.loc["MMKD", "seeds"] == "2 of 3"
    assert comparison.systems(ROWS, "lfm2k").loc["MMKD"].tolist() == ["0", *["not run"] * 4]


def test_the_best_and_the_second_best_are_marked_by_their_means():
    table = comparison.systems(ROWS, "tiktok")
    assert table.loc["MMKD", "Recall@20"] == "0.6250 ± 0.0000 ¹"
    assert table.loc["LightGCN", "NDCG@50"] == "0.5000 ± 0.3536 ²"
    assert table.loc["BM3", "Recall@20"] == "0.1250"


def test_an_overview_has_a_column_a_data_set():
    frame = comparison.overview(ROWS, "ndcg@50")
    assert list(frame) == ["TikTok", "LFM-2K"]
    assert frame.loc["LightGCN"].tolist() == ["0.5000 ± 0.3536 ²", "0.5000 ¹"]
    assert frame.loc["BM3"].tolist() == ["0.1250 †", "not run"]


def test_a_gain_is_over_the_best_system_that_is_no_part_of_mmkd(tmp_path):
    rates = {"MMKD": 0.5, "LightGCN": 0.4, "BM3": 0.2, "MMKD's teacher": 0.9}
    known = [system(tmp_path, name, rate, (0,)).assign(system=name, dataset="tiktok") for name, rate in rates.items()]
    ours, light, *_ = (rows["recall@20"].iloc[0] for rows in known)
    table = comparison.gains(pd.concat([*known, ROWS[ROWS["dataset"] == "lfm2k"].assign(hits=None)]))
    assert table.loc["TikTok", "Recall@20"] == f"+{100 * (ours / light - 1):.1f} % (LightGCN)"
    assert table.loc["LFM-2K"].tolist() == ["not run"] * 4


def test_a_capped_cell_is_marked_and_what_is_compared_with_it_too():
    assert tables.spread(ROWS[ROWS["dataset"] == "tiktok"], "system", "seed").loc["BM3", 0] == "0.1250 †"
    shown = content._changed("0.5000", Comparison(-0.01, -0.02, 0.0, 0.1, 0.02, 100, capped=True))
    assert shown == "0.5000 (-0.0100) †"


def test_a_difference_shows_its_interval_and_p():
    compared = Comparison(0.0123, -0.001, 0.0256, 0.0004, 0.02, 100, family=14)
    assert difference_text(compared) == ("+0.0123 [-0.0010, +0.0256]", "<.001 of 14")
    assert difference_text(replace(compared, capped=True)) == ("+0.0123 [-0.0010, +0.0256] †", "capped")


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(0.0123, 4, "+0.0123"), (-0.5, 2, "-0.50"), (-0.00004, 4, "0.0000"), (0.0, 4, "0.0000"), (0.004, 2, "0.00")],
)
def test_a_difference_that_rounds_to_zero_has_no_sign(value, digits, expected):
    assert signed(value, digits) == expected


def test_a_mean_that_rounds_to_zero_has_no_sign():
    assert tables.cell(pd.Series([-0.00001, -0.00003])) == "0.0000 ± 0.0000"


def test_table_4_has_the_published_figures_beside_tiktok_alone(tmp_path):
    frames = comparison.frames(comparison.cases(), Store(tmp_path))
    assert list(frames)[:3] == list(REAL)
    assert list(frames["tiktok"].index) == [*SYSTEMS, comparison.START]
    assert frames["tiktok"].loc["BM3", ["paper's Tiktok", "DiffMM"]].tolist() == ["0.0660/0.0225", "0.0957/0.0404"]
    assert frames["tiktok"].loc["Popularity", ["paper's Tiktok", "DiffMM"]].tolist() == ["", ""]
    assert frames["tiktok"].loc["MMKD", "paper's Tiktok"] == "0.0737/0.0258"
    assert "DiffMM" not in frames["lfm2k"]


def test_trials_are_completed_of_started(tmp_path):
    states = ["complete", "pruned", "complete", "pruned", "fail"]
    study = {"dataset": "lfm2k", "model": "lightgcn", "trials": [{"state": state} for state in states]}
    file = tmp_path / "searches" / "lfm2k-lightgcn.json"
    file.parent.mkdir()
    file.write_text(json.dumps(study))
    frame = comparison.trials(Store(tmp_path))
    assert frame.loc["LightGCN"].tolist() == ["none", "2 of 5", "none"]
    file.write_text("{}")
    with pytest.raises(ValueError, match=r"lfm2k-lightgcn.json: no study \(.*\); expected a file of benchmarks/search"):
        comparison.trials(Store(tmp_path))


def test_the_papers_table_4_is_whole():
    frame = comparison.printed_table4()
    assert frame.shape == (11, 3)
    assert frame.loc["LATTICE", "Electronics"] == "0.0340/0.0135"


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_any_record_is_all_planned_and_not_run(name, tmp_path):
    table = TABLES[name]
    frames = table.frames(table.cases(), Store(tmp_path))
    assert frames
    assert any((frame == "not run").any(axis=None) for frame in frames.values())


def test_numbered_is_myst_with_numbers_to_the_right():
    frame = pd.DataFrame({"recall": [0.25, 0.5], "count": [1, 2], "note": ["a", "b"]}, index=["x", "y"])
    assert tables.numbered(frame.rename_axis("model"), name="tab-a", caption="A caption.") == (
        ":::{table} A caption.\n:name: tab-a\n\n"
        "| model | recall | count | note |\n| --- | --: | --: | --- |\n"
        "| x | 0.2500 | 1 | a |\n| y | 0.5000 | 2 | b |\n:::"
    )


@pytest.mark.parametrize(
    ("column", "right"),
    [
        (["0.1051 ± 0.0015 ¹", "not run", ""], True),
        (["+0.0002 [-0.0013, +0.0018]", "–"], True),
        (["0.4178 (+0.0120)", "95.10 %", "<.001"], True),
        (["<.001 of 14", "0.041 of 3", "capped"], True),
        (["-0.0100 [-0.0200, 0.0000] †", "0.4178 (+0.0120) †"], True),
        ([1234567, 1], True),
        (["3 †", "5"], True),
        (["2,848.8 ± 3,075.6", "14.6 ± 0.4"], True),
        (["1 of 3", "2 of 3"], False),
        (["not run", ""], False),
        (["better", "0.1"], False),
    ],
)
def test_a_column_of_numbers_is_one_whatever_stands_beside_them(column, right):
    ruler, *body = tables.markdown(pd.DataFrame({"a": column})).splitlines()[1:]
    assert ruler == ("| --- | --: |" if right else "| --- | --- |")
    if column[0] == 1234567:
        assert body[0] == "| 0 | 1,234,567 |"
