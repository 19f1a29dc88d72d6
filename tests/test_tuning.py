"""Settings chosen on validation: what is tried, what is kept, and that a study goes on where it ended."""

import json
import tomllib
from dataclasses import replace

import pytest
import torch
from command_line import call
from hypothesis import given
from hypothesis import strategies as st
from made_up_folder import write_folder

from mmkd_core import load, plan
from mmkd_core.chosen import flat, nested, read_chosen, write_block
from mmkd_core.experiment import Record
from mmkd_core.study import Budget, Study, at_edge, read_study, study_file
from mmkd_core.tuning import next_settings, tune

SHORT = Budget(trials=3, epochs=4, patience=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(write_folder(tmp_path_factory.mktemp("data") / "tiny"))


@pytest.fixture(scope="module")
def tiny(folder):
    return load(folder)


def study_of(space, start, trials=(), seed=0):
    return Study("lightgcn", "made up", "0" * 64, seed, {"trials": 9}, space, start, {}, list(trials))


def filled(study, trials):
    """The study after so many trials, of which each is as good as its number."""
    for number in range(trials):
        tried = {"settings": next_settings(study), "state": "complete", "epochs": 5, "best_epoch": 5}
        study.trials.append(tried | {"validation recall@20": number / 100})
    return study


SPACE = {"l2": {"low": 1e-3, "high": 1.0}, "layers": [1, 2, 3], "fit": {"lr": {"low": 1e-4, "high": 0.1}}}
START = {"l2": 0.03, "layers": 2, "fit": {"lr": 0.002}}


def test_the_first_trial_is_the_start_and_the_others_lie_in_the_space_with_two_digits():
    tried = [trial["settings"] for trial in filled(study_of(SPACE, START), 12).trials]
    assert tried[0] == START
    for settings in tried:
        assert settings["layers"] in (1, 2, 3)
        for value, part in ((settings["l2"], SPACE["l2"]), (settings["fit"]["lr"], SPACE["fit"]["lr"])):
            assert part["low"] <= value <= part["high"]
            assert value == float(f"{value:.2g}")
    assert len({json.dumps(settings) for settings in tried}) == 12


def test_a_range_of_whole_numbers_gives_whole_numbers_spread_over_its_decades():
    space = {"neighbours": {"low": 5, "high": 5000}}
    tried = [trial["settings"]["neighbours"] for trial in filled(study_of(space, {"neighbours": 20}), 20).trials]
    assert all(isinstance(value, int) and 5 <= value <= 5000 for value in tried)
    assert sum(value < 160 for value in tried) >= 4  # half of the logarithm, a thirtieth of the range
    assert sum(value > 160 for value in tried) >= 4


def test_what_comes_next_depends_on_the_trials_so_far_and_on_the_seed_alone():
    whole = filled(study_of(SPACE, START), 8)
    again = study_of(SPACE, START, json.loads(json.dumps(whole.trials[:5])))
    assert next_settings(again) == whole.trials[5]["settings"]
    assert [t["settings"] for t in filled(study_of(SPACE, START, seed=1), 8).trials[1:]] != [
        t["settings"] for t in whole.trials[1:]
    ]


def test_nothing_is_tried_twice_while_there_is_something_else():
    space = {"layers": [1, 2], "cosine": [True, False]}
    tried = [trial["settings"] for trial in filled(study_of(space, {"layers": 1, "cosine": True}), 4).trials]
    assert len({json.dumps(settings) for settings in tried}) == 4
    assert len(filled(study_of(space, {"layers": 1, "cosine": True}), 5).trials) == 5  # and then twice, not for ever


def test_the_estimator_turns_to_where_it_was_good():
    study = study_of({"l2": {"low": 1e-4, "high": 1.0}}, {"l2": 1e-4})
    for _ in range(25):
        settings = next_settings(study)
        merit = -abs(torch.tensor(settings["l2"]).log10().item() + 1)  # best at 0.1
        study.trials.append({"settings": settings, "state": "complete", "epochs": 1, "validation recall@20": merit})
    late = [trial["settings"]["l2"] for trial in study.trials[10:]]
    assert sum(0.03 < value < 0.3 for value in late) > len(late) / 2
    assert 0.05 < study.best["settings"]["l2"] < 0.2


@given(st.dictionaries(st.sampled_from(["l2", "layers", "fit.lr", "fit.epochs"]), st.integers()))
def test_flat_and_nested_names_are_each_others_inverse(values):
    assert flat(nested(values)) == values


@pytest.mark.parametrize(
    ("value", "part", "expected"),
    [
        (1, [1, 2, 3], True), (2, [1, 2, 3], False), (3, [1, 2, 3], True), (0.0, [0.0, 0.5], False), (7, [7], False),
        (True, [True, False], False), ("a", ["a", "b"], False),
        (0.11, {"low": 0.1, "high": 10.0}, True), (0.2, {"low": 0.1, "high": 10.0}, False),
        (9.0, {"low": 0.1, "high": 10.0}, True), (10.0, {"low": 0.1, "high": 10.0}, True),
    ],
)  # fmt: skip
def test_what_is_at_an_edge_of_what_was_tried(value, part, expected):
    assert at_edge(value, part) is expected


def test_a_study_keeps_the_best_by_validation_and_says_how_each_trial_ended(folder, tiny, tmp_path):
    study = tune("lightgcn", folder, budget=SHORT, store=tmp_path)
    assert [trial["state"] for trial in study.trials] == ["complete"] * 3
    assert all(trial["best_epoch"] <= trial["epochs"] <= 4 for trial in study.trials)
    merits = [trial["validation recall@20"] for trial in study.trials]
    assert study.best is study.trials[merits.index(max(merits))]
    fit = study.best["settings"]["fit"] | {"epochs": 4, "patience": 2}
    assert study.settings == study.best["settings"] | {"fit": fit}
    path = study_file(tmp_path, folder, "lightgcn")
    assert path == tmp_path / "searches" / "tiny-lightgcn.json"
    assert read_study(path) == study
    assert sorted(path.parent.iterdir()) == [path]  # no checkpoint is left


def test_a_trial_is_what_a_run_with_its_settings_is(folder, tiny, tmp_path):
    from mmkd_core.runs import run

    study = tune("lightgcn", folder, budget=SHORT, store=tmp_path)
    record = run(plan("lightgcn", folder, chosen={"lightgcn": study.settings}), tmp_path, data=tiny)
    assert record.validation["recall@20"] == study.best["validation recall@20"]
    assert record.history["best_epoch"] == study.best["best_epoch"]


def test_the_test_split_is_not_looked_at(folder, tiny, tmp_path):
    without = replace(tiny, test=tiny.test[:0])
    found = [
        tune("lightgcn", folder, budget=SHORT, store=tmp_path / name, data=data).trials
        for name, data in (("with", tiny), ("without", without))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("model", ["itemknn", "lightgcn", "mmkd"])
def test_an_ended_study_goes_on_and_ends_as_an_undisturbed_one(model, folder, tiny, tmp_path):
    quick = {"teacher": {"fit": {"epochs": 2}}}
    how = {"budget": SHORT, "data": tiny, "chosen": quick}
    expected = tune(model, folder, store=tmp_path / "undisturbed", **how)
    calls = []

    def ended(*_):
        calls.append(1)
        if len(calls) in (1, 3, 8):
            raise KeyboardInterrupt

    for _ in range(8):
        try:
            study = tune(model, folder, store=tmp_path / "ended", on_epoch=ended, on_trial=ended, **how)
            break
        except KeyboardInterrupt:
            pass
    assert len(calls) >= 3
    assert study.trials == expected.trials


def test_more_trials_continue_a_study_and_fewer_add_none(folder, tmp_path):
    first = tune("itemknn", folder, budget=Budget(trials=2), store=tmp_path)
    more = tune("itemknn", folder, budget=Budget(trials=4), store=tmp_path)
    assert more.trials[:2] == first.trials
    assert len(more.trials) == 4
    assert tune("itemknn", folder, budget=Budget(trials=1), store=tmp_path).trials == more.trials


def test_a_trial_that_fails_does_not_count_and_is_told(folder, tmp_path):
    wild = {"fit.lr": [0.01, 1e30]}
    study = tune("bpr-mf", folder, budget=replace(SHORT, trials=4), store=tmp_path, ranges=wild)
    failed = [trial for trial in study.trials if trial["state"] == "failed"]
    assert len(study.completed) == 4
    assert failed
    assert all(trial["settings"]["fit"]["lr"] == 1e30 and "finite" in trial["error"] for trial in failed)
    assert study.best["settings"]["fit"]["lr"] == 0.01


def test_a_study_of_failures_alone_ends_with_an_error(folder, tmp_path):
    with pytest.raises(
        ValueError, match=r"bpr-mf on tiny: 4 of 4 trials failed, the last with: .*finite.*; see .*json"
    ):
        tune("bpr-mf", folder, budget=replace(SHORT, trials=2), store=tmp_path, ranges={"fit.lr": [1e30]})


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"budget": replace(SHORT, epochs=5)}, r"limits .*'epochs': 4.*asked for .*'epochs': 5"),
        ({"seed": 1}, "seed 0, asked for 1"),
        ({"ranges": {"l2": [0.1, 0.2]}}, "a study with space "),
        ({"start": {"l2": 0.5, "layers": 1, "fit": {"lr": 0.01}}}, "a study with start "),
    ],
)
def test_a_study_of_something_else_is_not_gone_on_with(changed, says, folder, tmp_path):
    tune("lightgcn", folder, budget=SHORT, store=tmp_path)
    with pytest.raises(ValueError, match=rf"tiny-lightgcn\.json: .*{says}.*delete the file, or take another --store"):
        tune("lightgcn", folder, **{"budget": SHORT, "store": tmp_path} | changed)


