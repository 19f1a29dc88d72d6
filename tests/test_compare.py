"""Differences between systems, tested in pairs over users and over seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_records import system
from scipy import stats

from mmkd_core.claims.rules import by_seed
from mmkd_core.results import against, compare, holm


def test_the_difference_is_that_of_the_means_and_p_that_of_scipy_over_user_means(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1, 2)), system(tmp_path, "other", 0.5, (0, 1, 2))
    found = compare(one, other)
    assert found is not None
    users = [np.mean(np.stack(rows["draw"].tolist()).astype(float), axis=0) for rows in (one, other)]
    assert found.difference == pytest.approx(one["recall@20"].mean() - other["recall@20"].mean())
    assert found.p_users == pytest.approx(stats.ttest_rel(*users).pvalue)
    assert found.low < found.difference < found.high
    assert found.users == 200


def test_p_over_seeds_is_that_of_scipy_over_the_means_of_common_seeds(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1, 2, 3)), system(tmp_path, "other", 0.5, (1, 2, 3, 7))
    found = compare(one, other)
    assert found is not None
    means = [rows.set_index("seed")["recall@20"].loc[[1, 2, 3]] for rows in (one, other)]
    assert found.p_seeds == pytest.approx(stats.ttest_rel(*means).pvalue)


def test_only_seeds_that_both_have_are_compared(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1, 2)), system(tmp_path, "other", 0.6, (1,))
    assert one["recall@20"].nunique() > 1  # the other has a seed of its own luck
    found = compare(one, other)
    assert found is not None
    assert found.difference == 0


def test_a_system_without_chance_is_compared_with_every_seed(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1, 2)), system(tmp_path, "popularity", 0.5, (0,))
    found = compare(one, other)
    assert found is not None
    assert found.difference == pytest.approx(one["recall@20"].mean() - other["recall@20"].mean())
    assert by_seed(one, other, "recall@20") == pytest.approx((one["recall@20"] - other["recall@20"].iloc[0]).tolist())
    assert by_seed(other, one, "recall@20") == pytest.approx((other["recall@20"].iloc[0] - one["recall@20"]).tolist())


def test_swapping_the_systems_swaps_the_sign(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1)), system(tmp_path, "other", 0.5, (0, 1))
    there, back = compare(one, other), compare(other, one)
    assert there is not None
    assert back is not None
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p_users == pytest.approx(there.p_users)


def test_the_detectable_effect_is_found_four_times_in_five():
    """Normal differences whose mean is the detectable effect, 2,000 times: the test at 5 % finds about 80 %."""
    rng = np.random.default_rng(0)
    error = 1 / 50**0.5
    effect = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error
    draws = rng.normal(effect, 1.0, size=(2000, 50))
    assert (stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.04)


def test_equal_systems_differ_by_nothing(tmp_path):
    one = system(tmp_path, "one", 0.5, (0, 1))
    found = compare(one, one)
    assert found is not None
    assert (found.difference, found.p_users, found.detectable) == (0.0, 1.0, 0.0)


def test_without_hits_there_is_no_comparison(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0,)), system(tmp_path, "other", 0.5, (0,))
    assert compare(one, other.assign(hits=None)) is None
    assert compare(one, other.iloc[:0]) is None


def test_one_common_seed_gives_no_p_over_seeds(tmp_path):
    found = compare(system(tmp_path, "one", 0.6, (0, 1)), system(tmp_path, "other", 0.5, (1, 2)))
    assert found is not None
    assert found.p_seeds is None


def test_one_against_all_is_corrected_over_those_that_can_be_compared(tmp_path):
    rows = pd.concat(
        [
            system(tmp_path, "ours", 0.6, (0,)),
            system(tmp_path, "near", 0.57, (0,)),
            system(tmp_path, "far", 0.3, (0,)),
            system(tmp_path, "silent", 0.3, (0,)).assign(hits=None),
        ]
    )
    found = against(rows, "system", "ours")
    assert list(found) == ["near", "far"]
    alone = {name: compare(rows[rows["system"] == "ours"], rows[rows["system"] == name]) for name in found}
    assert [c.p_users for c in found.values()] == pytest.approx(holm([c.p_users for c in alone.values()]))


def test_holm_by_hand():
    """Holm (1979): the smallest times m, the next times m - 1, ..., none smaller than one before it, at most 1."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    corrected = holm(p_values)
    assert all(raw <= new + 1e-15 <= 1 + 1e-12 for raw, new in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.asarray(corrected)[order]) >= 0)
