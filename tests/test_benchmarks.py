"""The programs of benchmarks/: what they cover, and what a search writes."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import optuna
import pytest

from benchmarks.epochs import rows
from benchmarks.search import adopt, in_force, space_of, suggest
from benchmarks.table import CITED
from mmkd_core import MODELS
from mmkd_core.evidence.cases import REAL
from mmkd_core.experiment import tables_of
from mmkd_core.models import defaults_of
from mmkd_core.training import FitConfig

ROOT = Path(__file__).parents[1]
BUDGETS = tomllib.loads((ROOT / "benchmarks" / "budgets.toml").read_text())
TRAINED = [name for name, kind in MODELS.items() if kind.trained]
SET = [name for name in MODELS if name not in ("popularity", "ensemble")]  # all that a search could help
BY_HAND = ("softmax-teacher", "softmax-factors", "mmkd-lists")  # whose studies are to come
STUDIED = [name for name in SET if name not in BY_HAND]
STUDIES = ROOT / "book" / "records" / "searches"


@pytest.mark.parametrize(
    "program", ["benchmarks", "benchmarks.search", "benchmarks.scale", "benchmarks.blocks", "benchmarks.serving"]
)
def test_a_program_shows_how_to_call_it(program):
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"python -m {program}" in done.stdout


def test_the_table_of_seconds_has_every_model_that_is_trained_and_every_peer_a_line():
    lines = rows()
    assert {row.model for row in lines} == set(TRAINED)
    assert len({row.title for row in lines}) == len(lines) == len(TRAINED) + 1
    assert {what for at in CITED["epoch"].values() for what in at} <= {row.title for row in lines}


def test_every_model_with_settings_has_a_space_of_them():
    assert [name for name in MODELS if "search" in tables_of(name)] == SET
    assert set(SET) == {*TRAINED, "itemknn"}
    for name in SET:
        space, start = space_of(name)
        settings = [setting for setting in space if setting != "fit"]
        assert settings
        assert set(settings) <= set(defaults_of(name))
        assert all(hasattr(FitConfig(), setting) for setting in space.get("fit", {}))
        assert ("fit" in space) == (name in TRAINED)
        assert list(start) == [*settings, *(f"fit.{setting}" for setting in space.get("fit", {}))]


@pytest.mark.parametrize("name", STUDIED)
def test_the_studies_began_where_the_space_says_or_where_the_budget_says(name):
    space, start = space_of(name)
    for dataset in REAL:
        begun = BUDGETS[dataset]["start"]
        trial = optuna.trial.FixedTrial(start if begun == "default" else in_force(name, begun, space))
        expected = suggest(trial, space) | ({"fit": suggest(trial, space["fit"], "fit.")} if "fit" in space else {})
        assert json.loads((STUDIES / f"{dataset}-{name}.json").read_text())["trials"][0]["settings"] == expected


@pytest.mark.parametrize("dataset", REAL)
def test_no_model_with_settings_is_without_a_study(dataset):
    assert {name for name in STUDIED if not (STUDIES / f"{dataset}-{name}.json").is_file()} == set()
    assert set(BUDGETS) == set(REAL)


def test_the_range_of_l2_is_the_same_in_every_space():
    spaces = {name: space_of(name)[0] for name in TRAINED}
    assert len({tuple(space["l2"].values()) for space in spaces.values() if "l2" in space}) == 1
    assert {name for name, space in spaces.items() if "l2" not in space} == set(BY_HAND)


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


BEFORE = "[search]\nl2 = [0.1]\nfit.lr = [0.5]\nstart.l2 = 0.1\n\n[a]\nl2 = 1\n\n[a.fit]\nlr = 2\n\n[ab]\nl2 = 3\n"


@pytest.mark.parametrize(("dataset", "others"), [("a", ["search", "ab"]), ("new", ["search", "a", "ab"])])
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


def test_the_service_is_put_under_load_beside_a_bare_loop():
    command = [sys.executable, "-m", "benchmarks.serving", "--at", "small", "--seconds", "0.2", "--repeat", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    title, _, *rows = done.stdout.splitlines()
    assert title.startswith("small: 200 users × 300 items")
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "bare", "bare, as JSON", "service", "service, one connection", "service, the long way", "bare in ASGI"
    ]  # fmt: skip
    assert all(float(row.split()[0].replace(",", "")) > 0 for row in rows)