def test_a_study_of_other_data_is_not_gone_on_with(folder, tiny, tmp_path):
    tune("itemknn", folder, budget=SHORT, store=tmp_path)
    other = replace(tiny, train=tiny.train[1:])
    with pytest.raises(ValueError, match="a study with fingerprint"):
        tune("itemknn", folder, budget=SHORT, store=tmp_path, data=other)


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("name", ["trials", "epochs", "patience"])
def test_a_budget_has_no_number_below_1(name, number):
    with pytest.raises(ValueError, match=f"{name}={number} of a search; expected at least 1"):
        Budget(**{name: number})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ""), ("{}", ""), ("[]", ""), ('{"trials": 3}', ""), ("damaged", ""),
        ("TRIAL", "trial 0: expected one that is complete or failed"),
    ],
)  # fmt: skip
def test_what_is_no_study_is_refused_by_name(text, says, folder, tmp_path):
    path = tmp_path / "searches" / "tiny-itemknn.json"
    path.parent.mkdir()
    if text == "TRIAL":
        tune("itemknn", folder, budget=SHORT, store=tmp_path)
        values = json.loads(path.read_text())
        values["trials"][0]["settings"] = {"other": 1}
        text = json.dumps(values)
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"tiny-itemknn\.json: not a study.*{says}"):
        tune("itemknn", folder, budget=SHORT, store=tmp_path)
    assert path.read_text() == text


