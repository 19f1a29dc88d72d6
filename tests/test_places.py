"""One folder is one data set: however its path is written, from wherever, and after it was moved."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from mmkd_core import DataError, Experiment, FitConfig, load, plan, run
from mmkd_core import experiment as module
from mmkd_core.__main__ import main
from mmkd_core.datasets import registry
from mmkd_core.measures import Measurement

pytestmark = pytest.mark.usefixtures("unchecked")
QUICK = ["--set", "fit.epochs=1", "--set", "dim=4"]


@pytest.fixture
def here(tmp_path, monkeypatch, write_small):
    """A working folder with the data set `x` in it."""
    monkeypatch.delenv("MMKD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_small(tmp_path / "x")
    return tmp_path


@pytest.fixture(autouse=True)
def _say_again():
    registry._note.cache_clear()


def no_training(*_, **__):
    raise AssertionError("trained again")


def records():
    return sorted(Path("runs").glob("*.json"))


def spellings(folder):
    (folder / "link").symlink_to(folder / "x")
    return ["x", "./x", str(folder / "x"), "x/", "../" + folder.name + "/x", "link", "x/../x"]


def test_all_spellings_of_a_folder_are_one_record_and_one_training(here, monkeypatch, capsys):
    names = spellings(here)
    assert main(["run", "mmkd", "--data", names[0], *QUICK, "--set", "teacher.dim=4"]) == 0
    before = {path: path.read_bytes() for path in records()}
    assert len(before) == 2
    monkeypatch.setattr(module, "fit", no_training)
    monkeypatch.setenv("MMKD_DATA", str(here))  # one more spelling of x
    for name in names:
        assert main(["run", "mmkd", "--data", name, *QUICK, "--set", "teacher.dim=4"]) == 0
    assert {path: path.read_bytes() for path in records()} == before
    assert capsys.readouterr().out.count("kept") == 1 + len(names)


def test_an_experiment_in_python_is_the_same_however_it_is_spelt(here, monkeypatch):
    make = lambda name: Experiment(name, "lightgcn", hparams={"dim": 4}, fit=FitConfig(epochs=1))  # noqa: E731
    first = run(make("./x"), "runs")
    monkeypatch.setattr(module, "fit", no_training)
    assert run(make("x/"), "runs") == first
    assert plan("lightgcn", "x") == plan("lightgcn", "./x/") == plan("lightgcn", str(here / "x"))


def test_a_folder_that_was_moved_or_renamed_is_the_same_data(here, monkeypatch):
    assert main(["run", "lightgcn", "--data", "x", *QUICK]) == 0
    (before,) = records()
    shutil.move("x", here / "elsewhere")
    monkeypatch.setattr(module, "fit", no_training)
    assert main(["run", "lightgcn", "--data", "elsewhere", *QUICK]) == 0
    assert records() == [before]
    assert json.loads(before.read_text())["experiment"]["dataset"] == str(here / "elsewhere")


def test_a_measurement_of_a_folder_is_one_however_its_path_is_written(here):
    assert len({Measurement("statistics", {"dataset": name}).key for name in spellings(here)}) == 1
    assert Measurement("statistics", {"dataset": "tiktok"}).arguments["dataset"] == "tiktok"


def test_a_path_that_begins_with_a_dot_is_looked_for_here_alone(here, monkeypatch, write_small):
    (here / "data").mkdir()
    write_small(here / "data" / "x", seed=1)
    monkeypatch.setenv("MMKD_DATA", str(here / "data"))
    assert load("./x").fingerprint == load(here / "x").fingerprint
    assert load("x").fingerprint == load(here / "data" / "x").fingerprint != load("./x").fingerprint
    assert plan("lightgcn", "./x").dataset == str(here / "x")
    with pytest.raises(DataError, match=r"unknown data set '\./y'"):
        load("./y")


def test_built_in_sets_are_written_by_their_name_alone():
    for name in ("demo", "tiktok", "lfm2k"):
        experiment = plan("mmkd", name)
        assert (experiment.dataset, experiment.teacher.dataset) == (name, name)


def test_recommend_works_from_another_folder_and_says_where_data_lie_now(here, monkeypatch, capsys, write_small):
    assert main(["run", "lightgcn", "--data", "x", *QUICK]) == 0
    (record,) = records()
    away = here / "away"
    away.mkdir()
    monkeypatch.chdir(away)
    ask = ["recommend", str(here / record), "--user", "3"]
    capsys.readouterr()
    assert main(ask) == 0
    best = capsys.readouterr().out
    shutil.move(here / "x", here / "y")
    assert main(ask) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "x'" in err
    assert "say where they lie now with --data FOLDER" in err
    assert main([*ask, "--data", "../y"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == best.splitlines()[1:]
    write_small(here / "z", seed=1)
    assert main([*ask, "--data", str(here / "z")]) == 2
    assert "made from other data than z is now" in capsys.readouterr().err


# --- folders called as a built-in set is ---


def test_a_folder_that_is_called_as_a_built_in_set_is_pointed_out(here, write_small, caplog):
    write_small(here / "demo")
    with caplog.at_level(logging.WARNING):
        assert load("demo").num_users == 1200
        load("demo")
    assert [r.getMessage() for r in caplog.records] == [
        "note: demo is the built-in data set; to read the folder of that name, write ./demo"
    ]
    assert load("./demo").num_users == 20
    assert plan("lightgcn", "./demo").dataset == str(here / "demo")
    assert plan("lightgcn", "demo").dataset == "demo"


def test_files_of_ones_own_under_a_built_in_name_are_pointed_out(here, write_small, caplog, monkeypatch):
    write_small(here / "tiktok")
    monkeypatch.setenv("MMKD_DATA", str(here))
    with caplog.at_level(logging.WARNING):
        assert load("tiktok").num_users == 20
    (note,) = [r.getMessage() for r in caplog.records]
    assert note == (
        f"note: {here / 'tiktok'} holds other files than the published tiktok; they are read as your own data"
    )


def test_where_no_folder_has_the_name_nothing_is_said(here, caplog):
    load("demo")
    assert not caplog.records
