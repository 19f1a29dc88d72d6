"""Differences between systems, tested in pairs over users and over seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_records import system
from scipy import stats

from mmkd_core.evidence.compare import (
    ALPHA,
    CAPPED,
    Comparison,
    against_each,
    compare,
    compare_all,
    difference_text,
    holm,
    p_in_words,
    rejection_levels,
)


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
    assert found.by_seed == pytest.approx((one["recall@20"] - other["recall@20"].iloc[0]).tolist())
    back = compare(other, one)
    assert back is not None
    assert back.by_seed == pytest.approx((other["recall@20"].iloc[0] - one["recall@20"]).tolist())


def test_swapping_the_systems_swaps_the_sign(tmp_path):
    one, other = system(tmp_path, "one", 0.6, (0, 1)), system(tmp_path, "other", 0.5, (0, 1))
    there, back = compare(one, other), compare(other, one)
    assert there is not None
    assert back is not None
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p_users == pytest.approx(there.p_users)


def power(p_values, place, comparison, draws=4000):
    """How often the test at `place` of a family finds its detectable effect, the p-values of the others as given."""
    rng = np.random.default_rng(0)
    sample = rng.normal(comparison.detectable, comparison.error * comparison.users**0.5, (draws, comparison.users))
    own = stats.ttest_1samp(sample, 0.0, axis=1).pvalue
    found = (holm([*p_values[:place], p, *p_values[place + 1 :]])[place] < ALPHA for p in own)
    return sum(found) / draws


@pytest.mark.parametrize(
    "p_values",
    [[0.5], [0.5] * 14, [0.5, 1e-9, 1e-7, 0.02, 0.9], [0.5, 0.01], [0.5] * 7 + [1e-8] * 7],
    ids=["alone", "fourteen, no other found", "five, two others found", "two", "fourteen, half of them found"],
)
def test_the_detectable_effect_is_found_four_times_in_five_by_the_test_as_used(p_values):
    """Normal differences whose mean is the detectable effect, corrected by Holm with the rest of the family."""
    level = rejection_levels(p_values)[0]
    alone = Comparison(0.0, 0.0, 0.0, p_values[0], error=0.01, users=60, level=level, family=len(p_values))
    assert power(p_values, 0, alone) == pytest.approx(0.8, abs=0.025)


@given(st.lists(st.floats(1e-12, 1), min_size=1, max_size=9))
def test_a_test_is_rejected_where_its_p_is_below_its_level(p_values):
    found = [p < ALPHA for p in holm(p_values)]
    assert found == [p < level for p, level in zip(p_values, rejection_levels(p_values), strict=True)]


def test_a_family_is_counted_and_said_beside_p(tmp_path):
    rates = {"ours": 0.6, "near": 0.57, "far": 0.3, "cut": 0.3}
    rows = pd.concat([system(tmp_path, name, rate, (0, 1), capped=name == "cut") for name, rate in rates.items()])
    found = compare_all(against_each(rows, "system", "ours"))
    assert {name: c.family for name, c in found.items()} == {"near": 2, "far": 2, "cut": 1}
    assert difference_text(found["near"])[1].endswith(" of 2")
    assert p_in_words(0.0412, 14) == "p = 0.041 of 14"
    assert p_in_words(0.00001, 14) == "p < .001 of 14"


@pytest.mark.parametrize("capped", ["one", "other"])
def test_a_capped_run_on_either_side_decides_nothing(tmp_path, capped):
    one, other = (
        system(tmp_path, name, rate, (0, 1), capped=name == capped) for name, rate in (("one", 0.9), ("other", 0.1))
    )
    found = compare(one, other)
    assert found is not None
    assert (found.sign, difference_text(found)[1], found.p_phrase) == (CAPPED, CAPPED, CAPPED)
    assert found.difference > 0.5


def test_a_capped_run_of_a_seed_that_is_not_compared_is_of_no_account(tmp_path):
    one = pd.concat([system(tmp_path, "one", 0.9, (0, 1)), system(tmp_path, "one", 0.9, (2,), capped=True)])
    found = compare(one, system(tmp_path, "other", 0.1, (0, 1)))
    assert found is not None
    assert found.sign == "+"


def test_relative_differences_are_over_common_seeds(tmp_path):
    """Two lucky seeds that the other system lacks do not count."""
    one = pd.concat([system(tmp_path, "one", 0.5, (0,)), system(tmp_path, "one", 0.95, (1, 2))])
    other = system(tmp_path, "other", 0.4, (0,))
    found = compare(one, other)
    assert found is not None
    assert found.relative == pytest.approx(one["recall@20"].iloc[0] / other["recall@20"].iloc[0] - 1)


@pytest.mark.parametrize(("share", "expected"), [(0.0, "+"), (0.2, "+"), (0.5, "0"), (0.8, "-"), (-0.2, "+")], ids=str)
def test_a_limit_moves_what_is_better(tmp_path, share, expected):
    """Six hits in ten against four are half as much again."""
    one, other = system(tmp_path, "one", 0.6, (0, 1, 2)), system(tmp_path, "other", 0.4, (0, 1, 2))
    found = compare(one, other, share=share)
    assert found is not None
    assert found.limit == pytest.approx(share * other["recall@20"].mean())
    assert found.sign == expected
    users = [np.mean(np.stack(rows["draw"].tolist()).astype(float), axis=0) for rows in (one, other)]
    assert found.p_users == pytest.approx(stats.ttest_1samp(users[0] - users[1], found.limit).pvalue)
    outside = not found.low <= found.limit <= found.high
    assert outside == (found.p_users < ALPHA)  # the interval and the test say the same


def test_equal_systems_are_surely_within_a_limit(tmp_path):
    one = system(tmp_path, "one", 0.5, (0, 1))
    found = compare(one, one, share=-0.02)
    assert found is not None
    assert (found.sign, found.p_users) == ("+", 0.0)


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
    found = compare_all(against_each(rows, "system", "ours"))
    assert list(found) == ["near", "far", "silent"]
    assert found.pop("silent") is None
    alone = {name: compare(rows[rows["system"] == "ours"], rows[rows["system"] == name]) for name in found}
    assert [c.p_users for c in found.values()] == pytest.approx(holm([c.p_users for c in alone.values()]))
    assert [c.family for c in found.values()] == [2, 2]


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