BEFORE = '# mine\n[search]\nl2 = [0.1]\n\n[a]\nl2 = 1\n\n[a.fit]\nlr = 2\n\n["vbpr+softmax"]\nl2 = 3\n\n[ab]\nl2 = 4\n'


@pytest.mark.parametrize("name", ["a", "ab", "new", "vbpr+softmax"])
def test_a_block_of_settings_replaces_its_like_alone(name, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(BEFORE)
    write_block(file, name, 'by "hand"', {"l2": 0.04, "layers": 2, "fit": {"lr": 0.03}})
    block = {"how": 'by "hand"', "l2": 0.04, "layers": 2, "fit": {"lr": 0.03}}
    assert tomllib.loads(file.read_text()) == tomllib.loads(BEFORE) | {name: block}
    assert file.read_text().startswith("# mine\n")
    assert list(tomllib.loads(file.read_text())) == [*dict.fromkeys([*tomllib.loads(BEFORE), name])]  # in its old place


def test_a_block_makes_the_file_where_there_is_none_and_no_table_without_training(tmp_path):
    write_block(tmp_path / "settings.toml", "itemknn", "how", {"neighbours": 7})
    assert tomllib.loads((tmp_path / "settings.toml").read_text()) == {"itemknn": {"how": "how", "neighbours": 7}}
    assert read_chosen(tmp_path / "settings.toml") == {"itemknn": {"neighbours": 7}}


def test_no_block_is_written_into_what_is_no_toml(tmp_path):
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(ValueError, match=r"notes\.txt: no file of settings"):
        write_block(tmp_path / "notes.txt", "itemknn", "how", {"neighbours": 7})
    assert (tmp_path / "notes.txt").read_text() == "dear diary"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("l2 = ", "no file of settings"), ("l2 = 1", "settings of l2: got 1"), ("[nothing]\nl2 = 1", "nothing"),
        ("[lightgcn]\nl3 = 1", "unknown setting 'l3' of lightgcn"), ("[lightgcn]\nl2 = 'a'", "l2='a' of lightgcn"),
        ("[lightgcn]\nlayers = 1.5", "layers=1.5 of lightgcn"), ("[lightgcn]\nl2 = nan", "l2=nan of lightgcn"),
        ("[lightgcn]\nl2 = -1", "l2=-1 of lightgcn"), ("[lightgcn]\nfit = 3", "got 3"),
        ("[lightgcn.fit]\nlr = 0", "lr=0"), ("[lightgcn.fit]\nspeed = 2", "unknown setting 'speed'"),
        ("[lightgcn.fit]\nseed = 2", "no seed among settings"), ("a = " + "[" * 5000, "no file of settings"),
        ("#" * 2**20 + "##", "1,048,578 bytes; expected at most"), ("\xff", "no file of settings"),
    ],
)  # fmt: skip
def test_what_is_no_file_of_settings_is_refused_by_name(text, says, refused, folder, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"settings\.toml: no file of settings") as error:
        read_chosen(file)
    assert says in str(error.value)
    refused("run", "lightgcn", "--data", folder, "--settings", str(file), says=r"settings\.toml")


