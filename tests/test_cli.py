"""The command `mmkd` as a user meets it: exit status, what it says, what it leaves behind."""

import contextlib
import inspect
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from made_up_folder import ITEMS, write_far_folder, write_folder
from safetensors.torch import load_file

import mmkd_core
from mmkd_core import MODELS, FitConfig, Record, fit, runs
from mmkd_core.__main__ import main
from mmkd_core.commands import evidence
from mmkd_core.commands.run import in_force, planned
from mmkd_core.datasets import load, places
from mmkd_core.datasets.importing import import_log
from mmkd_core.evidence import cases, engine, questions
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.questions.data import statistics

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
QUICK = ["--set", "fit.epochs=1", "--set", "fit.batch_size=512"]
RECORDS = Path(__file__).parents[1] / "book" / "records"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(autouse=True)
def _no_stray_data(monkeypatch):
    monkeypatch.delenv("MMKD_DATA", raising=False)


@pytest.fixture(scope="module")
def store(folder, tmp_path_factory):
    """A store with the record and weights of a LightGCN."""
    store = tmp_path_factory.mktemp("store")
    assert main(["run", "lightgcn", "--data", str(folder), "--store", str(store), *QUICK]) == 0
    return store


@pytest.fixture
def record(store, tmp_path):
    """A copy of that record with its weights, to be spoilt."""
    shutil.copytree(store, tmp_path, dirs_exist_ok=True)
    return next(tmp_path.rglob("*.json"))


# --- help ---


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "check"], ["import"], ["run"], ["recommend"], ["table"]])
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
    assert "fit.NAME (epochs, batch_size, lr, weight_decay, patience, evaluate_every, precision)" in text
    assert "hparams/MODEL.toml overrides them" in text
    assert "teacher.model=teacher+xavier" in text


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


# What takes long to import: a second of CPU each, or more.
HEAVY = (
    "torch",
    "pandas",
    "pyarrow",
    "numpy",
    "scipy",
    "sklearn",
    "matplotlib",
    "seaborn",
    "pooch",
    "jaxtyping",
    "tqdm",
)


