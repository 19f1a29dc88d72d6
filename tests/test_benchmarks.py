"""The programs of benchmarks/: what they cover, and what a search writes."""

import subprocess
import sys
import tomllib
from pathlib import Path

import optuna
import pytest

from benchmarks.epochs import CASES
from benchmarks.search import adopt, suggest
from mmkd_core import MODELS
from mmkd_core.models import settings_of
from mmkd_core.recipes.cases import REAL
from mmkd_core.training import FitConfig

ROOT = Path(__file__).parents[1]
SPACES = tomllib.loads((ROOT / "benchmarks" / "spaces.toml").read_text())
TRAINED = [name for name in MODELS if name not in ("popularity", "itemknn")]
SET = [name for name in MODELS if settings_of(name)]  # all that a search could help: Popularity has no settings
STUDIES = ROOT / "book" / "records" / "searches"


@pytest.mark.parametrize("program", ["epochs", "search"])
def test_a_program_shows_how_to_call_it(program):
    command = [sys.executable, "-m", f"benchmarks.{program}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"python -m benchmarks.{program}" in done.stdout


def test_the_table_of_seconds_has_every_model_that_is_trained():
    assert {name for name, _, _ in CASES.values()} == set(TRAINED)


def test_every_model_with_settings_has_a_space_of_them():
    assert [name for name in SPACES if name != "budget"] == SET
    assert set(SET) == {*TRAINED, "itemknn"}
    for name in SET:
        settings = [setting for setting in SPACES[name] if setting != "fit"]
        assert settings
        assert set(settings) <= set(settings_of(name))
        assert all(hasattr(FitConfig(), setting) for setting in SPACES[name].get("fit", {}))
        assert ("fit" in SPACES[name]) == (name in TRAINED)


@pytest.mark.parametrize("dataset", REAL)
def test_no_model_with_settings_is_without_a_study(dataset):
    assert {name for name in SET if not (STUDIES / f"{dataset}-{name}.json").is_file()} == set()
    assert set(SPACES["budget"]) == set(REAL)


def test_the_range_of_l2_is_the_same_in_every_space():
    assert len({tuple(SPACES[name]["l2"].values()) for name in TRAINED}) == 1


def test_numbers_are_tried_with_two_digits():
    trial = optuna.trial.FixedTrial({"l2": 0.0123456, "fit.lr": 3.21e-4, "layers": 2})
    space = {"l2": {"low": 1e-3, "high": 1.0}, "layers": [1, 2], "fit": {"lr": {"low": 1e-4, "high": 1.0}}}
    assert suggest(trial, space) == {"l2": 0.012, "layers": 2}
    assert suggest(trial, space["fit"], "fit.") == {"lr": 0.00032}


def test_a_range_of_whole_numbers_gives_whole_numbers():
    trial = optuna.trial.FixedTrial({"neighbours": 1234, "shrink": 100.0})
    found = suggest(trial, {"neighbours": {"low": 5, "high": 2000}, "shrink": {"low": 0.1, "high": 1000.0}})
    assert found == {"neighbours": 1200, "shrink": 100.0}
    assert isinstance(found["neighbours"], int)


BEFORE = "[default]\nl2 = 0.1\n\n[default.fit]\nlr = 0.5\n\n[a]\nl2 = 1\n\n[a.fit]\nlr = 2\n\n[ab]\nl2 = 3\n"


@pytest.mark.parametrize(("dataset", "others"), [("a", ["default", "ab"]), ("new", ["default", "a", "ab"])])
def test_a_choice_replaces_the_block_of_its_data_set_alone(dataset, others, tmp_path):
    file = tmp_path / "model.toml"
    file.write_text(BEFORE)
    adopt(file, dataset, "how", {"l2": 0.04, "layers": 2, "fit": {"lr": 0.03}})
    before, after = tomllib.loads(BEFORE), tomllib.loads(file.read_text())
    assert after == {name: before[name] for name in others} | {
        dataset: {"how": "how", "l2": 0.04, "layers": 2, "fit": {"lr": 0.03}}
    }


def test_a_choice_without_settings_of_a_training_writes_none(tmp_path):
    adopt(tmp_path / "model.toml", "a", "how", {"neighbours": 7})
    assert tomllib.loads((tmp_path / "model.toml").read_text()) == {"a": {"how": "how", "neighbours": 7}}


def test_a_choice_makes_the_file_of_a_model_that_has_none(tmp_path):
    adopt(tmp_path / "model.toml", "a", "how", {"fit": {"lr": 0.03}})
    assert tomllib.loads((tmp_path / "model.toml").read_text()) == {"a": {"how": "how", "fit": {"lr": 0.03}}}
