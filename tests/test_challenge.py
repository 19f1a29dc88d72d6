"""A reader tries a claim again: the ledger's own rule on other data, seeds and settings."""

import json
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from command_line import call

from mmkd_core.evidence.challenge import Challenge, Result, differences
from mmkd_core.evidence.ledger import claims
from mmkd_core.evidence.question import SAID
from mmkd_core.evidence.store import Store
from mmkd_core.experiment import Experiment

RECORDS = Path(__file__).parents[1] / "book" / "records"
SMOKE = {"datasets": "demo", "seeds": [0, 1], "budget": "smoke"}
# rests on nothing that could be run
UNTESTABLE = "implicit feedback"


@lru_cache
def ledger():
    return Store(RECORDS)


def challenge(name, **asked):
    return Challenge(name, ledger(), **SMOKE | asked)


def trained(one):
    return {case.job.model for case in one.cases if isinstance(case.job, Experiment)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """ "without PairKD MMKD is worse", tried in a moment."""
    folder = tmp_path_factory.mktemp("runs")
    shown = []
    one = challenge("pair")
    return one, one.run(folder, lambda progress: shown.append(str(progress))), folder, shown


def test_what_runs_are_the_systems_that_the_verdict_rests_on():
    assert [case.labels for case in challenge("pair").cases] == [
        {"dataset": "demo", "variant": variant, "seed": seed} for variant in ("MMKD", "w/o-PairKD") for seed in (0, 1)
    ]
    assert trained(challenge("multi-modal")) == trained(challenge("best")) - {"mmkd"}
    assert trained(challenge("not the loss alone")) == {
        "softmax-teacher",
        "softmax-factors",
        "vbpr+softmax",
        "mmkd-lists",
    }


def test_a_setting_in_force_is_that_of_the_data_asked_for():
    labels = [case.labels for case in challenge("teacher's depth").cases]
    assert {own["setting"] for own in labels} == {"teacher.layers"}
    assert {4, 1} <= {own["value"] for own in labels}
    assert [own for own in labels if own["in force"]]


def test_most_claims_of_each_topic_can_be_challenged():
    topics = {}
    for name, claim in claims().items():
        if name != UNTESTABLE:
            at = "netflix" if claim.notebook in ("complexity", "serving") and name != "student and teacher" else "demo"
            at = "demo" if name in ("complexity", "cost of KL") else at
            assert challenge(name, datasets=at).cases, name
            topics.setdefault(claim.topic, []).append(name)
    assert set(topics) == set(SAID)
    with pytest.raises(ValueError, match=r"'implicit feedback' rests on no records: the paper's Netflix cannot be had"):
        challenge(UNTESTABLE)


def test_settings_change_both_sides_but_not_what_one_has_in_place_of_the_value_in_force():
    one = challenge(
        "pair", settings={"mmkd": {"pair": 7.0, "list": 0.5, "fit": {"batch_size": 64}}, "teacher": {"l2": 0.5}}
    )
    assert [case.job.hparams["pair"] for case in one.cases] == [7.0, 7.0, 0.0, 0.0]
    for case in one.cases:
        assert (case.job.hparams["list"], case.job.fit.batch_size, case.job.teacher.hparams["l2"]) == (0.5, 64, 0.5)
        assert case.job.fit.epochs == case.job.teacher.fit.epochs == 1
        assert case.job.seed == case.labels["seed"]
    assert one.sides["mmkd: pair"].to_dict() == {"MMKD": 7.0, "w/o-PairKD": 0.0}
    assert one.sides["runs"].to_dict() == {"MMKD": 2, "w/o-PairKD": 2}
    measured = challenge("new data", settings={"lattice": {"layers": 3}}).cases
    assert {stage.hparams["layers"] for stage in _stages(measured) if stage.model == "lattice"} == {3}
    untouched = [case.job.canonical for case in challenge("pair").cases]
    assert [case.job.canonical for case in challenge("pair", settings={}).cases] == untouched


def _stages(cases):
    return [
        s for case in cases for one in case.job.arguments.values() if isinstance(one, Experiment) for s in one.stages
    ]


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("nonsense", {}, "unknown claim 'nonsense'; one of ['best', "),
        ("pair", {"settings": {"lightgcn": {}}}, "settings of 'lightgcn', which this claim has not; one of ['mmkd', "),
        ("pair", {"settings": {"mmkd": {"pears": 1}}}, "unknown setting 'pears' of mmkd"),
        ("pair", {"settings": {"mmkd": {"fit": {"epochs": -1}}}}, "epochs"),
        ("pair", {"datasets": "nowhere"}, "'nowhere': no such data set or folder"),
        ("pair", {"budget": "all"}, "unknown budget 'all'"),
        ("Pairs", {}, "unknown claim 'Pairs'; did you mean 'pair'"),
        ("pair", {"seeds": []}, "seeds=[]; expected some, or None for those of the ledger"),
        ("pair", {"datasets": ()}, "datasets=(); expected some, or None"),
        ("pair", {"seeds": [3]}, "got the seeds [3]; expected 2 different ones"),
        ("pair", {"seeds": [0, 0]}, "got the seeds [0]; expected 2 different ones"),
    ],
)
def test_what_cannot_be_asked_is_named(name, asked, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        challenge(name, **asked)


def test_the_rule_of_the_ledger_judges_and_nothing_is_run_twice(pair):
    one, result, folder, shown = pair
    assert (result.claim, result.datasets, result.seeds, result.budget) == ("pair", ("demo",), (0, 1), "smoke")
    assert result.verdict == "inconclusive (capped)"  # an epoch each
    assert len(result.lines) == 1
    assert result.lines[0].startswith("Demo: ")
    assert shown[-1] == "6 of 6 runs done"  # two teachers, four students
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
    assert len(files) == 6
    assert one.run(folder) == result
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")} == files
    assert one.ours.verdict == one.claim.judge(ledger()).verdict
    assert one.rule.startswith("def paired(")


def test_the_rule_meets_records_as_the_ledger_does():
    """On the data and seeds of the ledger, with its own records, the verdict is its own."""
    one = Challenge("pair", ledger())
    again = one.claim.judge(Store(RECORDS, asked=one._asked))
    assert (again.verdict, again.lines) == (one.ours.verdict, one.ours.lines)


def test_what_differs_is_told(pair):
    one, result, _, _ = pair
    told = differences(one.ours, replace(result, settings={"mmkd": {"list": 0.5}}), ledger())
    assert told[0] == "data sets: LFM-2K, TikTok in the ledger, Demo here"
    assert told[1] == "seeds: 0, 1, 2 in the ledger, 0, 1 here"
    assert told[-2:] == ["settings of MMKD: {'list': 0.5} here", "the budget here is 'smoke'"]


def test_a_result_stands_beside_the_ledger(pair, tmp_path, capsys):
    _, result, _, _ = pair
    file = result.write(tmp_path)
    assert Result.read(file) == result
    assert file == result.write(tmp_path)
    assert file != replace(result, seeds=(3, 4)).write(tmp_path)  # another question does not replace it
    status, out, _ = call(capsys, "claims", "--with", file, "--records", RECORDS)
    assert status == 0
    lines = out.splitlines()
    assert lines[0].endswith("without PairKD MMKD is worse (Sec. 4.3.1 (2))")
    assert f"    {file} says INCONCLUSIVE (CAPPED):" in lines
    assert f"      {result.lines[0]}" in lines
    assert "      - seeds: 0, 1, 2 in the ledger, 0, 1 here" in lines
    status, out, _ = call(capsys, "claims", "complexity", "--with", file, "--records", RECORDS)
    assert status == 0
    assert str(file) not in out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "expected format 1"),
        ({"claim": "pears"}, "claim 'pears'; expected one of"),
        ({"verdict": "true"}, "verdict 'true'; expected one of"),
        ({"lines": "TikTok"}, "lines='TikTok'; expected a list of values of the kind str"),
        ({"seeds": [True]}, r"seeds=[True]; expected a list of values of the kind int"),
        ({"settings": []}, "settings=[]; expected an object"),
        ({"settings": {"pears": {}}}, "settings of ['pears']; expected models"),
        ({"settings": {"mmkd": 1}}, "settings={'mmkd': 1}; expected an object"),
        ({"environment": {}}, "environment without ['device', 'torch']"),
        ({"environment": {"device": 1, "torch": "2"}}, "environment={'device': 1"),
        ({"more": 1}, "got ['more']; expected ['claim', "),
        (None, "Expecting value"),
    ],
)
def test_what_is_no_result_is_refused(pair, tmp_path, refused, change, said):
    _, result, _, _ = pair
    file = result.write(tmp_path)
    values = json.loads(file.read_text())
    file.write_text("[" if change is None else json.dumps(values | change))
    refused("claims", "--with", file, says=f"{file.name}: not a result of a challenge .*{re.escape(said)}")
