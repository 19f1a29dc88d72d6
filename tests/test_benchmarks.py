"""The programs of benchmarks/: what they cover, and what a search writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.epochs import rows
from benchmarks.search import budgets, in_force
from benchmarks.table import CITED
from mmkd_core import MODELS
from mmkd_core.chosen import flat, tables_of
from mmkd_core.evidence.cases import REAL
from mmkd_core.models import defaults_of
from mmkd_core.study import nearest_in, read_study, space_of
from mmkd_core.training import FitConfig

ROOT = Path(__file__).parents[1]
BUDGETS = budgets()
TRAINED = [name for name, kind in MODELS.items() if kind.trained]
SET = [name for name in MODELS if name not in ("popularity", "ensemble")]  # all that a search could help
BY_HAND = ("softmax-teacher", "softmax-factors", "mmkd-lists")  # whose studies are to come
STUDIED = [name for name in SET if name not in BY_HAND]
STUDIES = ROOT / "book" / "records" / "searches"
NEW = [path for path in sorted(STUDIES.glob("*.json")) if "fingerprint" in json.loads(path.read_text())]


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
        assert list(flat(start)) == list(flat(space))
        assert all(
            nearest_in(part, flat(start)[setting]) == flat(start)[setting] for setting, part in flat(space).items()
        )
        assert {*flat(in_force(name, "tiktok", space))} == {*flat(space)}


@pytest.mark.parametrize("path", NEW, ids=lambda path: path.stem)
def test_a_study_began_with_what_was_in_force_and_ended_no_worse(path):
    study = read_study(path)
    assert study.trials[0]["settings"] == study.start
    assert {*flat(study.start)} == {*flat(study.space)}
    assert study.best["validation recall@20"] >= study.trials[0]["validation recall@20"]


@pytest.mark.parametrize("dataset", REAL)
def test_no_model_with_settings_is_without_a_study(dataset):
    assert {name for name in STUDIED if not (STUDIES / f"{dataset}-{name}.json").is_file()} == set()
    assert set(BUDGETS) - {"pruned"} == set(BUDGETS["pruned"]) == set(REAL)


def test_the_range_of_l2_is_the_same_in_every_space():
    spaces = {name: space_of(name)[0] for name in TRAINED}
    assert len({tuple(space["l2"].values()) for space in spaces.values() if "l2" in space}) == 1
    assert {name for name, space in spaces.items() if "l2" not in space} == set(BY_HAND)


def test_the_service_is_put_under_load_beside_a_bare_loop(tmp_path):
    command = [sys.executable, "-m", "benchmarks.serving", "--at", "small", "--seconds", "0.2", "--repeat", "1"]
    command += ["--out", tmp_path / "load.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    title, _, *rows = done.stdout.splitlines()
    assert title.startswith("small: 200 users × 300 items")
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "bare", "bare, as JSON", "service", "service, one connection", "service, the long way", "bare in ASGI"
    ]  # fmt: skip
    assert all(float(row.split()[0].replace(",", "")) > 0 for row in rows)
    written = json.loads((tmp_path / "load.json").read_text())
    assert list(written["at"]["small"]["requests"]) == [row.split("  ")[-1].strip() for row in rows]
    assert written["at"]["small"]["requests"]["service"]["p99"] > 0
