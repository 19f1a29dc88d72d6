"""The paper's numbers were copied rightly: what its prose says about them can be computed from them."""

from pathlib import Path

import pytest

from mmkd_core.evidence import paper
from mmkd_core.evidence.ledger import claims
from mmkd_core.evidence.questions import incremental

CHAPTER = Path(__file__).parents[1] / "notebooks" / "comparison.md"


@pytest.mark.parametrize(("dataset", "gain"), [("Netflix", 9.75), ("Tiktok", 13.26), ("Electronics", 11.79)])
def test_gain_over_the_best_baseline_in_ndcg_at_50_is_what_sec_4_2_says(dataset, gain):
    column = {model: values[paper.METRICS.index("ndcg@50")] for model, values in paper.TABLE_4[dataset].items()}
    ours = column.pop("mmkd")
    assert 100 * (ours / max(column.values()) - 1) == pytest.approx(gain, abs=0.005)


def test_the_gain_that_the_claim_names_is_the_least_of_these():
    assert paper.TEXT["gain"] == min(9.75, 13.26, 11.79)
    assert f" {paper.TEXT['gain']} % " in claims()["margin"].says


def test_the_gains_in_recall_at_20_are_those_that_the_chapter_on_the_comparison_names():
    columns = [{model: values[0] for model, values in table.items()} for table in paper.TABLE_4.values()]
    gains = [100 * (column.pop("mmkd") / max(column.values()) - 1) for column in columns]
    assert f"{min(gains):.1f} to {max(gains):.1f} %" == "3.5 to 9.2 %"
    assert CHAPTER.read_text(encoding="utf-8").count("3.5 to 9.2 %") == 2


@pytest.mark.parametrize("dataset", paper.TABLE_4)
def test_mmkd_is_the_papers_best_in_every_column(dataset):
    for column in zip(*paper.TABLE_4[dataset].values(), strict=True):
        assert max(column) == column[-1]


def test_a_longer_list_finds_more():
    for systems in paper.TABLE_4.values():
        for recall20, ndcg20, recall50, ndcg50 in systems.values():
            assert ndcg20 < recall20 < recall50
            assert ndcg20 < ndcg50 < recall50


def test_a_printed_number_keeps_its_digits_and_computes():
    times = [str(line[2]) for line in paper.TABLE_7.values()]
    assert times == ["1,605.26", "790.0", "482.5"]
    assert [str(line.ratio) for line in paper.TABLE_6["Electronics"].values()] == ["-", "99.34", "99.34", "2.70"]
    assert paper.TABLE_7["lattice"][2] / 2 == 802.63
    assert incremental.printed_table7().loc["LATTICE"].tolist() == ["0.1210", "0.0487", "1,605.26 ms"]
