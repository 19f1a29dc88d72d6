"""The command `mmkd` as a user meets it: exit status, what it says, what it leaves behind."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up_folder import ITEMS, write_folder

from mmkd_core import MODELS
from mmkd_core import experiment as module
from mmkd_core.__main__ import main

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
QUICK = ["--set", "fit.epochs=1", "--set", "fit.batch_size=512"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _no_stray_data(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)


def call(capsys, *arguments):
    """(exit status, standard output, standard error)"""
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def refused(capsys):
    def check(*arguments, says):
        status, out, err = call(capsys, *arguments)
        assert status == 2
        assert out == ""
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert re.search(says, err), err
        assert "Traceback" not in err

    return check


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    """A store with the record and weights of a LightGCN."""
    store = tmp_path_factory.mktemp("store")
    assert main(["run", "lightgcn", "--data", str(folder), "--store", str(store), *QUICK]) == 0
    return store


@pytest.fixture
def record(store, tmp_path):
    """A copy of that record with its weights, to be spoilt."""
    for file in store.iterdir():
        shutil.copy(file, tmp_path / file.name)
    return next(tmp_path.glob("*.json"))


# --- help ---


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "check"], ["run"], ["recommend"], ["table"]])
def test_help_of_every_command(arguments, capsys):
    status, out, _ = call(capsys, *arguments, "--help")
    assert status == 0
    assert out.startswith("usage: mmkd")


def test_help_teaches_by_example_and_lists_all_models_with_their_settings(capsys):
    assert "mmkd run mmkd --data tiktok" in call(capsys, "--help")[1]
    text = call(capsys, "run", "--help")[1]
    for name in MODELS:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)
    assert "prompt_mode=kd" in text


def test_the_module_runs_as_a_program_and_an_error_is_one_line_with_status_2():
    command = [sys.executable, "-m", "mmkd_core", "run", "lighgcn", "--data", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"mmkd: unknown model 'lighgcn'; one of \[.*\]\n", done.stderr)


def test_a_reader_that_has_read_enough_is_no_error():
    command = [sys.executable, "-m", "mmkd_core", "data", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()  # long before the program, which has yet to import torch, writes
        assert program.stderr.read() == ""
    assert program.returncode == 141


# --- data ---


def test_data_list_names_every_data_set_with_source_and_terms(capsys):
    status, out, _ = call(capsys, "data", "list")
    assert status == 0
    for name in ("demo", "tiktok", "ml-100k"):
        assert re.search(rf"^{name} ", out, re.MULTILINE)
    assert out.count("terms: ") >= 3


def test_data_check_of_a_folder_shows_its_size(folder, capsys):
    status, out, err = call(capsys, "data", "check", folder)
    assert (status, err) == (0, "")
    assert "tiny: 20 users × 60 items" in out
    assert "train 152, validation 19, test 29 interactions" in out
    assert "image_feat 6-d" in out or "image 6-d" in out


def spoil_truncate(folder):
    path = folder / "image_feat.npy"
    path.write_bytes(path.read_bytes()[:-100])


def spoil_nan(folder):
    x = np.load(folder / "text_feat.npy")
    x[7, 2] = np.nan
    np.save(folder / "text_feat.npy", x)


def spoil_rows(folder):
    np.save(folder / "image_feat.npy", np.ones((ITEMS + 5, 6), dtype=np.float32)[: ITEMS - 3])


def spoil_label(folder):
    with (folder / "tiny.inter").open("a") as file:
        file.write("0\t1\t7\n")


SPOILT = {
    spoil_truncate: r"image_feat\.npy",
    spoil_nan: r"text_feat\.npy.*row 7.*(NaN|finite)",
    spoil_rows: r"image_feat\.npy",
    spoil_label: r"tiny\.inter, line 202: got x_label 7; expected 0",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_spoilt_data_are_named_by_check_and_refused_by_run(spoil, tmp_path, capsys, refused):
    folder = write_folder(tmp_path / "tiny")
    spoil(folder)
    status, out, err = call(capsys, "data", "check", folder)
    assert status == 2
    assert re.search(SPOILT[spoil], out + err)
    assert "Traceback" not in out + err
    refused("run", "bpr-mf", "--data", folder, "--store", tmp_path / "store", *QUICK, says=SPOILT[spoil])
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("command", [["data", "check"], ["data", "fetch"], ["run", "bpr-mf", "--data"]])
def test_a_data_set_that_is_not_there(command, tmp_path, refused):
    refused(*command, tmp_path / "none", says="unknown data set '.*none'; one of .*demo")


# --- run ---


def test_a_run_prints_its_metrics_and_leaves_a_record_and_weights(store, folder, capsys, monkeypatch):
    def no_training(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(module, "fit", no_training)
    status, out, _ = call(capsys, "run", "lightgcn", "--data", folder, "--store", store, *QUICK)
    assert status == 0
    (path,) = store.glob("*.json")
    values = json.loads(path.read_text())
    assert f"recall@20 {values['metrics']['recall@20']:.4f}" in out
    assert str(path) in out
    assert {file.suffix for file in store.iterdir()} == {".json", ".npz", ".safetensors"}


def test_settings_of_model_training_and_teacher_reach_the_record(folder, tmp_path, capsys):
    changes = ["dim=4", "teacher.dim=4", "teacher.fit.epochs=1", "teacher.fit.lr=0.5", "pair=0", "init=random"]
    arguments = [part for change in changes for part in ("--set", change)]
    status, _, err = call(capsys, "run", "mmkd", "--data", folder, "--seed", 3, "--store", tmp_path, *QUICK, *arguments)
    assert status == 0
    assert "teacher" in err  # its progress bar
    records = [json.loads(path.read_text())["experiment"] for path in tmp_path.glob("*.json")]
    (student,) = (values for values in records if values["model"] == "mmkd")
    assert (student["seed"], student["fit"]["epochs"], student["fit"]["seed"]) == (3, 1, 3)
    assert (student["hparams"]["dim"], student["hparams"]["pair"], student["hparams"]["init"]) == (4, 0, "random")
    assert (student["teacher"]["hparams"]["dim"], student["teacher"]["fit"]["lr"]) == (4, 0.5)
    assert student["teacher"] in records


def test_a_catalogue_too_small_for_recall_at_50(tmp_path, refused):
    folder = tmp_path / "small"
    folder.mkdir()
    rows = [f"{user}\t{item}\t{max(0, item - 6)}" for user in range(5) for item in range(9)]
    (folder / "small.inter").write_text("\n".join(["userID\titemID\tx_label", *rows]) + "\n")
    refused("run", "bpr-mf", "--data", folder, "--store", tmp_path / "s", says="k=50 for a catalogue of 9 items")
    assert not (tmp_path / "s").exists()


def test_a_run_that_diverges_says_so_and_leaves_nothing(folder, tmp_path, capsys):
    arguments = ["run", "bpr-mf", "--data", folder, "--store", tmp_path / "s", "--set", "fit.lr=1e38"]
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert re.search(r"^mmkd: epoch \d+: loss terms .*expected finite numbers. Try a lower lr\n\Z", err, re.MULTILINE)
    assert not list(tmp_path.rglob("*.json")) + list(tmp_path.rglob("*.safetensors"))


# --- recommend ---


def test_recommend_shows_the_best_items_the_user_has_not_seen(store, folder, capsys):
    (path,) = store.glob("*.json")
    status, out, _ = call(capsys, "recommend", path, "--user", 3, "--top", 5)
    assert status == 0
    shown = [int(item) for item in re.findall(r"^ +\d+\. item (\d+) ", out, re.MULTILINE)]
    rows = [line.split("\t") for line in (folder / "tiny.inter").read_text().splitlines()[1:]]
    train = {int(item) for user, item, label in rows if (user, label) == ("3", "0")}
    assert len(shown) == 5
    assert not train & set(shown)
    assert "user 3 of tiny, 8 training items" in out


def test_a_missing_record(tmp_path, refused):
    refused("recommend", tmp_path / "none.json", "--user", 1, says=r"none\.json: no such record")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"experiment": {}}'])
def test_a_corrupt_record(text, tmp_path, refused):
    (tmp_path / "bad.json").write_text(text)
    refused("recommend", tmp_path / "bad.json", "--user", 1, says=r"bad\.json: not a record")


def test_a_folder_in_place_of_a_record(tmp_path, refused):
    refused("recommend", tmp_path, "--user", 1, says="not a record")


def test_a_record_whose_weights_are_gone(record, refused):
    record.with_suffix(".safetensors").unlink()
    advice = "no weights beside the record; train it again, with its settings, into another folder: mmkd run lightgcn"
    refused("recommend", record, "--user", 1, says=advice)


def test_a_record_whose_weights_are_truncated(record, refused):
    weights = record.with_suffix(".safetensors")
    weights.write_bytes(weights.read_bytes()[:-64])
    refused("recommend", record, "--user", 1, says=r"\.safetensors: not the weights of the record")


def test_a_record_of_data_that_have_changed_since(record, tmp_path, refused):
    folder = write_folder(tmp_path / "tiny", without_history=0)
    values = json.loads(record.read_text())
    values["experiment"]["dataset"] = str(folder)
    record.write_text(json.dumps(values))
    refused("recommend", record, "--user", 1, says="made from other data than tiny is now")


def test_a_record_of_data_that_are_gone(record, refused):
    values = json.loads(record.read_text())
    values["experiment"]["dataset"] = "somewhere/else"
    record.write_text(json.dumps(values))
    refused("recommend", record, "--user", 1, says="unknown data set 'somewhere/else'")


# --- table ---

RECORDS = Path(__file__).parents[1] / "book" / "records"


def test_table_4_prints_records_and_published_figures_and_that_the_data_differ(capsys):
    status, out, _ = call(capsys, "table", "4", "--records", RECORDS)
    assert status == 0
    ours = next(line for line in out.splitlines() if line.startswith("LightGCN"))
    assert re.match(r"LightGCN +\d( of \d)?( +0\.\d{4} ± 0\.\d{4}( [¹²])?){4} ", ours)
    assert ours.endswith("0.0612/0.0211  0.0653/0.0282")
    assert "none of the paper's three data sets can be had" in " ".join(out.split())


def test_table_4_of_one_data_set(capsys):
    _, out, _ = call(capsys, "table", "4", "--records", RECORDS, "--data", "tiktok")
    assert [line for line in out.splitlines() if line in ("tiktok", "lfm2k", "amazon-beauty")] == ["tiktok"]


def test_a_table_with_a_budget_first_runs_what_the_records_lack(folder, tmp_path, capsys):
    arguments = ["table", "5", "--data", folder, "--records", tmp_path, "--budget", "smoke"]
    status, out, err = call(capsys, *arguments)
    assert status == 0
    assert "not run" not in out.partition("Test metrics")[0]
    assert "left=0" in err
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert call(capsys, *arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_a_wrong_argument_of_table(tmp_path, refused):
    refused("table", "2", says=r"invalid choice: '2' \(choose from '?1'?, ")
    refused(
        "table",
        "4",
        "--records",
        tmp_path / "none",
        says="no such folder of records; expected the folder book/records of a clone",
    )
    refused("table", "4", "--records", RECORDS, "--data", "tiktak", says=r"'tiktak': no such data set or folder")
    refused("table", "4", "--budget", "large", says="invalid choice: 'large'")
