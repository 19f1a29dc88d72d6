"""The rules that turn records into verdicts, on made-up records whose truth is known."""

from operator import itemgetter
from pathlib import Path

import pandas as pd
import pytest
from made_up_records import system

from mmkd_core.claims import CLAIMS, VERDICTS, costs, ledger, page, rules, trends
from mmkd_core.claims.rules import NOT_RUN, Evidence
from mmkd_core.recipes import NAMES
from mmkd_core.results import Comparison

ROOT = Path(__file__).parents[1]
SEEDS = (0, 1, 2)


@pytest.fixture
def evidence(tmp_path):
    """Evidence whose tables hold systems with given hit rates: `evidence(recipe, by, {dataset: {name: rate}})`."""

    def make(recipe, by, rates, **labels):
        rows = [
            system(tmp_path, f"{dataset} {name}", rate, SEEDS).assign(dataset=dataset, **{by: name}, **labels)
            for dataset, systems in rates.items()
            for name, rate in systems.items()
        ]
        found = Evidence(tmp_path)
        found._rows[recipe] = pd.concat(rows)
        return found

    return make


def comparison(difference, p):
    return Comparison(difference, difference - 0.01, difference + 0.01, p, None, 0.02, 100)


@pytest.mark.parametrize(
    ("difference", "p", "seeds", "expected"),
    [
        (0.1, 0.01, [0.1, 0.2], "+"),
        (-0.1, 0.01, [-0.1, -0.2], "-"),
        (0.1, 0.06, [0.1, 0.2], "0"),
        (0.1, 0.01, [0.1, -0.01], "0"),
        (-0.1, 0.01, [-0.1, 0.01], "0"),
    ],
)
def test_a_sign_needs_significance_and_every_seed(difference, p, seeds, expected):
    assert rules.sign(comparison(difference, p), seeds) == expected


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
        ([None, None], "not run"),
        ([], "not run"),
    ],
)
def test_a_verdict_from_the_signs_of_the_data_sets(signs, expected):
    assert rules.verdict(signs) == expected


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
    found = rules.better("table 5", "variant", "one", "other")(evidence("table 5", "variant", rates))
    assert found.verdict == expected
    assert len(found.records) == 2 * len(SEEDS) * len(rates)
    assert all(f"{name}: " in found.measured for name in rates)


def test_one_seed_alone_decides_nothing(evidence):
    rows = evidence("table 5", "variant", {"a": {"one": 0.6, "other": 0.4}})
    table = rows._rows["table 5"]
    rows._rows["table 5"] = table[(table["variant"] == "one") | (table["seed"] == 0)]
    found = rules.better("table 5", "variant", "one", "other")(rows)
    assert found.verdict == "not run"
    assert "in one seed so far" in found.measured


def test_an_inconclusive_finding_says_what_it_could_have_found(evidence):
    rows = evidence("table 5", "variant", {"a": {"one": 0.505, "other": 0.5}})
    found = rules.better("table 5", "variant", "one", "other")(rows)
    assert found.verdict == "inconclusive"
    assert "detectable 0." in found.measured


def test_an_inconclusive_finding_says_when_only_the_seeds_disagree(evidence):
    rows = evidence("table 5", "variant", {"a": {"one": 0.6, "other": 0.4}})
    table = rows._rows["table 5"]
    turned = (table["seed"] == SEEDS[0]) & (table["variant"] == "one")
    worst = table[(table["seed"] == SEEDS[0]) & (table["variant"] == "other")]
    rows._rows["table 5"] = pd.concat([table[~turned], worst.assign(variant="one", **{"recall@20": 0.3})])
    found = rules.better("table 5", "variant", "one", "other")(rows)
    assert found.verdict == "inconclusive"
    assert f"better in {len(SEEDS) - 1} of {len(SEEDS)} seeds" in found.measured


def test_bars_in_a_claim_do_not_split_its_line():
    row = {"topic": "t", "claim": "takes O(|E|)", "where": "Sec. 1", "verdict": "reproduced", "measured": "|E|: 2"}
    line = page(pd.DataFrame([row | {"notebook": "n"}])).splitlines()[-1]
    assert line == r"| takes O(\|E\|) (Sec. 1) | **reproduced** | \|E\|: 2 | [read](n.ipynb) |"


def test_better_than_all_counts_the_worst_comparison(evidence):
    rates = {"a": {"one": 0.5, "weak": 0.2, "strong": 0.8}, "b": {"one": 0.5, "weak": 0.2, "strong": 0.3}}
    found = rules.better_than_all("one", ["weak", "strong"])(evidence("table 4", "system", rates))
    assert found.verdict == "partly reproduced"
    assert "a against strong: -0." in found.measured


