"""The rules that turn records into verdicts, on made-up records whose truth is known."""

import json
import shutil
from operator import itemgetter
from pathlib import Path

import pandas as pd
import pytest
from made_up_records import system

from mmkd_core.evidence.cases import Asked, Variant, earlier
from mmkd_core.evidence.compare import NOT_RUN, Comparison
from mmkd_core.evidence.effort import behind, studies
from mmkd_core.evidence.ledger import OURS, challenge_file, claims, judged, page, summary
from mmkd_core.evidence.question import NOTES, SAID
from mmkd_core.evidence.questions import QUESTIONS, ablations, comparison, complexity, consumption, demo, overfitting
from mmkd_core.evidence.questions.comparison import (
    GENERAL_TITLES,
    MMKD,
    MULTIMODAL_TITLES,
    gains,
    most_pairs,
    ranks_move_more,
)
from mmkd_core.evidence.questions.hyperparameters import cases as settings
from mmkd_core.evidence.questions.hyperparameters import equal_is_best, grows, matters, saturates
from mmkd_core.evidence.questions.tsne import more_mixed
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.verdicts import VERDICTS, better, every_seed, untestable, verdict, within
from mmkd_core.experiment import plan

ROOT = Path(__file__).parents[1]
BASELINES = (*GENERAL_TITLES, *MULTIMODAL_TITLES)
SEEDS = (0, 1, 2)


def give(store, cases, rows):
    """The store, which now holds `rows` for the function `cases`."""
    store._of_function[cases] = rows
    return store


@pytest.fixture
def evidence(tmp_path):
    """A store whose tables hold systems with given hit rates: `evidence(cases, by, {dataset: {name: rate}})`."""

    def make(cases, by, rates, **labels):
        rows = [
            system(tmp_path, f"{dataset} {name}", rate, SEEDS).assign(dataset=dataset, **{by: name}, **labels)
            for dataset, systems in rates.items()
            for name, rate in systems.items()
        ]
        return give(Store(tmp_path), cases, pd.concat(rows))

    return make


def told(found):
    """All lines of what was measured, as the command line prints them."""
    return "; ".join(found.lines)


@pytest.mark.parametrize(
    ("difference", "p", "seeds", "capped", "expected"),
    [
        (0.1, 0.01, (0.1, 0.2), False, "+"),
        (-0.1, 0.01, (-0.1, -0.2), False, "-"),
        (0.1, 0.06, (0.1, 0.2), False, "0"),
        (0.1, 0.01, (0.1, -0.01), False, "0"),
        (-0.1, 0.01, (-0.1, 0.01), False, "0"),
        (0.1, 0.01, (0.1,), False, None),
        (0.1, 0.01, (0.1, 0.2), True, "capped"),
        (0.1, 0.01, (0.1,), True, None),
    ],
)
def test_a_sign_needs_significance_every_seed_and_no_capped_run(difference, p, seeds, capped, expected):
    found = Comparison(difference, difference - 0.01, difference + 0.01, p, 0.02, 100, by_seed=seeds, capped=capped)
    assert found.sign == expected


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        (["+", "+"], "reproduced"),
        (["+", "0"], "partly reproduced"),
        (["+", "-"], "partly reproduced"),
        (["+", None], "partly reproduced"),
        (["-", "0"], "not reproduced"),
        (["0", "0"], "inconclusive"),
        (["0", None], "inconclusive"),
        (["0", "capped"], "inconclusive (capped)"),
        (["capped", None], "inconclusive (capped)"),
        (["+", "capped"], "partly reproduced"),
        (["-", "capped"], "not reproduced"),
        ([None, None], "not run"),
        ([], "not run"),
    ],
)
def test_a_verdict_from_the_signs_of_the_data_sets(signs, expected):
    assert verdict(signs) == expected


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"a": {"one": 0.6, "other": 0.4}, "b": {"one": 0.5, "other": 0.3}}, "reproduced"),
        ({"a": {"one": 0.6, "other": 0.4}, "b": {"one": 0.5, "other": 0.5}}, "partly reproduced"),
        ({"a": {"one": 0.4, "other": 0.6}, "b": {"one": 0.5, "other": 0.5}}, "not reproduced"),
        ({"a": {"one": 0.5, "other": 0.5}}, "inconclusive"),
    ],
)
def test_better_on_every_data_set(evidence, rates, expected):
    found = better(ablations.cases, "variant", "one", "other")(evidence(ablations.cases, "variant", rates))
    assert found.verdict == expected
    assert len(found.records) == 2 * len(SEEDS) * len(rates)
    assert all(f"{name}: " in told(found) for name in rates)