def heavy_imports(code):
    """The heavy packages that a fresh interpreter has imported after `code`, whatever it prints."""
    code = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('|', *set({HEAVY}) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.rpartition("|")[2].split()


@pytest.mark.parametrize(
    "arguments",
    ["", "--help", "--version", "data list", "fly", "run", "run lightgcn", "run lightgcn --data demo --sed 1",
     "data check", "import --help", "import log.csv", "table 2", "table --help", "figure 9", "claims --help",
     "recommend --user x", "--threads 9999 data list"],
)  # fmt: skip
def test_help_and_usage_errors_import_nothing_heavy(arguments):
    assert heavy_imports(f"from mmkd_core.__main__ import main; main({arguments.split()})") == []


def test_the_library_imports_a_part_when_it_is_asked_for():
    assert heavy_imports("import mmkd_core; mmkd_core.__version__; dir(mmkd_core)") == []
    assert "torch" in heavy_imports("from mmkd_core import load, fit")
    assert "torch" in heavy_imports("import mmkd_core; mmkd_core.MODELS")
    assert {name: getattr(mmkd_core, name).__name__ for name in mmkd_core.__all__ if name != "MODELS"} == {
        name: name for name in mmkd_core.__all__ if name != "MODELS"
    }
    assert set(mmkd_core.__all__) <= set(dir(mmkd_core))
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        mmkd_core.lod  # noqa: B018


def test_the_names_that_arguments_may_have_are_those_of_the_library():
    assert [*questions.TABLES] == evidence.names("table")
    names = ["1", "3", "4", "5", "6", "7", "8", "cold", "content", "cooccurrence", "demo"]
    names += ["leading", "overfitting", "refresh"]
    assert [*questions.TABLES] == names
    assert [*questions.FIGURES] == evidence.names("figure") == ["3", "4", "5"]
    assert tuple(cases.BUDGETS) == evidence.BUDGETS
    assert engine.ENGINES == evidence.ENGINES


@pytest.mark.parametrize(
    ("arguments", "encoding"),
    [("claims", "cp1252"), ("table 4", "gbk"), ("run --help", "cp1251")]  # seconds each
    + [("data list", encoding) for encoding in ("cp1252", "gbk", "cp1251", "ascii", "utf-16")],
)
def test_redirected_output_is_utf_8_whatever_the_environment_says(arguments, encoding, tmp_path):
    command = [sys.executable, "-m", "mmkd_core", *arguments.split()]
    if arguments == "table 4":
        command += ["--records", str(RECORDS), "--data", "tiktok"]
    if arguments == "claims":
        command += ["--records", str(tmp_path)]  # without any record: what is claimed is all there
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with (tmp_path / "out").open("wb") as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.PIPE, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    text = (tmp_path / "out").read_bytes().decode("utf-8")
    assert "\ufffd" not in text
    if arguments != "run --help":
        assert not text.isascii()


def test_a_terminal_that_lacks_a_character_shows_a_mark_in_its_place():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "mmkd_core", "data", "list"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as program:
        os.close(theirs)
        said = b""
        with contextlib.suppress(OSError):  # how a terminal says that the other end is closed
            while part := os.read(ours, 4096):
                said += part
        assert program.stderr is not None
        assert program.stderr.read() == b""
    os.close(ours)
    assert program.returncode == 0
    assert b"9,308 users ? 6,710 videos" in said


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


# --- import ---


def test_a_log_becomes_data_that_the_other_commands_read(tmp_path, capsys):
    rows = [(f"user {user}", f"item {item}", item + 1) for user in range(12) for item in range(90) if (user * item) % 3]
    log, out = tmp_path / "log.csv", tmp_path / "shop"
    log.write_text("who,what,when\n" + "".join(f"{user},{item},{when}\n" for user, item, when in [*rows, ("", "x", 1)]))
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "image.npy", np.eye(90, dtype=np.float32))
    (tmp_path / "features" / "ids.txt").write_text("".join(f"item {item}\n" for item in range(90)))
    command = ["import", log, out, "--user", "who", "--item", "what", "--time", "when", "--split", "latest"]
    status, said, err = call(capsys, *command, "--k-core", "3", "--features", tmp_path / "features")
    assert (status, err) == (0, "")
    assert said.splitlines() == [
        "log.csv: 481 rows",
        "left out: 1 with no user (row 481)",
        "after reading: 480 interactions, 8 users, 60 items",
        "after duplicates: 480 interactions, 8 users, 60 items",
        "after 3-core: 480 interactions, 8 users, 60 items",
        "split latest: train 384, val 48, test 48; 12 items without training interactions",
        "times: 1970-01-01T00:00:02Z to 1970-01-01T00:01:30Z",
        "features image: 90-d; 0 items have none (zeros), 30 rows are of no item",
        f"{out}: written, with shop.inter, image_feat.npy, ids.parquet, card.json",
    ]
    status, said, err = call(capsys, "data", "check", out)
    assert (status, err) == (0, "")
    assert "shop: 8 users × 60 items\ntrain 384, validation 48, test 48 interactions\nfeatures: image 90-d" in said
    assert "note" not in said
    status, said, err = call(capsys, "run", "lightgcn", "--data", out, "--store", tmp_path / "runs", *QUICK)
    assert (status, err) == (0, "")
    assert "recall@20" in said.lower()


def test_the_help_of_import_states_the_defaults_that_there_are(capsys):
    text = " ".join(call(capsys, "import", "--help")[1].split())
    for name, parameter in inspect.signature(import_log).parameters.items():
        option = f"--{name.replace('_', '-')}"
        if parameter.kind is parameter.KEYWORD_ONLY and name != "on_rows":
            assert option in text
            told = re.search(rf"{option} [A-Z]+ [^-]*?\(default ([^;)]+)", text)
            if parameter.default not in (None, False, parameter.empty):
                assert told, option
                assert told[1] == str(parameter.default)


