"""Ctrl-C in the middle of a run, the same command again, and what is seen of a run meanwhile."""

import json
import os
import re
import shlex
import signal

import pytest
from command_line import call
from made_up_folder import write_folder

from mmkd_core import Record, plan, run, runs
from mmkd_core.checkpoint import read_header
from mmkd_core.commands import evidence
from mmkd_core.evidence import engine
from mmkd_core.evidence.cases import Case
from mmkd_core.progress import Bars
from mmkd_core.training import Trainer

pytestmark = pytest.mark.usefixtures("unchecked")  # a user has no run-time type checks either
FIT = {"epochs": 7, "evaluate_every": 2, "batch_size": 64, "lr": 0.01}
QUICK = [part for name, value in FIT.items() for part in ("--set", f"fit.{name}={value}")]
RESULT = ("experiment", "metrics", "validation", "history", "data")
TAUGHT = [part.replace("fit.", "teacher.fit.") for part in QUICK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


def experiment(folder, model):
    teacher = plan("teacher", str(folder), fit=FIT) if model == "mmkd" else None
    return plan(model, str(folder), fit=FIT, teacher=teacher)


def interrupt(monkeypatch, model, last):
    """Ctrl-C in an epoch of a model; the signal itself."""
    epoch = Trainer.epoch

    def interrupted(self, number=0):
        if type(self.model).__name__.lower() == model and number == last:
            os.kill(os.getpid(), signal.SIGINT)
        return epoch(self, number)

    monkeypatch.setattr(Trainer, "epoch", interrupted)


def results(store):
    """The files of a store by their place, but for what the moment of their making changes."""
    made = {}
    for path in store.rglob("*"):
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            made[path.relative_to(store)] = [values[name] for name in RESULT]
        elif path.is_file():
            made[path.relative_to(store)] = path.read_bytes()
    return made


@pytest.mark.parametrize(
    ("model", "stopped", "last", "epoch"),
    [("lightgcn", "lightgcn", 6, 4), ("mmkd", "teacher", 3, 2), ("mmkd", "mmkd", 7, 6), ("mmkd", "mmkd", 2, 0)],
)
def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(
    model, stopped, last, epoch, folder, tmp_path, capsys, monkeypatch
):
    arguments = ["run", model, "--data", folder, *QUICK, *(TAUGHT if model == "mmkd" else []), "--store"]
    assert call(capsys, *arguments, tmp_path / "undisturbed")[0] == 0
    store = tmp_path / "its store"
    with monkeypatch.context() as patch:
        interrupt(patch, stopped, last)
        status, out, err = call(capsys, *arguments, store)
    again = shlex.join(["mmkd", *map(str, [*arguments, store])])
    assert status == 130
    assert {line.split()[0] for line in out.splitlines()} == (
        {"settings", "teacher"} if model == "mmkd" else {"settings"}
    )
    if epoch:
        (file,) = store.rglob("*.checkpoint")
        assert err == f"mmkd: stopped; {file} keeps {stopped} up to epoch {epoch} of 7; to go on: {again}\n"
        assert read_header(file)["epoch"] == epoch
    else:
        assert err == f"mmkd: stopped before {stopped} was evaluated, so nothing of it is kept; to train it: {again}\n"
    status, out, err = call(capsys, *shlex.split(again)[1:])
    assert status == 0
    assert err == (f"mmkd: {stopped} goes on after epoch {epoch} of 7 ({file})\n" if epoch else "")
    assert results(store) == results(tmp_path / "undisturbed")
    (record,) = store.rglob(f"{stopped}/*.json")
    assert Record.read(record).cost.get("sessions") == 2


def test_ctrl_c_before_the_start_and_after_the_end(folder, tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    arguments = ["run", "bpr-mf", "--data", folder, *QUICK, "--store", tmp_path]
    with monkeypatch.context() as patch:
        patch.setattr("mmkd_core.datasets.load", stop)
        assert call(capsys, *arguments) == (130, "", "mmkd: stopped; nothing half-written is left\n")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "_tidied", lambda file: file.exists() and stop())
        status, out, err = call(capsys, *arguments)
    (record,) = tmp_path.rglob("*.json")
    assert out.startswith("settings ")
    assert (status, len(out.splitlines())) == (130, 1)
    assert err == f"mmkd: stopped when the record was written: {record}\n"
    assert list(tmp_path.rglob("*.checkpoint"))
    assert call(capsys, *arguments)[0] == 0
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_ctrl_c_in_the_runs_of_a_table(tmp_path, capsys, monkeypatch, folder):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "run_all", stop)
    arguments = ["table", "5", "--data", folder, "--records", tmp_path, "--budget", "smoke"]
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (130, "")
    assert re.fullmatch(rf"mmkd: stopped; what was finished, .* are in {tmp_path}; to go on: mmkd table 5 .*\n", err)
    assert evidence.ENGINES == engine.ENGINES