def test_one_seed_alone_decides_nothing(evidence):
    rows = evidence(ablations.cases, "variant", {"a": {"one": 0.6, "other": 0.4}})
    table = rows.rows(ablations.cases)
    give(rows, ablations.cases, table[(table["variant"] == "one") | (table["seed"] == 0)])
    found = better(ablations.cases, "variant", "one", "other")(rows)
    assert found.verdict == "not run"
    assert "in one seed so far" in told(found)


def test_an_inconclusive_finding_says_what_it_could_have_found(evidence):
    rows = evidence(ablations.cases, "variant", {"a": {"one": 0.505, "other": 0.5}})
    found = better(ablations.cases, "variant", "one", "other")(rows)
    assert found.verdict == "inconclusive"
    assert "detectable 0." in told(found)


def test_an_inconclusive_finding_says_when_only_the_seeds_disagree(evidence):
    rows = evidence(ablations.cases, "variant", {"a": {"one": 0.6, "other": 0.4}})
    table = rows.rows(ablations.cases)
    turned = (table["seed"] == SEEDS[0]) & (table["variant"] == "one")
    worst = table[(table["seed"] == SEEDS[0]) & (table["variant"] == "other")]
    give(rows, ablations.cases, pd.concat([table[~turned], worst.assign(variant="one", **{"recall@20": 0.3})]))
    found = better(ablations.cases, "variant", "one", "other")(rows)
    assert found.verdict == "inconclusive"
    assert f"better in {len(SEEDS) - 1} of {len(SEEDS)} seeds" in told(found)


def test_bars_in_a_claim_do_not_split_its_line():
    row = {"topic": "t", "claim": "takes O(|E|)", "where": "Sec. 1", "verdict": "reproduced", "measured": ("|E|: 2",)}
    line = page(pd.DataFrame([row | {"behind": "2 records", "records": (), "notebook": "n"}])).splitlines()[-1]
    start, _, rest = line.partition("</span>")
    assert start == '| <span id="claim-0">'
    assert rest == r"takes O(\|E\|) (Sec. 1) | **reproduced** | \|E\|: 2<br>2 records. | [read](n.ipynb) |"


def test_each_claim_that_rests_on_runs_leads_to_its_challenge():
    places = [challenge_file(name) for name in claims()]
    assert len(set(places)) == len(places)
    row = {"topic": "t", "claim": "c", "where": "Sec. 1", "verdict": "reproduced", "measured": ("1",), "behind": "x"}
    one = pd.DataFrame([row | {"notebook": "n", "records": ("r.json",)}], index=["d saturates"])
    assert page(one).endswith(
        '[read](n.ipynb)<br><a href="../colab/challenge-d-saturates.ipynb" download>challenge</a> |'
    )


def test_a_data_set_on_which_one_of_a_pair_is_not_planned_does_not_count(evidence):
    rows = evidence(comparison.cases, "system", {"a": {"one": 0.6, "other": 0.4, "third": 0.3}, "b": {"one": 0.6}})
    alone = better(comparison.cases, "system", "one", "other")(rows)
    assert (alone.verdict, len(alone.lines)) == ("reproduced", 1)
    assert alone.lines[0].startswith("a: +")  # there is one other alone, so that nobody need say which
    among = better(comparison.cases, "system", "one", "other", "third")(rows)
    assert (among.verdict, len(among.lines)) == ("reproduced", 1)
    assert among.lines[0].startswith("a against other: +")


def test_better_than_all_counts_the_worst_comparison(evidence):
    rates = {"a": {"one": 0.5, "weak": 0.2, "strong": 0.8}, "b": {"one": 0.5, "weak": 0.2, "strong": 0.3}}
    found = better(comparison.cases, "system", "one", "weak", "strong")(evidence(comparison.cases, "system", rates))
    assert found.verdict == "partly reproduced"
    assert "a against strong: -0." in told(found)