# --- what data check finds ---


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


def no_training(*_, **__):
    raise AssertionError("trained again")


def test_a_run_prints_its_metrics_and_leaves_a_record_and_weights(store, folder, capsys, monkeypatch):
    monkeypatch.setattr(runs, "fit", no_training)
    status, out, _ = call(capsys, "run", "lightgcn", "--data", folder, "--store", store, *QUICK)
    assert status == 0
    (path,) = store.rglob("*.json")
    values = json.loads(path.read_text())
    assert f"recall@20 {values['metrics']['recall@20']:.4f}" in out
    assert str(path) in out
    assert {file.suffix for file in store.rglob("*") if file.is_file()} == {".json", ".npz", ".safetensors"}


def test_a_run_first_prints_the_settings_in_force_and_where_they_come_from(folder, tmp_path, capsys):
    experiment = planned("mmkd", "demo", 1, ["dim=32", "fit.epochs=7", "teacher.layers=1", "data.noise=0.3"])
    assert in_force(experiment) == (
        "l2=0.0001 fit.lr=0.003 fit.evaluate_every=2 fit.patience=8 (hparams/mmkd.toml [demo]); "
        "dim=32 fit.epochs=7 data.noise=0.3 (--set); the rest defaults"
    )
    assert experiment.teacher is not None
    assert in_force(experiment.teacher).startswith("l2=0.001 content_weight=0.3 fit.lr=0.01 fit.epochs=60 ")
    assert in_force(experiment.teacher).endswith(
        " (hparams/teacher.toml [demo]); layers=1 data.noise=0.3 (--set); the rest defaults"
    )
    arguments = ["--data", folder, "--store", tmp_path, "--set", "teacher.fit.epochs=1"]
    for model, lines in {
        "popularity": ["settings    all defaults"],
        "mmkd": ["settings    fit.epochs=1 fit.batch_size=512 (--set); the rest defaults",
                 "teacher     fit.epochs=1 (--set); the rest defaults"],
    }.items():  # fmt: skip
        status, out, _ = call(capsys, "run", model, *(arguments + QUICK if model == "mmkd" else arguments[:-2]))
        assert (status, out.splitlines()[: len(lines)]) == (0, lines)
        cost = next(line for line in out.splitlines() if line.startswith("cost "))
        assert re.fullmatch(rf"cost        \d+ s{' for this stage' if model == 'mmkd' else ''}, [\d,]+ param.*", cost)