def test_a_damaged_checkpoint_is_one_line_and_nothing_is_trained(folder, tmp_path, refused, monkeypatch):
    wanted = experiment(folder, "bpr-mf")
    with monkeypatch.context() as patch:
        interrupt(patch, "bprmf", 5)
        with pytest.raises(KeyboardInterrupt):
            run(wanted, tmp_path)
    (file,) = tmp_path.rglob("*.checkpoint")
    file.write_bytes(file.read_bytes()[:-1])
    monkeypatch.setattr(Trainer, "epoch", None)
    arguments = ["run", "bpr-mf", "--data", folder, *QUICK, "--store", tmp_path]
    refused(*arguments, says=rf"^mmkd: {file}: damaged, or no checkpoint .*: delete it to begin anew$")
    assert file.exists()


def test_a_checkpoint_that_has_done_its_work_goes_but_not_one_without_weights(folder, tmp_path):
    wanted = experiment(folder, "bpr-mf")
    record = run(wanted, tmp_path).file(tmp_path)
    left = runs.checkpoint_beside(record)
    left.touch()
    record.with_suffix(".safetensors").rename(tmp_path / "weights")  # a record that was committed without them
    run(wanted, tmp_path)
    assert left.exists()
    (tmp_path / "weights").rename(record.with_suffix(".safetensors"))
    run(wanted, tmp_path)
    assert not left.exists()


def test_the_runs_of_a_table_go_on_too(folder, tmp_path, monkeypatch):
    work = [Case({}, experiment(folder, "mmkd")), Case({}, experiment(folder, "bpr-mf"))]
    engine.run_all(work, tmp_path / "undisturbed")
    store = tmp_path / "store"
    for model, last in (("teacher", 5), ("mmkd", 3)):
        with monkeypatch.context() as patch:
            interrupt(patch, model, last)
            with pytest.raises(KeyboardInterrupt):
                engine.run_all(work, store)
    engine.run_all(work, store)
    assert results(store) == results(tmp_path / "undisturbed")
    sessions = {path.parent.name: Record.read(path).cost.get("sessions") for path in store.rglob("*.json")}
    assert sessions == {"teacher": 2, "mmkd": 2, "bpr-mf": None}


# --- bars ---


def watched(monkeypatch, watching=True):
    """Says that standard error is a terminal, which pytest's is not."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: watching)


def test_a_bar_shows_epoch_loss_validation_best_and_time_left(folder, tmp_path, capsys, monkeypatch):
    watched(monkeypatch)
    arguments = ["run", "mmkd", "--data", folder, *QUICK, *TAUGHT, "--store", tmp_path]
    status, _, err = call(capsys, *arguments)
    assert status == 0
    shown = [line for line in re.split(r"[\r\n]", err) if line.strip()]
    form = r" \d/7 \|.*\| (\?|\d\d:\d\d) left, loss \d+\.\d{4}, val \d\.\d{4}, best \d\.\d{4} at \d+"
    assert re.match("teacher" + form, shown[0])
    last = [line for line in shown if line.startswith("mmkd")][-1]
    assert re.match("mmkd" + form.replace(r" \d/7", " 7/7"), last)
    best = {path.parent.name: Record.read(path).history["best"]["recall@20"] for path in tmp_path.rglob("*.json")}
    assert f"best {best['mmkd']:.4f}" in last
    assert err.endswith("\n")


def test_a_bar_of_a_run_that_goes_on_starts_there(folder, tmp_path, capsys, monkeypatch):
    arguments = ["run", "lightgcn", "--data", folder, *QUICK, "--store", tmp_path]
    with monkeypatch.context() as patch:
        interrupt(patch, "lightgcn", 6)
        assert call(capsys, *arguments)[0] == 130
    watched(monkeypatch)
    _, _, err = call(capsys, *arguments)
    assert re.match(r"mmkd: lightgcn goes on after epoch 4 of 7 \(.*\)\n\rlightgcn 5/7 ", err)


def test_bars_of_fit(capsys, monkeypatch, folder, tmp_path):
    history = run(experiment(folder, "bpr-mf"), tmp_path).history
    history_now = type("History", (), history)
    for watching in (True, False):
        watched(monkeypatch, watching)
        with Bars() as bars:
            bars.of("mine", 20)(7, history_now)
        err = capsys.readouterr().err
        assert err.startswith("\rmine 7/20 ") if watching else err == ""


def test_no_bars_where_tqdm_is_told_to_be_quiet(folder, tmp_path, capsys, monkeypatch):
    watched(monkeypatch)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    status, _, err = call(capsys, "run", "lightgcn", "--data", folder, *QUICK, "--store", tmp_path)
    assert (status, err) == (0, "")