@pytest.mark.parametrize(("rate", "expected"), [(0.6, "reproduced"), (0.5, "reproduced"), (0.3, "not reproduced")])
def test_not_worse_allows_the_margin(evidence, rate, expected):
    rows = evidence(comparison.cases, "system", {"a": {"one": rate, "other": 0.5}})
    assert better(comparison.cases, "system", "one", "other", share=-0.02)(rows).verdict == expected


@pytest.mark.parametrize(("least", "expected"), [(0.1, "reproduced"), (0.2, "inconclusive"), (0.5, "not reproduced")])
def test_a_gain_is_relative_to_the_best_baseline(evidence, least, expected):
    """Half as often again as BM3 hits, give or take; at least a tenth, a fifth or a half more is claimed."""
    rates = dict.fromkeys(BASELINES, 0.2) | {"BM3": 0.4, MMKD: 0.49}
    rule = better(comparison.cases, "system", MMKD, *BASELINES, metric="ndcg@50", share=least)
    found = rule(evidence(comparison.cases, "system", {"a": rates}))
    assert found.verdict == expected
    assert "a against BM3" in told(found)


def test_a_gain_is_over_the_seeds_that_both_have(tmp_path):
    """MMKD's two lucky further seeds make it no better than a rival that has none: equal in the seeds of both."""
    ours = pd.concat([system(tmp_path, "ours", 0.4, SEEDS), system(tmp_path, "ours", 0.9, (3, 4))])
    others = [system(tmp_path, name, 0.4, SEEDS).assign(system=name) for name in BASELINES]
    rows = pd.concat([ours.assign(system=MMKD), *others]).assign(dataset="a")
    assert set(gains(rows).iloc[0]) == {f"0.0 % ({BASELINES[0]})"}
    found = Store(tmp_path)
    give(found, comparison.cases, rows)
    rule = better(comparison.cases, "system", MMKD, *BASELINES, metric="ndcg@50", share=0.0975)
    assert rule(found).verdict == "not reproduced"


@pytest.mark.parametrize("capped", [MMKD, "BM3"])
def test_a_capped_run_of_either_side_leaves_a_claim_undecided(evidence, capped):
    rates = dict.fromkeys(BASELINES, 0.2) | {"BM3": 0.9, MMKD: 0.5}
    rows = evidence(comparison.cases, "system", {"a": rates})
    table = rows.rows(comparison.cases)
    table["capped"] = table["system"] == capped
    found = better(comparison.cases, "system", MMKD, *BASELINES)(rows)
    assert found.verdict == "inconclusive (capped)"
    assert "a against BM3: -0.4" in told(found)
    assert "(capped)" in told(found)
    assert better(comparison.cases, "system", MMKD, "BM3", share=-0.02)(rows).verdict == "inconclusive (capped)"
    assert gains(table).iloc[0, 0].endswith("(BM3) †")


def test_most_pairs_and_ranks(evidence):
    multi = {name: 0.6 + place / 50 for place, name in enumerate(MULTIMODAL_TITLES)}
    general = {name: 0.3 + place / 50 for place, name in enumerate(GENERAL_TITLES)}
    turned = dict(zip(multi, reversed(multi.values()), strict=True))
    rows = evidence(comparison.cases, "system", {"a": multi | general, "b": turned | general})
    assert most_pairs(rows).verdict == "reproduced"
    assert ranks_move_more(rows).verdict == "reproduced"
    few = rows.rows(comparison.cases).assign(capped=lambda t: (t["dataset"] == "b") & (t["system"] == "BM3"))
    give(rows, comparison.cases, few)
    assert most_pairs(rows).verdict == "reproduced"  # three of 21 pairs are open: no majority can turn
    assert ranks_move_more(rows).verdict == "inconclusive (capped)"
    give(rows, comparison.cases, few.assign(capped=few["dataset"] == "b"))
    assert most_pairs(rows).verdict == "partly reproduced"
    assert "b: 0 of 21 pairs won, 0 lost, 21 capped" in told(most_pairs(rows))
    swapped = evidence(comparison.cases, "system", {"a": dict.fromkeys(multi, 0.2) | dict.fromkeys(general, 0.6)})
    assert most_pairs(swapped).verdict == "not reproduced"
    assert ranks_move_more(swapped).verdict == "not run"