def test_settings_of_every_teacher_reach_the_experiment_by_the_names_that_lead_to_it():
    changes = ["temperature=0.5", "teacher.share=0.5", "teacher.teacher.layers=1", "teacher.second.fit.lr=0.25",
               "fit.epochs=3", "teacher.second.model=lightgcn", "data.noise=0.3"]  # fmt: skip
    experiment = planned("mmkd-lists", "some/folder", 1, changes)
    first, second, both, own = experiment.stages
    assert (own.hparams["temperature"], own.fit.epochs, both.hparams["share"]) == (0.5, 3, 0.5)
    assert (first.model, first.hparams["layers"], second.model, second.fit.lr) == (
        "softmax-teacher",
        1,
        "lightgcn",
        0.25,
    )
    assert {json.dumps(stage.options) for stage in experiment.stages} == {'{"noise": 0.3}'}
    assert in_force(second) == "fit.lr=0.25 data.noise=0.3 (--set); the rest defaults"
    usual = planned("mmkd-lists", "some/folder", 0, [])  # how a model is usually trained is a default as well
    assert [in_force(stage) for stage in usual.stages] == ["all defaults"] * 4
    one = planned("mmkd-lists", "some/folder", 0, ["teacher.model=vbpr", "teacher.dim=8"])
    assert [(stage.model, stage.hparams["dim"]) for stage in one.stages] == [("vbpr", 8), ("mmkd-lists", 64)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("second.dim=8", "mmkd has no second, so settings {'dim': '8'} of one mean nothing"),
        ("teacher.teacher.dim=8", "teacher has no teacher, so settings {'dim': '8'} of one mean nothing"),
        ("teachers.dim=8", "--set 'teachers.dim=8': expected NAME=VALUE, NAME with one of"),
        ("teacher.=8", "--set 'teacher.=8': expected NAME=VALUE, NAME with one of"),
        ("teacher.fit=8", "--set 'teacher.fit=8': expected NAME=VALUE, NAME with one of"),
    ],
)
def test_settings_of_a_teacher_that_there_is_not_are_refused(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        planned("mmkd", "some/folder", 0, [change])


def test_a_run_prints_the_settings_of_every_teacher(folder, tmp_path, capsys):
    quick = [
        part for front in ("", "teacher.teacher.", "teacher.second.") for part in ("--set", f"{front}fit.epochs=1")
    ]
    status, out, err = call(capsys, "run", "mmkd-lists", "--data", folder, "--store", tmp_path, *quick)
    assert (status, err) == (0, "")
    assert out.splitlines()[:4] == [
        "settings    fit.epochs=1 (--set); the rest defaults",
        "teacher     all defaults",
        "teacher.teacher fit.epochs=1 (--set); the rest defaults",
        "teacher.second fit.epochs=1 (--set); the rest defaults",
    ]
    kinds = sorted(path.parent.name for path in tmp_path.rglob("*.json"))
    assert kinds == ["ensemble", "mmkd-lists", "softmax-factors", "softmax-teacher"]


def test_settings_of_model_training_and_teacher_reach_the_record(folder, tmp_path, capsys):
    changes = ["dim=4", "teacher.dim=4", "teacher.fit.epochs=1", "teacher.fit.lr=0.5", "pair=0", "init=random"]
    arguments = [part for change in changes for part in ("--set", change)]
    status, _, err = call(capsys, "run", "mmkd", "--data", folder, "--seed", 3, "--store", tmp_path, *QUICK, *arguments)
    assert (status, err) == (0, "")  # no progress bar where nobody watches
    records = [json.loads(path.read_text())["experiment"] for path in tmp_path.rglob("*.json")]
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
    assert (status, out) == (2, "settings    fit.lr=1e+38 (--set); the rest defaults\n")
    assert re.search(r"^mmkd: epoch \d+: loss terms .*expected finite numbers. Try a lower lr\n\Z", err, re.MULTILINE)
    assert not list(tmp_path.rglob("*.json")) + list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["popularity", "lightgcn", "mmgcn", "mmkd"])
def test_a_folder_is_trained_as_the_readme_trains(name, folder, tmp_path, capsys):
    quick = [*QUICK, *(["--set", "teacher.fit.epochs=1"] if name == "mmkd" else [])]
    assert call(capsys, "run", name, "--data", folder, "--store", tmp_path, *quick)[0] == 0
    data, config, extra = load(folder), FitConfig(epochs=1, batch_size=512), {}
    if name == "mmkd":
        torch.manual_seed(0)
        extra["teacher"] = MODELS["teacher"](data)
        fit(extra["teacher"], data, FitConfig(epochs=1))
    torch.manual_seed(0)
    model = MODELS[name](data, **extra)
    history = fit(model, data, config)
    (record,) = [one for one in map(Record.read, tmp_path.rglob("*.json")) if one.experiment.model == name]
    assert record.history == history.as_dict()
    trained = load_file(record.file(tmp_path).with_suffix(".safetensors"))
    assert {key: torch.equal(value, trained[key]) for key, value in model.state_dict().items()} == dict.fromkeys(
        trained, True
    )


