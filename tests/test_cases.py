"""What each question of the book is made of."""

from dataclasses import replace

import pytest

from mmkd_core.evidence.cases import EARLIER, Asked, Variant
from mmkd_core.evidence.question import NOTES
from mmkd_core.evidence.questions import QUESTIONS, ablations, comparison, hyperparameters
from mmkd_core.experiment import Experiment, plan
from mmkd_core.models import MODELS, defaults_of

ALL = {name: question.cases for name, question in QUESTIONS.items()}


def variants(dataset="tiktok", seed=0):
    return {c.labels["variant"]: c.job for c in ablations.cases([dataset], [seed])}


@pytest.mark.parametrize("name", ALL)
def test_cases_follow_their_arguments(name):
    cases = ALL[name](datasets=["demo"], seeds=[7], budget="quick")
    assert cases
    for labels, job in cases:
        assert labels["dataset"] == "demo"
        if isinstance(job, Experiment):
            assert (labels["seed"], job.seed, job.dataset) == (7, 7, "demo")
            assert job.fit.epochs <= 20
            assert job.teacher is None or (job.teacher.fit.epochs <= 20 and job.teacher.options == job.options)


@pytest.mark.parametrize("name", ALL)
def test_the_smoke_budget_is_the_demo_one_seed_one_epoch(name):
    jobs = [job for _, job in ALL[name](budget="smoke") if isinstance(job, Experiment)]
    assert {(job.dataset, job.seed) for job in jobs} <= {("demo", 0)}
    assert {job.fit.epochs for job in jobs} <= {0, 1}


@pytest.mark.parametrize("name", ALL)
def test_the_paper_budget_trains_with_the_settings_in_force_or_those_of_an_earlier_study(name):
    asked = Asked(earlier=NOTES["earlier"] in QUESTIONS[name].notes)  # who rests on them says so
    for _, job in ALL[name]():
        if isinstance(job, Experiment) and job.fit.epochs:
            assert job.fit == asked.planned(job.dataset, job.seed, Variant(job.model)).fit


@pytest.mark.parametrize("name", ALL)
def test_an_unknown_budget_is_named(name):
    with pytest.raises(ValueError, match=r"unknown budget 'huge'; one of \['smoke', 'quick', 'paper'\]"):
        ALL[name](budget="huge")


def test_table_4_has_every_system_five_seeds_of_mmkd_and_two_others_and_three_of_the_rest():
    cases = comparison.cases(["tiktok"])
    seeds = {}
    for case in cases:
        seeds.setdefault(case.labels["system"], []).append(case.labels["seed"])
    assert list(seeds) == [*(MODELS[name].title for name in comparison.SYSTEMS), comparison.START]
    assert {name for name, own in seeds.items() if own == [0, 1, 2, 3, 4]} == {"MMKD", "LightGCN", "CLCRec"}
    assert seeds["Popularity"] == seeds["ItemKNN"] == [0]
    assert seeds["VBPR"] == [0, 1, 2]


def test_an_ablation_differs_from_mmkd_in_what_its_name_says():
    jobs, base = variants(), plan("mmkd", "tiktok")
    changes = {}
    for name, job in jobs.items():
        own = {k: v for k, v in job.hparams.items() if base.hparams.get(k) != v} if job.model != "teacher" else {}
        taught = job.teacher and {k: v for k, v in job.teacher.hparams.items() if base.teacher.hparams[k] != v}
        changes[name] = (job.model, own, taught)
    assert changes["MMKD"] == ("mmkd", {}, {})
    assert changes["w/o-Prompt"] == ("mmkd", {}, {"prompt_rate": 0.0})
    assert changes["w/o-PairKD"] == ("mmkd", {"pair": 0.0}, {})
    assert changes["w/o-ListKD"] == ("mmkd", {"list": 0.0}, {})
    assert changes["w/o-EmbKD"] == ("mmkd", {"embed": 0.0}, {})
    assert set(changes["w/o-disentangle"][1]) <= {"alpha", "beta"}
    assert jobs["w/o-disentangle"].hparams["list"] == base.hparams["list"]
    assert (jobs["w/o-disentangle"].hparams["alpha"], jobs["w/o-disentangle"].hparams["beta"]) == (1.0, 1.0)
    assert (base.hparams["alpha"], base.hparams["beta"]) != (1.0, 1.0)
    assert jobs["Xavier prompt"].teacher.model == "teacher+xavier"
    assert jobs["student, untrained"].fit.epochs == 0
    assert jobs["released: selected on test"].options == {"swap": True}
    assert jobs["released: selected on test"].teacher.options == {"swap": True}


def test_ablations_of_the_student_share_one_teacher():
    jobs = variants()
    shared = [n for n in jobs if n not in ("w/o-Prompt", "Xavier prompt", "teacher, as it is") and "test" not in n]
    assert len({str(jobs[name].teacher) for name in shared}) == 1
    assert jobs["teacher, as it is"] == jobs["MMKD"].teacher


def test_figure_4_moves_one_setting_at_a_time():
    for labels, job in hyperparameters.cases(["lfm2k"], [0]):
        taught = labels["setting"].startswith("teacher.")
        name = labels["setting"].removeprefix("teacher.")
        changed = job.teacher if taught and job.teacher else job
        base = Asked(earlier=True).planned("lfm2k", 0, Variant(changed.model))
        assert {k for k, v in changed.hparams.items() if base.hparams[k] != v} <= {name}
        assert changed.hparams[name] == labels["value"] or labels["in force"]


def test_figure_4_has_three_seeds_at_every_value():
    seeds = {}
    for labels, _ in hyperparameters.cases(["lfm2k"]):
        seeds.setdefault((labels["setting"], labels["value"], labels["system"]), []).append(labels["seed"])
    assert all(own == [0, 1, 2] for own in seeds.values())
    assert {value for setting, value, _ in seeds if setting == "list"} == {
        *hyperparameters.GRIDS["list"][1], Asked(earlier=True).planned("lfm2k", 0, Variant()).hparams["list"],
    }  # fmt: skip


@pytest.mark.parametrize(("dataset", "model"), [(d, m) for d, models in EARLIER.items() for m in models])
def test_a_question_may_rest_on_the_settings_of_an_earlier_study(dataset, model):
    held, now = EARLIER[dataset][model], plan(model, dataset)
    job = Asked(earlier=True).planned(dataset, 1, Variant(model, {"l2": 0.5}, {"lr": 0.25}))
    assert job.hparams == {**now.hparams, **held["hparams"], "l2": 0.5}
    assert job.fit == replace(now.fit, **{**held["fit"], "lr": 0.25, "seed": 1})
    assert Asked().planned(dataset, 1, Variant(model)) == plan(model, dataset, seed=1)
    changed = [name for name, value in held["hparams"].items() if value != now.hparams[name]]
    changed += [name for name, value in held["fit"].items() if value != getattr(now.fit, name)]
    assert changed, "these settings are in force: take them away"


def test_the_multimodal_systems_are_those_that_read_features():
    readers = [name for name in MODELS if MODELS[name].reads_content]
    assert set(readers) < set(MODELS)
    assert {m for m in MODELS if m not in readers} == {"popularity", "itemknn", "bpr-mf", "ngcf", "lightgcn"}
    assert all(defaults_of(model) for model in readers)
    assert [*comparison.MULTIMODAL, "teacher", "mmkd"] == [name for name in comparison.SYSTEMS if name in readers]