@pytest.mark.parametrize(("slope", "expected"), [(0.1, "reproduced"), (-0.1, "not reproduced"), (0.0, "inconclusive")])
def test_an_advantage_that_grows(tmp_path, slope, expected):
    rows = []
    for value in (0.0, 0.2, 0.4, 0.6, 0.8):
        for name, rate in (("one", 0.5 + slope * value), ("other", 0.5)):
            for seed in SEEDS:
                wobble = ((seed * 7 + int(10 * value) * 3) % 5 - 2) / 1000 if name == "one" else 0.0
                rows.append({"change": "noise", "value": value, "system": name, "seed": seed, "record": "file"})
                rows[-1] |= {"recall@20": rate + wobble, "capped": False}
    found = Store(tmp_path)
    give(found, demo.cases, pd.DataFrame(rows))
    assert demo.advantage_grows("noise", "one", "other")(found).verdict == expected
    found.rows(demo.cases).loc[3, "capped"] = True
    capped = demo.advantage_grows("noise", "one", "other")(found)
    assert capped.verdict == "inconclusive (capped)"
    assert "capped: 1 of 30 runs" in told(capped)


def test_a_trend_of_one_seed_among_many_is_none(tmp_path):
    """Fifteen points of three seeds would have shown it, since one seed's lie far out; seeds are what was drawn."""
    steep, flat = (-0.04, -0.02, 0.0, 0.02, 0.04), (0.001, 0.0, -0.001, 0.0, 0.0005)
    rows = [
        {"change": "noise", "value": value, "system": name, "seed": seed, "record": "file", "capped": False}
        | {"recall@20": 0.5 + (trend[place] if name == "one" else 0.0)}
        for seed, trend in enumerate((steep, flat, tuple(-x for x in flat), flat[::-1]))
        for place, value in enumerate((0.0, 0.2, 0.4, 0.6, 0.8))
        for name in ("one", "other")
    ]
    found = Store(tmp_path)
    give(found, demo.cases, pd.DataFrame(rows))
    finding = demo.advantage_grows("noise", "one", "other")(found)
    assert finding.verdict == "inconclusive"
    assert "in 4 seeds" in told(finding)
    alone = pd.DataFrame(rows).query("seed == 0")
    give(found, demo.cases, alone)
    assert demo.advantage_grows("noise", "one", "other")(found).verdict == "not run"


def panel(evidence, rates, in_force=None):
    """One curve of Figure 4: `{value: rate}`."""
    found = evidence(settings, "value", {"a": rates}, setting="dim", system=MMKD)
    found.rows(settings)["in force"] = found.rows(settings)["value"] == in_force
    return found


def test_a_setting_that_matters_one_that_saturates_and_one_that_grows(evidence):
    rates = {16: 0.3, 32: 0.4, 64: 0.5, 128: 0.5}
    rows = panel(evidence, rates, in_force=64)
    assert matters("dim", 16)(rows).verdict == "reproduced"
    assert matters("dim", 128)(rows).verdict == "inconclusive"
    assert saturates("dim", 128, 64, MMKD, 0.02)(rows).verdict == "reproduced"
    assert saturates("dim", 32, 16, MMKD, 0.02)(rows).verdict == "not reproduced"
    assert grows("dim", 128, 16, MMKD)(rows).verdict == "reproduced"


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.5, "reproduced"), (0.53, "inconclusive"), (0.7, "not reproduced"), (0.3, "reproduced")]
)
def test_what_saturates_is_refuted_only_by_a_gain_beyond_the_margin(evidence, rate, expected):
    """A gain of 6 % that may be one of less than 4 % is above zero, but refutes nothing."""
    rows = panel(evidence, {64: 0.5, 128: rate}, in_force=64)
    assert saturates("dim", 128, 64, MMKD, 0.04)(rows).verdict == expected


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [(0.3, 0.4, "reproduced"), (0.8, 0.4, "not reproduced"), (0.3, 0.8, "not reproduced"), (0.5, 0.4, "inconclusive")],
)
def test_equal_widths_are_held_against_every_unequal_pair(evidence, wide, narrow, expected):
    curves = [panel(evidence, {64: 0.5, 128: wide}, in_force=64).rows(settings).assign(setting="teacher.dim")]
    curves.append(panel(evidence, {64: 0.5, 32: narrow}, in_force=64).rows(settings))
    found = panel(evidence, {64: 0.5})
    give(found, settings, pd.concat(curves))
    judged = equal_is_best("teacher.dim", "dim")(found)
    assert judged.verdict == expected
    assert "d of the teacher = 128" in told(judged) or "d of the student = 32" in told(judged)


