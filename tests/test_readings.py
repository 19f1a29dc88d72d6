"""What a pair of systems is said to show, on made-up records whose truth is known."""

import pandas as pd
import pytest
from made_up_records import system

from mmkd_core.evidence.compare import against_each, compare, compare_all, compare_table, sentences

SEEDS = (0, 1, 2)


@pytest.fixture
def rows(tmp_path):
    """MMKD hits six times in ten, Good eight, Bad four, Near about as often; Old kept no hits, New was not run."""
    rates = {"MMKD": 0.6, "Good": 0.8, "Bad": 0.4, "Near": 0.605, "Old": 0.5, "New": 0.5}
    frames = {name: system(tmp_path, name, rate, SEEDS).assign(system=name) for name, rate in rates.items()}
    frames["Near"] = system(tmp_path, "Near", rates["Near"], (5, 6, 7)).assign(system="Near", seed=SEEDS)
    frames["Old"] = frames["Old"].assign(hits=None)
    frames["New"] = frames["New"].assign(hits=None, record=None)
    return pd.concat(frames.values())


def test_each_other_system_is_paired_with_the_one(rows):
    pairs = against_each(rows, "system", "MMKD")
    assert list(pairs) == ["Good", "Bad", "Near", "Old", "New"]
    assert all(
        set(one["system"]) == {"MMKD"} and set(other["system"]) == {name} for name, (one, other) in pairs.items()
    )


def test_readings_follow_the_rule_and_say_what_is_missing(rows):
    frame = compare_table(against_each(rows, "system", "MMKD"))
    assert frame["reading"].to_dict() == {
        "Good": "worse", "Bad": "better", "Near": "not told apart", "Old": "not paired", "New": "not run",
    }  # fmt: skip
    assert frame.loc[["Old", "New"], ["difference", "p", "p over seeds", "detectable"]].eq("").all(axis=None)


def test_the_numbers_are_those_of_the_comparison_and_p_is_corrected_over_the_lines(rows):
    pairs = against_each(rows, "system", "MMKD")
    frame, corrected = compare_table(pairs), compare_all(pairs)
    alone = compare(*pairs["Near"])
    assert alone is not None
    assert frame.loc["Near", "difference"] == f"{alone.difference:+.4f} [{alone.low:+.4f}, {alone.high:+.4f}]"
    assert frame.loc["Near", "detectable"] == f"{corrected['Near'].detectable:.4f}"
    p, family = frame.loc["Near", "p"].split(" of ")
    assert (float(p), int(family)) == (pytest.approx(corrected["Near"].p_users, abs=5e-4), 3)
    assert compare_all({"alone": pairs["Near"]}) == {"alone": alone}  # a family of one is not corrected


def test_one_seed_has_no_p_over_seeds(tmp_path):
    one, other = (system(tmp_path, name, rate, (0,)) for name, rate in (("one", 0.6), ("other", 0.4)))
    frame = compare_table({"a pair": (one, other)})
    assert frame.loc["a pair", ["p over seeds", "reading"]].tolist() == ["", "one seed so far"]
    assert sentences(frame, "MMKD") == ["MMKD is compared in one seed so far with a pair"]


def test_seeds_that_disagree_are_not_called_equal(tmp_path):
    steady = system(tmp_path, "steady", 0.5, SEEDS)
    lucky = pd.concat([system(tmp_path, "lucky", 0.9, SEEDS[:2]), system(tmp_path, "lucky", 0.4, SEEDS[2:])])
    frame = compare_table({"steady": (lucky, steady)})
    assert frame.loc["steady", "p"] == "<.001 of 1"
    assert frame.loc["steady", "reading"] == "seeds disagree"
    assert sentences(frame, "lucky") == ["lucky differs, but not the same way in every seed, from steady"]


def test_a_capped_run_decides_nothing_and_is_not_counted_among_the_tests(rows):
    rows = rows.assign(capped=rows["system"] == "Good")
    frame = compare_table(against_each(rows, "system", "MMKD"))
    assert frame.loc["Good", ["reading", "p", "p over seeds", "detectable"]].tolist() == ["capped", "capped", "", ""]
    assert frame.loc["Good", "difference"].endswith("] †")
    assert frame.loc["Bad", "p"] == "<.001 of 2"
    assert "not decided, a run having ended at its cap of epochs: MMKD and Good" in sentences(frame, "MMKD")


def test_a_system_is_identical_with_itself(rows):
    one = rows[rows["system"] == "MMKD"]
    frame = compare_table({"itself": (one, one)})
    assert frame.loc["itself", ["difference", "reading"]].tolist() == ["0.0000 [0.0000, 0.0000]", "identical"]
    assert sentences(frame, "MMKD") == ["MMKD has every hit in common with itself"]


def test_sentences_name_every_system_once(rows):
    assert sentences(compare_table(against_each(rows, "system", "MMKD")), "MMKD") == [
        "MMKD is better than Bad",
        "MMKD is worse than Good",
        "MMKD is not told apart from Near",
        "ran, but not comparable user by user: Old",
        "not run: New",
    ]