# --- recommend ---


def test_recommend_names_renumbered_items_as_the_files_do(tmp_path, capsys):
    folder = write_far_folder(tmp_path / "far")
    store = tmp_path / "store"
    arguments = ["--data", folder, "--store", store, "--set=data.compact=true", "--set=fit.epochs=1"]
    assert call(capsys, "run", "lightgcn", *arguments)[0] == 0
    status, out, _ = call(capsys, "recommend", next(store.rglob("*.json")), "--user", 0, "--top", 3)
    assert status == 0
    pairs = re.findall(r"^ +\d\. item (\d+) \((\d+) in the files\)", out, re.MULTILINE)
    assert len(pairs) == 3
    assert all(int(own) == 1000 + int(item) for item, own in pairs)  # every item occurs


def test_recommend_shows_the_best_items_the_user_has_not_seen(store, folder, capsys):
    (path,) = store.rglob("*.json")
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
    folder = write_folder(tmp_path / "changed", without_history=0)
    values = json.loads(record.read_text())
    values["experiment"]["dataset"] = str(folder)
    record.write_text(json.dumps(values))
    refused("recommend", record, "--user", 1, says="made from other data than changed is now")


def test_a_folder_is_one_data_set_however_its_path_is_written(folder, tmp_path, capsys, monkeypatch):
    for name in ("data/tiny", "here"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copytree(folder, tmp_path / "data" / "tiny")
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    outputs = []
    for here, root, spelt in [
        ("data", None, "tiny"),
        ("data", None, "./tiny"),
        ("data", None, "tiny/"),
        ("data/tiny", None, "."),
        ("here", None, "../data/tiny"),
        ("here", None, str(tmp_path / "data" / "tiny")),
        ("here", None, str(tmp_path / "link" / "tiny")),
        ("here", str(tmp_path / "data"), "tiny"),
    ]:
        monkeypatch.chdir(tmp_path / here)
        monkeypatch.setenv("MMKD_DATA", root) if root else monkeypatch.delenv("MMKD_DATA", raising=False)
        arguments = ["run", "lightgcn", "--data", spelt, "--store", tmp_path / "store", *QUICK]
        status, out, _ = call(capsys, *arguments)
        assert status == 0
        settings, _, *others = out.splitlines()  # the second line repeats how it was spelt
        outputs.append([settings, *others])
        if len(outputs) == 1:
            monkeypatch.setattr(runs, "fit", no_training)
    assert outputs == outputs[:1] * len(outputs)
    (record,) = (tmp_path / "store").rglob("*.json")
    assert json.loads(record.read_text())["experiment"]["dataset"] == str(tmp_path / "data" / "tiny")


def test_a_measurement_of_a_folder_is_one_however_its_path_is_written(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    spelt = [folder.name, f"./{folder.name}", f"{folder.name}/", str(folder)]
    assert len({Measurement.of(statistics, dataset=name).key("data") for name in spelt}) == 1
    assert Measurement.of(statistics, dataset="tiktok").arguments["dataset"] == "tiktok"


def test_a_record_outlives_the_place_of_its_data(folder, tmp_path, capsys, monkeypatch, refused):
    shutil.copytree(folder, tmp_path / "before")
    monkeypatch.chdir(tmp_path)
    run = ["run", "mmkd", "--store", tmp_path / "store", *QUICK, "--set", "teacher.fit.epochs=1", "--data"]
    assert call(capsys, *run, "before")[0] == 0
    (record,) = (tmp_path / "store").glob("before/mmkd/*.json")
    recommend = ["recommend", record, "--user", 3]
    monkeypatch.chdir("/")
    status, known, _ = call(capsys, *recommend)
    assert status == 0
    (tmp_path / "before").rename(tmp_path / "after")
    refused(*recommend, says=r"its data: unknown data set '.*before'.*; say where they lie now with --data FOLDER")
    status, shown, _ = call(capsys, *recommend, "--data", tmp_path / "after")
    assert (status, shown.replace("of after", "of before")) == (0, known)
    other = write_folder(tmp_path / "other", without_history=0)
    refused(*recommend, "--data", other, says="made from other data than other is now; say where they lie with --data")
    monkeypatch.setattr(runs, "fit", no_training)
    before = sorted((tmp_path / "store").rglob("*"))
    assert call(capsys, *run, tmp_path / "after")[0] == 0
    assert sorted((tmp_path / "store").rglob("*")) == before
    assert call(capsys, *recommend)[:2] == (0, shown)


def test_a_folder_that_is_called_like_a_built_in_data_set_is_pointed_out(folder, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places.say_once.cache_clear()
    shutil.copytree(folder, tmp_path / "demo")
    status, out, _ = call(capsys, "data", "check", "demo")
    assert (status, "demo: 1,200 users" in out) == (0, True)
    note = "note: demo is the built-in data set; to read the folder of that name, write ./demo"
    assert [entry.getMessage() for entry in caplog.records] == [note]
    status, out, _ = call(capsys, "data", "check", "./demo")
    assert (status, "demo: 20 users" in out) == (0, True)
    assert len(caplog.records) == 1


def test_folders_of_mmkd_data_called_like_built_in_ones_are_pointed_out(folder, tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setenv("MMKD_DATA", str(tmp_path))
    places.say_once.cache_clear()
    for name in ("demo", "lfm2k"):
        shutil.copytree(folder, tmp_path / name)
    places.note_shadowed("demo", None, None)
    run = ["run", "popularity", "--store", tmp_path / "store", "--data"]
    for _ in range(2):  # once is enough
        status, out, _ = call(capsys, *run, "lfm2k")
        assert (status, "popularity on lfm2k" in out) == (0, True)
    assert call(capsys, *run, tmp_path / "lfm2k")[0] == 0
    assert [entry.getMessage() for entry in caplog.records] == [
        f"note: demo is the built-in data set; to read the folder of that name, write {tmp_path / 'demo'}",
        f"note: {tmp_path / 'lfm2k'} holds other files than the published lfm2k; they are read as your own data",
    ]


def test_a_note_is_one_line_on_stderr(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "demo")
    command = [sys.executable, "-m", "mmkd_core", "data", "check", "demo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "note: demo is the built-in data set; to read the folder of that name, write ./demo\n"


def test_a_warning_of_the_library_is_one_line_too(capsys, monkeypatch):
    def check(name):
        with warnings.catch_warnings(record=False):
            warnings.simplefilter("default")
            warnings.warn("3 users\nhave no interaction", UserWarning, stacklevel=2)
        raise ValueError("nothing more")

    monkeypatch.setattr("mmkd_core.datasets.check", check)
    assert call(capsys, "data", "check", "demo") == (
        2, "", "mmkd: note: 3 users have no interaction\nmmkd: nothing more\n"
    )  # fmt: skip


def test_a_path_that_begins_with_a_dot_is_looked_for_here_alone(folder, tmp_path, capsys, monkeypatch):
    shutil.copytree(folder, tmp_path / "here" / "demo")
    write_folder(tmp_path / "demo", without_history=0)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MMKD_DATA", str(tmp_path))
    assert load("./demo").fingerprint == load(folder).fingerprint != load(tmp_path / "demo").fingerprint
    assert call(capsys, "data", "check", "./demo")[0] == 0


def test_a_record_of_data_that_are_gone(record, refused):
    values = json.loads(record.read_text())
    values["experiment"]["dataset"] = "/somewhere/else"
    record.write_text(json.dumps(values))
    refused("recommend", record, "--user", 1, says="unknown data set '/somewhere/else'")


# --- table ---


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
    assert err == ""  # no progress bar where nobody watches
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len([path for path in before if path.suffix == ".json"]) > 10
    assert call(capsys, *arguments)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


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