def measured(monkeypatch, tmp_path, rows):
    """A store whose measurements are `rows`: (labels, values)."""
    monkeypatch.setattr(Store, "taken", lambda *_: rows)
    return Store(tmp_path)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([0.8], [1.0], "reproduced"),  # the border itself is within
        ([0.81], [1.0], "not reproduced"),
        ([0.5, 1.1], [1.0, 1.0], "reproduced"),  # the mean counts
        ([], [1.0], "not run"),
    ],
)
def test_within_a_share_of_each_other_system(monkeypatch, tmp_path, ours, theirs, expected):
    rows = [
        ({"dataset": "one", "system": name, "seed": seed}, {"seconds": value})
        for name, values in (("a", ours), ("b", theirs), ("c", [9.0] * len(theirs)))
        for seed, value in enumerate(values)
    ]
    found = within(consumption.cases, "a", ["b", "c"], itemgetter("seconds"), 0.8, what="seconds")(
        measured(monkeypatch, tmp_path, rows)
    )
    assert found.verdict == expected
    if ours:
        assert told(found) == f"one, seconds: {100 * sum(ours) / len(ours):.1f} % of b's, " + (
            f"{100 * sum(ours) / len(ours) / 9:.1f} % of c's"
        )


def test_within_needs_every_other_system_and_every_data_set(monkeypatch, tmp_path):
    rows = [
        ({"dataset": dataset, "system": name, "seed": None}, {"seconds": value})
        for dataset, b in (("one", 4.0), ("two", 1.0))
        for name, value in (("a", 1.0), ("b", b), ("c", 4.0))
    ]
    rule = within(consumption.cases, "a", ["b", "c"], itemgetter("seconds"), 0.8, what="seconds")
    assert rule(measured(monkeypatch, tmp_path, rows)).verdict == "partly reproduced"


@pytest.mark.parametrize(
    ("with_prompt", "without", "expected"),
    [
        ([0.3, 0.2], [0.1, 0.1], "reproduced"),
        ([0.1, 0.1], [0.3, 0.2], "not reproduced"),
        ([0.3, 0.1], [0.1, 0.3], "inconclusive"),
        ([0.3, 0.1], [0.2, 0.1], "inconclusive"),  # equal in a seed is not more in it
        ([0.3], [0.1], "not run"),  # a seed alone decides nothing where two are planned
        ([], [], "not run"),
    ],
)
def test_more_mixed_in_every_seed(monkeypatch, tmp_path, with_prompt, without, expected):
    rows = [
        ({"dataset": "tiktok", "seed": seed}, {"share": {"f": {"cosine": one}, "f, w/o": {"cosine": other}}})
        for seed, (one, other) in enumerate(zip(with_prompt, without, strict=True))
    ]
    rows += [({"dataset": "tiktok", "seed": seed}, None) for seed in range(len(rows), 2)]
    assert more_mixed("f", "f, w/o")(measured(monkeypatch, tmp_path, rows)).verdict == expected


AS_PRINTED = {"users": 0, "items": 0, "edges": 1, "raw": 0, "dim": 1, "layers": 1}