def test_settings_that_are_not_there_are_refused(refused, folder, tmp_path):
    refused("run", "lightgcn", "--data", folder, "--settings", str(tmp_path / "no.toml"), says="no such file")
    refused("run", "lightgcn", "--data", folder, "--settings", str(tmp_path), says="no file of settings")


def test_the_commands_find_settings_and_train_with_them(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["--data", folder, "--trials", "2", "--epochs", "4"]
    status, out, _ = call(capsys, "tune", "itemknn", "teacher", "mmkd", *asked, "--out", "shop.toml")
    assert status == 0
    assert out.count("best: validation Recall@20") == 3
    chosen = read_chosen("shop.toml")
    assert [*chosen] == ["itemknn", "teacher", "mmkd"]
    status, out, _ = call(capsys, "run", "mmkd", "--data", folder, "--settings", "shop.toml")
    assert status == 0
    assert out.count("(shop.toml [mmkd])") == out.count("(shop.toml [teacher])") == 1
    file = next(line.split()[1] for line in out.splitlines() if line.startswith("record"))
    experiment = Record.read(file).experiment
    assert experiment == plan("mmkd", folder, chosen=chosen)
    assert experiment.teacher.fit.lr == chosen["teacher"]["fit"]["lr"]
    study = read_study("runs/searches/tiny-mmkd.json")
    assert study.best["validation recall@20"] == Record.read(file).validation["recall@20"]
    assert call(capsys, "tune", "itemknn", *asked, "--out", "shop.toml")[0] == 0  # nothing is left to do
    assert read_chosen("shop.toml") == chosen


def test_a_range_of_ones_own_is_searched_and_edges_are_told(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["--data", folder, "--trials", "3", "--range", "neighbours=1,2", "--range", "shrink=0.5:0.6"]
    status, out, _ = call(capsys, "tune", "itemknn", *asked)
    assert status == 0
    study = read_study("runs/searches/tiny-itemknn.json")
    assert study.space == {"neighbours": [1, 2], "shrink": {"low": 0.5, "high": 0.6}}
    assert study.start == {"neighbours": 2, "shrink": 0.6}
    assert f"at the edge of what was tried: neighbours={study.best['settings']['neighbours']} of [1, 2]" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["popularity"], "popularity has nothing to tune"),
        (["nothing"], "unknown model 'nothing'"),
        (["lightgcn", "--trials", "0"], "trials=0 of a search; expected at least 1"),
        (["lightgcn", "--trials", "x"], "is not a whole number"),
        (["lightgcn", "--epochs", "-1"], "epochs=-1 of a search"),
        (["lightgcn", "--patience", "0"], "patience=0 of a search"),
        (["lightgcn", "--range", "l2"], "expected NAME=LOW:HIGH or NAME=ONE,ANOTHER"),
        (["lightgcn", "--range", "=1:2"], "expected NAME=LOW:HIGH"),
        (["lightgcn", "--range", "l2=1:"], "expected NAME=LOW:HIGH"),
        (["lightgcn", "--range", "l2=2:1"], "expected two numbers above 0, the lesser first"),
        (["lightgcn", "--range", "l2=0:1"], "expected two numbers above 0"),
        (["lightgcn", "--range", "l2=a:b"], "l2='a' of lightgcn"),
        (["lightgcn", "--range", "layers=1,2.5"], "layers='2.5' of lightgcn"),
        (["lightgcn", "--range", "l3=1:2"], "unknown setting 'l3' in the search of lightgcn; one of"),
        (["lightgcn", "--range", "fit.speed=1:2"], "unknown setting 'fit.speed' in the search of lightgcn"),
        (["lightgcn", "bpr-mf", "--range", "l2=0.1:1"], "--range with 2 models; expected one MODEL"),
        (["lightgcn", "--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_trained(
    arguments, says, refused, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    refused("tune", *arguments, "--data", folder, says=says)
    assert not [*tmp_path.iterdir()]
