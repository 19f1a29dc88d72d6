"""A run that was killed and is run again gives what an undisturbed one gives, to the bit."""

import json
import multiprocessing
import random
import time

import pytest
import torch
from made_up_folder import write_folder

from mmkd_core import plan, run
from mmkd_core.experiment import Record

FIT = {"epochs": 6, "batch_size": 128, "evaluate_every": 1, "lr": 0.01}


def work(folder, store, told=None):
    """Teacher, then student: six files. Each epoch is told to whoever wants to know."""
    torch.set_num_threads(1)
    teacher = plan("teacher", str(folder), fit=FIT, hparams={"dim": 8})
    experiment = plan("mmkd", str(folder), fit=FIT, hparams={"dim": 8}, teacher=teacher)
    run(experiment, store, on_epoch=told and (lambda _, epoch, history: told.send(epoch)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def processes():
    """Processes that have imported everything when they start, so that the moment of a kill falls into the run."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mmkd_core.experiment", "pytest"])
    first = context.Process(target=int)  # waits for the imports
    first.start()
    first.join()
    return context


def held(store):
    """The files of a store, temporary ones among them; none where it is not there yet."""
    return sorted(path for path in store.rglob("*") if path.is_file())


def results(store):
    """The files of a store by name: bytes; of records what the moment of their making does not change."""
    found = {}
    for path in held(store):
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            assert path == Record.read(path).file(store)
            found[path.name] = {key: values[key] for key in values if key not in ("cost", "environment")}
        else:
            found[path.name] = path.read_bytes()
    return found


# When a run is killed: after so many epochs of teacher and student together, or once the store holds so many files,
# temporary ones among them; and then up to this many seconds later.
MOMENTS = [("epochs", 3), ("files", 1), ("files", 3), ("epochs", 10), ("files", 5)]
LATER = 0.003


def wait_until(process, kind, number, epochs, store):
    """Waits for a moment, or for the end of the process."""
    seen = 0
    while process.is_alive() and seen < number:
        if kind == "files":
            seen = len(held(store))
        elif epochs.poll(0.01):
            epochs.recv()
            seen += 1


def test_a_killed_run_that_is_run_again_gives_the_undisturbed_result(processes, folder, tmp_path):
    work(folder, tmp_path / "undisturbed")
    expected = results(tmp_path / "undisturbed")
    assert len(expected) == 6
    draw = random.Random(0)
    states = []
    for kind, number in MOMENTS:
        store = tmp_path / f"{kind}-{number}"
        epochs, told = processes.Pipe(duplex=False)
        process = processes.Process(target=work, args=(folder, store, told))
        process.start()
        wait_until(process, kind, number, epochs, store)
        time.sleep(draw.uniform(0, LATER))
        process.kill()
        process.join()
        states.append((process.exitcode != 0, len(held(store))))
        work(folder, store)
        assert results(store) == expected, (kind, number)
    assert [killed for killed, _ in states].count(True) >= 3, states
    assert len({files for _, files in states}) > 1, states  # not all of them before anything was written