@pytest.mark.parametrize(
    ("features", "changes", "expected"),
    [
        (0, {}, "reproduced"),
        (0, {"edges": 1.4, "dim": 0.6}, "reproduced"),  # the nearest whole number counts
        (0, {"edges": 2}, "not reproduced"),  # the square of the edges
        (0, {"dim": 1.6}, "not reproduced"),
        (0, {"layers": 0}, "not reproduced"),  # printed, and not found
        (0, {"items": 1}, "not reproduced"),  # found, and not printed
        (7, {}, "not reproduced"),  # features are read
        (0, {"dim": None}, "not run"),  # a size was not counted
        (0, dict.fromkeys(AS_PRINTED), "not run"),
    ],
)
@pytest.mark.parametrize("part", ["edges", "dense"])
def test_serving_by_edges_takes_no_features_and_grows_as_the_paper_prints(
    monkeypatch, tmp_path, part, features, changes, expected
):
    other = {"edges": "dense", "dense": "edges"}[part]
    rows = []
    for size, power in (AS_PRINTED | changes).items():
        counts = {
            part: [round(1e6 * (5 + x ** (power or 0))) for x in (1, 2, 4)],
            other: [0] * 3,
            "features": [0, 0, features],
        }
        values = None if power is None else {"sizes": [1, 2, 4], "serve": counts}
        rows.append(({"dataset": "demo", "model": "mmkd", "size": size}, values))
    found = complexity.serves_by_edges(measured(monkeypatch, tmp_path, rows))
    assert found.verdict == expected
    if (changes, features) == ({}, 0):
        assert told(found) == (
            "operations in proportion to raw features: 0; the others grow with the power "
            "0.00 of |U|, 0.00 of |I|, 1.00 of |E|, 0.00 of d_m, 1.00 of d, 1.00 of L"
        )


def test_the_claim_on_serving_names_the_records_of_mmkd_alone():
    finding = complexity.serves_by_edges(Store(ROOT / "book" / "records"))
    assert len(finding.records) == len(complexity.SIZES)
    assert all("/mmkd-" in file for file in finding.records)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(10.9, "reproduced"), (11.0, "reproduced"), (11.2, "not reproduced"), (None, "not run")]
)
def test_cheap_to_distil_compares_seconds_an_epoch_in_common_seeds(tmp_path, seconds, expected):
    """Without distillation an epoch takes a second; a tenth more is allowed. Seed 1, of one side alone, is left out."""
    lines = [("w/o any KD", 0, 10.0, 10), ("w/o any KD", 1, 1000.0, 10), ("MMKD", 0, seconds, 10)]
    rows = pd.DataFrame(
        [
            {"dataset": "tiktok", "variant": name, "seed": seed, "cpu_seconds": took, "epochs": epochs}
            | {"record": None if took is None else f"{name}-{seed}"}
            for name, seed, took, epochs in lines
        ]
    )
    found = Store(tmp_path)
    give(found, ablations.cases, rows)
    assert consumption.cheap_to_distil(found).verdict == expected


@pytest.mark.parametrize(
    ("planned", "taken", "expected"),
    [(3, 1, NOT_RUN), (3, 2, "reproduced"), (3, 3, "reproduced"), (1, 1, "reproduced")],
)
def test_one_seed_of_several_decides_no_claim_on_a_measurement(monkeypatch, tmp_path, planned, taken, expected):
    measured = [
        ({"dataset": "one", "system": system, "seed": seed}, {"gap": gap} if seed < taken else None)
        for system, gap in (("a", 0.2), ("b", 0.1))
        for seed in range(planned)
    ]
    monkeypatch.setattr(Store, "taken", lambda *_: measured)
    rule = every_seed(overfitting.cases, "a", ["b"], itemgetter("gap"), what="gap")
    found = rule(Store(tmp_path))
    assert found.verdict == expected
    shown = "one, gap: a 0.2, b 0.1" + (", in one seed so far" if expected == NOT_RUN else "")
    assert told(found) == shown  # what was measured is shown even where it decides nothing


def test_a_measurement_that_still_rose_at_its_end_decides_nothing(monkeypatch, tmp_path):
    measured = [
        ({"dataset": dataset, "system": system, "seed": seed}, {"gap": gap, "rising": rising})
        for dataset, rising in (("one", False), ("two", True))
        for system, gap in (("a", 0.2), ("b", 0.1))
        for seed in range(2)
    ]
    monkeypatch.setattr(Store, "taken", lambda *_: measured)
    rule = every_seed(overfitting.cases, "a", ["b"], itemgetter("gap"), what="gap", capped=itemgetter("rising"))
    found = rule(Store(tmp_path))
    assert found.verdict == "partly reproduced"
    assert found.lines == ("one, gap: a 0.2, b 0.1", "two, gap: a 0.2, b 0.1, capped: 4 of 4 runs")
    monkeypatch.setattr(Store, "taken", lambda *_: measured[4:])
    assert rule(Store(tmp_path)).verdict == "inconclusive (capped)"


