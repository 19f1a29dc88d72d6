"""The paper's numbers were copied rightly: what its prose says about them can be computed from them."""

import pytest

from mmkd_core.evidence import paper
from mmkd_core.evidence.questions import incremental


@pytest.mark.parametrize(("dataset", "gain"), [("Netflix", 9.75), ("Tiktok", 13.26), ("Electronics", 11.79)])
def test_gain_over_the_best_baseline_in_ndcg_at_50_is_what_sec_4_2_says(dataset, gain):
    column = {model: values[paper.METRICS.index("ndcg@50")] for model, values in paper.TABLE_4[dataset].items()}
    ours = column.pop("mmkd")
    assert 100 * (ours / max(column.values()) - 1) == pytest.approx(gain, abs=0.005)


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
