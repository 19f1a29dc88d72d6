"""Settings that are none, and sizes that cannot be: on the command line and in Python, one message each."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmkd_core import MODELS, Experiment, FitConfig, load, plan
from mmkd_core.commands.run import planned
from mmkd_core.datasets import OPTIONS
from mmkd_core.models import VARIANTS, settings_of
from mmkd_core.settings import QUOTED, quoted, read
from mmkd_core.training import SETTINGS

HERE = Path(__file__).parent
pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks


def cases(name):
    rows = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))["cases"]
    return [pytest.param(row, id=row["name"]) for row in rows]


@pytest.mark.parametrize("case", cases("settings") + cases("sizes"))
def test_a_setting_of_the_command_line(case, refused, small, tmp_path):
    data = case.get("data", small)
    model, store = case.get("model", "lightgcn"), tmp_path / "store"
    refused("run", model, "--data", data, "--store", store, f"--set={case['set']}", says=case["says"])
    assert not store.exists()


def call(case, small):
    model, given = case.get("model", "lightgcn"), case["given"]
    calls = {
        "plan": lambda: plan(model, str(small), **given),
        "model": lambda: MODELS[model](load(small), **given),
        "FitConfig": lambda: FitConfig(**given),
        "Experiment": lambda: Experiment(**{"dataset": "tiny", "model": model, **given}),
        "load": lambda: load(small, **given),
    }
    return calls[case["call"]]()


@pytest.mark.parametrize("case", cases("python"))
def test_a_setting_in_python(case, small):
    with pytest.raises(ValueError, match=case["says"]) as caught:
        call(case, small)
    assert "\n" not in str(caught.value)


# What is no value of a kind, in texts; a text is refused by its own choices alone.
WRONG = {
    bool: ["", "0", "1", "no", "off", "yes", "None", "truth"],
    int: ["", "x", "1.0", "1e3", "1_0", " 1", "١", "True", "[1]", "-1", "9" * 30, "9" * 5000],
    float: ["", "x", "nan", "inf", "1e400", "1_0.0", "0x1", "١", "True", "[1]", "-1", "1,5"],
}
GROUPS = {
    **{name: ("", settings_of(name)) for name in (*MODELS, *VARIANTS)},
    "training": ("fit.", {name: setting for name, setting in SETTINGS.items() if name != "seed"}),
    "teacher": ("teacher.", settings_of("teacher")),
    "training of the teacher": ("teacher.fit.", {"lr": SETTINGS["lr"], "epochs": SETTINGS["epochs"]}),
    "data": ("data.", {name: OPTIONS[name] for name in ("swap", "redundancy", "seed")}),
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_setting_refuses_what_is_no_value_of_its_kind(group):
    front, settings = GROUPS[group]
    model = group if not front else "mmkd" if front.startswith("teacher") else "lightgcn"
    for name, setting in settings.items():
        for text in WRONG.get(setting.kind, ()):
            if front == "data." and (setting.kind, text) in ((int, "-1"), (float, "-1")):
                continue  # which numbers make sense, the data set says
            with pytest.raises(ValueError, match=rf"^{name}=.* of .*; expected ") as caught:
                planned(model, "demo", 0, [f"{front}{name}={text}"])
            assert "\n" not in str(caught.value)


# Texts near to numbers, and any others.
TEXTS = st.text(max_size=12) | st.text("0123456789eE.+-_ \u0661\uff11nantrue", max_size=12)


def attempt(setting, model="lightgcn"):
    """The experiment that a text of `--set` plans, or what is said of it."""
    try:
        return planned(model, "demo", 0, [setting]), ""
    except ValueError as error:
        return None, str(error)


@given(TEXTS)
@example("64")
@example("+64")
def test_a_whole_number_is_read_from_its_digits_alone(text):
    experiment, said = attempt(f"dim={text}")
    good = re.fullmatch(r"\+?[0-9]{1,30}", text) and 1 <= int(text) < 2**63
    assert bool(good) == (experiment is not None), said
    assert "\n" not in said
    if experiment is not None:
        assert (type(experiment.hparams["dim"]), experiment.hparams["dim"]) == (int, int(text))


@given(TEXTS | st.floats().map(repr))
@example("1e-3")
@example(".5")
@example("1e-400")
def test_a_number_is_read_as_python_reads_it_or_not_at_all(text):
    experiment, said = attempt(f"l2={text}")
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
    assert bool(plain and 0 <= float(text) <= 3.4e38) == (experiment is not None), said
    assert "\n" not in said
    if experiment is not None:
        assert (type(experiment.hparams["l2"]), experiment.hparams["l2"]) == (float, float(text))


@given(TEXTS)
@example("TRUE")
@example("false")
def test_a_truth_is_true_or_false(text):
    experiment, said = attempt(f"data.swap={text}")
    if experiment is None:
        assert re.match("swap=.* of demo; expected true or false", said)
    assert (experiment is not None) == (text.lower() in ("true", "false"))


@given(st.text(max_size=30) | st.text("=.abdfit", max_size=30))
def test_what_is_no_setting_is_one_line(text):
    assert attempt(text, "mmkd")[1].isprintable()


@pytest.mark.parametrize("name", [*MODELS, *VARIANTS])
def test_every_default_is_a_value_of_its_setting(name):
    for key, setting in settings_of(name).items():
        if setting.default is not None:
            assert read(str(setting.default), setting) == setting.default, key


@pytest.mark.parametrize(("text", "value"), [("false", False), ("False", False), ("TRUE", True), ("true", True)])
def test_a_truth_is_read_as_one(text, value):
    assert plan("lightgcn", "demo", options={"swap": value}) == planned("lightgcn", "demo", 0, [f"data.swap={text}"])


def test_an_option_at_its_default_is_no_other_experiment():
    plain = plan("lightgcn", "demo")
    assert plain == planned("lightgcn", "demo", 0, ["data.swap=false", "data.noise=0", "data.content=real"])
    assert planned("lightgcn", "demo", 0, ["data.noise=1"]) == plan("lightgcn", "demo", options={"noise": 1.0}) != plain


def test_what_a_message_quotes_is_cut():
    assert quoted("x" * 500) == "'" + "x" * (QUOTED - 4) + "..."
    assert quoted(10**5000) == "a int too long to show"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert quoted(deep) == "a list too long to show"
