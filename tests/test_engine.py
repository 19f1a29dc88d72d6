"""The jobs of cases are carried out once, teachers first, by either engine."""

import os
import signal
import sys

import pytest
from made_up_folder import write_folder

from mmkd_core import Experiment, FitConfig
from mmkd_core.evidence import engine as module
from mmkd_core.evidence.cases import Case
from mmkd_core.evidence.engine import in_waves, run_all
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.questions import TABLES
from mmkd_core.evidence.questions.data import statistics
from mmkd_core.evidence.store import Store

SHORT = FitConfig(epochs=1, evaluate_every=1)


def lightgcn(seed, dataset="demo"):
    return Experiment(dataset, "lightgcn", seed, {"dim": 4}, SHORT)


def student(dataset="demo", **changes):
    teacher = Experiment(dataset, "teacher", 0, {"dim": 4}, SHORT)
    return Experiment(dataset, "mmkd", 0, {"dim": 4} | changes, SHORT, teacher)


def cases(*jobs):
    return [Case({"place": place}, job) for place, job in enumerate(jobs)]


def test_each_job_comes_once_and_teachers_come_first():
    one, two = student(), student(list=0.0)
    first, second = in_waves([one, lightgcn(0), two, one, lightgcn(0), one.teacher])
    assert first == [one.teacher, lightgcn(0)]
    assert second == [one, two]


def test_progress_counts_done_running_and_left(tmp_path, monkeypatch):
    seen, ran = [], []
    monkeypatch.setattr(module, "one", lambda job, store: ran.append(job))
    run_all(cases(lightgcn(0), lightgcn(1)), tmp_path, on_progress=seen.append)
    assert ran == [lightgcn(0), lightgcn(1)]
    assert [(p.done, p.running, p.left) for p in seen] == [(0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 0, 0)]
    assert seen[0].seconds_left is None
    assert seen[-1].seconds_left == 0


def test_carrying_out_leaves_the_records_and_does_nothing_the_second_time(tmp_path, monkeypatch):
    work = cases(lightgcn(0), Measurement.of(statistics, dataset="demo"))
    run_all(work, tmp_path)
    assert len(list(tmp_path.glob("demo/lightgcn/*.json"))) == len(list(tmp_path.glob("data/*.json"))) == 1
    assert len(list(tmp_path.rglob("*.json"))) == 2

    def no_training(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("mmkd_core.runs.fit", no_training)
    run_all(work, tmp_path)


def test_an_unknown_engine_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"unknown engine 'dask'; one of \['local', 'ray'\]"):
        run_all([], tmp_path, engine="dask")


def test_without_ray_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ValueError, match=r"needs Ray, which is not installed: pip install 'mmkd-book\[ray\]'"):
        run_all(cases(lightgcn(0)), tmp_path, engine="ray")


def test_smoke_table_4_on_the_demo_runs_every_system(tmp_path):
    work = TABLES["4"].cases(budget="smoke")
    run_all(work, tmp_path)
    frame = TABLES["4"].frames(work, Store(tmp_path))["demo"]
    assert not (frame[["Recall@20", "reading"]] == "not run").any(axis=None)


# --- Ray ---


@pytest.fixture(scope="module")
def cluster():
    """Two workers on this machine. They know this file by its content, since they cannot import it."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.shutdown()


def writes_its_seed(job, store):
    (store / f"{job.seed}").write_text(str(os.getpid()))


def dies_the_first_time(job, store):
    first = store / f"{job.seed} first"
    if job.seed == 0 and not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    writes_its_seed(job, store)


@pytest.mark.usefixtures("cluster")
def test_ray_leaves_the_same_records_as_the_local_engine(tmp_path):
    folder = str(write_folder(tmp_path / "tiny"))
    work = cases(student(folder), lightgcn(0, folder))
    for name in module.ENGINES:
        run_all(work, tmp_path / name, engine=name)
    local, spread = (Store(tmp_path / name).records for name in module.ENGINES)
    assert len(local) == 3  # the teacher too
    assert [r.metrics for r in local.values()] == [r.metrics for r in spread.values()]
    assert [path.name for path in local] == [path.name for path in spread]


@pytest.mark.usefixtures("cluster")
def test_a_job_whose_worker_is_killed_is_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "one", dies_the_first_time)
    seen = []
    run_all(cases(*map(lightgcn, range(3))), tmp_path, engine="ray", on_progress=seen.append)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0", "0 first", "1", "2"]
    assert (seen[-1].done, seen[-1].running, seen[-1].left) == (3, 0, 0)
    assert max(progress.running for progress in seen) == 2


@pytest.mark.usefixtures("cluster")
def test_what_a_job_raises_comes_through(tmp_path):
    with pytest.raises(ValueError, match="no such"):
        run_all(cases(Experiment("no such folder", "lightgcn", 0, {"dim": 4}, SHORT)), tmp_path, engine="ray")