def test_the_records_behind_a_verdict_are_those_of_the_systems_it_compares():
    finding = claims()["reduction overfits"].judge(Store(ROOT / "book" / "records"))
    names = [
        json.loads(Path(file).read_text())["measurement"]["arguments"]["system"]["model"] for file in finding.records
    ]
    assert set(names) == {"teacher", "lightgcn"}
    assert len(names) == 10  # two seeds on TikTok, three on LFM-2K


def test_what_cannot_be_tested_says_why(tmp_path):
    found = untestable("no such data")(Store(tmp_path))
    assert (found.verdict, told(found)) == ("cannot be tested", "no such data")


@pytest.mark.parametrize("store", [ROOT / "book" / "records", None])
def test_every_claim_has_a_verdict_a_measurement_and_a_place(store, tmp_path):
    found = judged(Store(store or tmp_path))
    assert list(found.index) == list(claims())
    assert set(found["verdict"]) <= set(VERDICTS)
    assert all(lines and all(lines) for lines in found["measured"])
    assert all(found["where"].str.contains(r"Abstract|Sec\. \d") | (found["where"] == OURS))
    if store is None:
        assert set(found["verdict"]) == {"not run", "cannot be tested"}


def test_what_a_verdict_rests_on_is_records_seeds_and_trials(tmp_path):
    shutil.copytree(ROOT / "book" / "records" / "searches", tmp_path / "searches")
    for model in ("teacher", "mmkd", "lightgcn"):
        shutil.copytree(ROOT / "book" / "records" / "lfm2k" / model, tmp_path / "lfm2k" / model)
    store = Store(tmp_path)
    trials = studies(store)
    assert trials["lfm2k", "teacher"].completed <= trials["lfm2k", "teacher"].started

    def files(model, seeds, **settings):
        planned = [plan(model, "lfm2k", seed=seed, **settings).canonical for seed in seeds]
        return [str(path) for path, record in store.records.items() if record.experiment.canonical in planned]

    students, light = files("mmkd", range(5)), files("lightgcn", range(3))
    assert (len(students), len(light)) == (5, 3)
    completed = {trials["lfm2k", model].completed for model in ("mmkd", "teacher")}  # a student's teacher counts
    low, high = min(completed), max(completed)
    of_students = f"settings from {low if low == high else f'{low} to {high}'} completed trials"
    assert behind(store, students, trials) == f"5 records, 5 seeds, {of_students}"
    if held := earlier("lfm2k", "mmkd"):
        planned = [Asked(earlier=True).planned("lfm2k", seed, Variant()).canonical for seed in range(3)]
        before = [str(path) for path, record in store.records.items() if record.experiment.canonical in planned]
        told = f"3 records, 3 seeds, settings from {held['trials']} completed trials of earlier studies"
        assert behind(store, before, trials) == told
    assert behind(store, students[:1], {}) == "1 record, 1 seed"
    assert behind(store, students + light, {}) == "8 records, 3 to 5 seeds"
    assert behind(store, ["complexity/mmkd.json"], trials) == "1 record"
    assert behind(store, [], trials) == "0 records"


def test_every_claim_leads_to_a_notebook_that_exists():
    missing = {claim.notebook for claim in claims().values()} - {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert not missing


def test_every_claim_in_words_has_a_rule_and_every_note_a_question():
    assert [(claim.topic, name) for name, claim in claims().items()] == [(t, name) for t in SAID for name in SAID[t]]
    assert {note for question in QUESTIONS.values() for note in question.notes} == set(NOTES.values())


def test_the_paper_s_claims_are_counted_apart_from_ours():
    rows = [("reproduced", "Sec. 1"), ("not run", "Sec. 2"), ("reproduced", "Sec. 2"), ("inconclusive", OURS)]
    found = pd.DataFrame(rows, columns=["verdict", "where"])
    assert summary(found) == "3 claims of the paper: 2 reproduced, 1 not run; 1 of our own: 1 inconclusive"
    assert summary(found[:3]) == "3 claims of the paper: 2 reproduced, 1 not run"