@pytest.mark.parametrize(("rate", "expected"), [(0.6, "reproduced"), (0.5, "reproduced"), (0.3, "not reproduced")])
def test_not_worse_allows_the_margin(evidence, rate, expected):
    rows = evidence("table 4", "system", {"a": {"one": rate, "other": 0.5}})
    assert rules.not_worse("table 4", "system", "one", "other", 0.02)(rows).verdict == expected


@pytest.mark.parametrize(("least", "expected"), [(0.1, "reproduced"), (0.5, "not reproduced")])
def test_a_gain_is_relative_to_the_best_baseline(evidence, least, expected):
    rates = dict.fromkeys(rules.BASELINES, 0.2) | {"BM3": 0.4, NAMES["mmkd"]: 0.5}
    found = rules.gain("ndcg@50", least)(evidence("table 4", "system", {"a": rates}))
    assert found.verdict == expected
    assert "over BM3" in found.measured


def test_most_pairs_and_ranks(evidence):
    multi = {name: 0.6 + place / 50 for place, name in enumerate(rules.MULTIMODAL)}
    general = {name: 0.3 + place / 50 for place, name in enumerate(rules.GENERAL)}
    turned = dict(zip(multi, reversed(multi.values()), strict=True))
    rows = evidence("table 4", "system", {"a": multi | general, "b": turned | general})
    assert trends.most_pairs()(rows).verdict == "reproduced"
    assert trends.ranks_move_more()(rows).verdict == "reproduced"
    swapped = evidence("table 4", "system", {"a": dict.fromkeys(multi, 0.2) | dict.fromkeys(general, 0.6)})
    assert trends.most_pairs()(swapped).verdict == "not reproduced"
    assert trends.ranks_move_more()(swapped).verdict == "not run"


@pytest.mark.parametrize(("slope", "expected"), [(0.1, "reproduced"), (-0.1, "not reproduced"), (0.0, "inconclusive")])
def test_an_advantage_that_grows(tmp_path, slope, expected):
    rows = []
    for value in (0.0, 0.2, 0.4, 0.6, 0.8):
        for name, rate in (("one", 0.5 + slope * value), ("other", 0.5)):
            for seed in SEEDS:
                wobble = ((seed * 7 + int(10 * value) * 3) % 5 - 2) / 1000 if name == "one" else 0.0
                rows.append({"trouble": "noise", "value": value, "system": name, "seed": seed, "record": "file"})
                rows[-1]["recall@20"] = rate + wobble
    found = Evidence(tmp_path)
    found._rows["table demo"] = pd.DataFrame(rows)
    assert trends.advantage_grows("noise", "one", "other")(found).verdict == expected


def panel(evidence, rates, in_force=None):
    """One curve of Figure 4: `{value: rate}`."""
    found = evidence("figure 4", "value", {"a": rates}, setting="dim", system=NAMES["mmkd"])
    found._rows["figure 4"]["in force"] = found._rows["figure 4"]["value"] == in_force
    return found


def test_a_setting_that_matters_one_that_saturates_and_one_that_grows(evidence):
    rates = {16: 0.3, 32: 0.4, 64: 0.5, 128: 0.5}
    rows = panel(evidence, rates, in_force=64)
    assert trends.setting_matters("dim", 16)(rows).verdict == "reproduced"
    assert trends.setting_matters("dim", 128)(rows).verdict == "inconclusive"
    assert trends.saturates("dim", 64, 128, 0.02)(rows).verdict == "reproduced"
    assert trends.saturates("dim", 16, 32, 0.02)(rows).verdict == "not reproduced"
    assert trends.grows_with("dim", NAMES["mmkd"])(rows).verdict == "reproduced"


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
    monkeypatch.setattr(Evidence, "measured", lambda *_: measured)
    rule = costs.every_seed("table overfitting", "a", ["b"], itemgetter("gap"), what="gap")
    found = rule(Evidence(tmp_path))
    assert found.verdict == expected
    shown = "one, gap: a 0.2, b 0.1" + (", in one seed so far" if expected == NOT_RUN else "")
    assert found.measured == shown  # what was measured is shown even where it decides nothing


def test_what_cannot_be_tested_says_why(tmp_path):
    found = rules.untestable("no such data")(Evidence(tmp_path))
    assert (found.verdict, found.measured) == ("cannot be tested", "no such data")


@pytest.mark.parametrize("store", [ROOT / "book" / "records", None])
def test_every_claim_has_a_verdict_a_measurement_and_a_place(store, tmp_path):
    found = ledger(store or tmp_path)
    assert list(found.index) == list(CLAIMS)
    assert set(found["verdict"]) <= set(VERDICTS)
    assert all(found["measured"])
    assert all(found["where"].str.contains(r"Abstract|Sec\. \d"))
    if store is None:
        assert set(found["verdict"]) == {"not run", "cannot be tested"}


def test_every_claim_leads_to_a_notebook_that_exists():
    missing = {claim.notebook for claim in CLAIMS.values()} - {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert not missing
