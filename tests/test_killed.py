"""Killed at any moment and run again, a run gives what it gives undisturbed, bit for bit; and its litter is swept."""

import json
import os
import signal
import subprocess
import sys

import pytest

from mmkd_core.files import _mark, write_whole

# Runs mmkd with its teacher in a child of its own, which is killed after each of some seconds, and once to its end.
# One process imports torch, its children inherit that: a moment costs what it trains, not the start of Python.
PROGRAM = """
import os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from mmkd_core import load, plan, run

folder, store, moments = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = load(folder)
fit = {"epochs": 4, "evaluate_every": 1}
job = plan("mmkd", folder, hparams={"dim": 4}, fit=fit, teacher={"dim": 4, "fit": fit})

def started():
    child = os.fork()
    if not child:
        run(job, store, data=data)
        os._exit(0)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

killed = 0
random.seed(0)
for _ in range(moments):
    child = started()
    time.sleep(random.uniform(0.0, float(sys.argv[4])))
    os.kill(child, signal.SIGKILL)
    killed += ended(child) == -signal.SIGKILL
start = time.perf_counter()
assert ended(started()) == 0
print(time.perf_counter() - start, killed)
"""


def carried_out(folder, store, moments=0, whole=0.0):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(store), str(moments), str(whole)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seconds, killed = done.stdout.split()
    return float(seconds), int(killed)


def results(store):
    """What must be equal: weights and hits as they are; of records all but what the machine's clock says."""
    files = {path.name: path.read_bytes() for path in store.iterdir() if path.suffix != ".json"}
    records = {path.name: json.loads(path.read_text()) for path in store.glob("*.json")}
    clock = ("cost", "environment")
    return files, {name: {k: v for k, v in record.items() if k not in clock} for name, record in records.items()}


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(small, tmp_path):
    whole, _ = carried_out(small, tmp_path / "undisturbed")
    _, killed = carried_out(small, tmp_path / "killed", 5, whole)
    assert killed >= 2  # others were done before their moment
    expected, found = results(tmp_path / "undisturbed"), results(tmp_path / "killed")
    assert len(expected[1]) == 2
    assert found == expected  # no temporary file either


@pytest.fixture(scope="module")
def dead():
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize("mark", ["", _mark()])  # a name without a host is an older one
def test_what_dead_writers_left_is_swept_by_the_next_one(mark, tmp_path, dead):
    litter = tmp_path / f".a.json.{mark}{dead}.tmp"
    litter.write_text("{ half")
    write_whole(tmp_path / "b.json", lambda temporary: temporary.write_text("{}"))
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


def test_what_may_be_in_use_or_anothers_is_left_alone(tmp_path, dead):
    names = [f".a.json.{_mark()}{os.getppid()}.tmp", f".a.json.another-host-{dead}.tmp", f".a.json.{_mark()}x.tmp",
             f".a.json.{_mark()}{10**30}.tmp", f"a.json.{_mark()}{dead}.tmp", ".a.json.tmp"]  # fmt: skip
    for name in names:
        (tmp_path / name).write_text("{ half")
    write_whole(tmp_path / "b.json", lambda temporary: temporary.write_text("{}"))
    assert {path.name for path in tmp_path.iterdir()} == {*names, "b.json"}


def test_a_writer_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "value"
    path.write_text("old")
    program = (
        "import os, signal, sys; from pathlib import Path; from mmkd_core.files import write_whole\n"
        "def half(file):\n    file.write_text('ne')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]), half)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    write_whole(path, lambda temporary: temporary.write_text("new"))
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("value", "new")]
