"""Tables say what the records hold, and what was not run."""

import pandas as pd
import pytest

from mmkd_core import MODELS, tables
from mmkd_core.results import METRICS
from mmkd_core.tables import NAMES


def row(model, seed, value, dataset="tiktok", capped=False, **switches):
    usual = {"student": None, "init": None, "prompt_mode": None} | switches
    return {
        "dataset": dataset,
        "model": model,
        "seed": seed,
        "capped": capped,
        **usual,
        **dict.fromkeys(METRICS, value),
    }


USUAL = {"student": "lightgcn", "init": "teacher", "prompt_mode": "kd"}
ROWS = pd.DataFrame(
    [
        row("lightgcn", 0, 0.25),
        row("lightgcn", 1, 0.75),
        row("bm3", 0, 0.125, capped=True),
        row("mmkd", 0, 0.5, **USUAL),
        row("mmkd", 0, 0.625, **(USUAL | {"init": "random"})),
        row("vbpr", 0, 0.5, dataset="lfm2k"),
    ]
)


def test_every_model_has_a_name():
    assert list(NAMES) == list(MODELS)


def test_a_line_is_mean_and_deviation_over_seeds():
    line = tables.systems(ROWS, "tiktok").loc["LightGCN"]
    assert line.tolist() == ["2", *["0.5000 ± 0.3536"] * 4]  # the root of (0.25^2 + 0.25^2) / 1


def test_one_seed_has_no_deviation_and_a_run_that_met_its_cap_is_marked():
    assert tables.systems(ROWS, "tiktok").loc["BM3"].tolist() == ["1 †", *["0.1250"] * 4]


def test_what_was_not_run_says_so_and_other_data_do_not_leak_in():
    assert tables.systems(ROWS, "tiktok").loc["VBPR"].tolist() == ["0", *["not run"] * 4]
    assert tables.systems(ROWS, "lfm2k").loc["VBPR"].tolist() == ["1", *["0.5000"] * 4]


def test_mmkd_with_another_switch_is_a_line_of_its_own():
    frame = tables.systems(ROWS, "tiktok")
    assert [name for name in frame.index if name.startswith("MMKD")] == ["MMKD's teacher", "MMKD (random)", "MMKD"]
    assert frame.loc["MMKD (random)", "Recall@20"] == "0.6250"


def test_an_overview_has_a_column_a_data_set():
    frame = tables.overview(ROWS, "NDCG@50")
    assert list(frame) == tables.recorded(ROWS) == ["tiktok", "lfm2k"]
    assert frame.loc["LightGCN"].tolist() == ["0.5000 ± 0.3536", "not run"]
    assert frame.loc["BM3"].tolist() == ["0.1250 †", "not run"]
    assert frame.loc["MMKD (random)"].tolist() == ["0.6250", "not run"]


def test_table_4_has_the_published_figures_beside_tiktok_alone():
    frame = tables.table4(ROWS, "tiktok")
    assert frame.loc["BM3", ["paper's Tiktok", "DiffMM"]].tolist() == ["0.0660/0.0225", "0.0957/0.0404"]
    assert frame.loc["Popularity", ["paper's Tiktok", "DiffMM"]].tolist() == ["", ""]
    assert frame.loc["MMKD", "paper's Tiktok"] == "0.0737/0.0258"
    assert tables.table4(ROWS, "lfm2k").equals(tables.systems(ROWS, "lfm2k"))


def test_the_papers_table_4_is_whole():
    frame = tables.printed_table4()
    assert frame.shape == (11, 12)
    assert frame.loc["LATTICE", ("Electronics", "N@50")] == pytest.approx(0.0184)


def test_numbered_is_myst_with_numbers_to_the_right():
    frame = pd.DataFrame({"recall": [0.25, 0.5], "count": [1, 2], "note": ["a", "b"]}, index=["x", "y"])
    assert tables.numbered(frame.rename_axis("model"), name="tab-a", caption="A caption.") == (
        ":::{table} A caption.\n:name: tab-a\n\n"
        "| model | recall | count | note |\n| --- | --: | --: | --- |\n"
        "| x | 0.2500 | 1 | a |\n| y | 0.5000 | 2 | b |\n:::"
    )
