"""Carries out the jobs of cases that a store lacks: one after another, or spread over a Ray cluster.

Jobs are independent but for this: a student's teachers are jobs of their own and come first. Each result is a file
named by its job, so carrying out twice is carrying out once, and a worker that dies costs its own job alone, which is
run again.
"""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evidence.cases import Case, Job
from mmkd_core.evidence.measurement import find_or_take
from mmkd_core.evidence.questions import QUESTIONS
from mmkd_core.experiment import Experiment
from mmkd_core.runs import run
from mmkd_core.settings import check_cores

ENGINES = ("local", "ray")
RETRIES = 3  # of a job whose worker died


@dataclass(frozen=True)
class Progress:
    """How far cases are: jobs done, running and left, and the seconds that what is left may take (None: no idea)."""

    done: int
    running: int
    left: int
    seconds_left: float | None

    def __str__(self) -> str:
        total = self.done + self.running + self.left
        left = f", {self.seconds_left:.0f} s left at most" if self.left + self.running and self.seconds_left else ""
        return f"{self.done} of {total} runs done{left}"

    _repr_markdown_ = __str__


def run_all(
    cases: Iterable[Case],
    store: str | Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Runs every job of `cases` whose record `store` lacks; returns when all are there.

    `engine="ray"` uses the cluster that Ray finds, or starts one of `workers` processes on this machine (one a core
    unless given); the store must be a folder that all of them see. Raises `ValueError` for an unknown engine or a
    missing Ray; what a job raises comes through.
    """
    if workers is not None:
        check_cores("workers", workers, 1)
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}; one of {list(ENGINES)}")
    finish = {"local": _one_by_one, "ray": _over_ray}[engine]
    waves = list(in_waves(case.job for case in cases))
    total, done, start = sum(map(len, waves)), 0, time.monotonic()

    def report(running: int) -> None:
        if on_progress is not None:
            each = (time.monotonic() - start) / done if done else None
            left = total - done - running
            on_progress(Progress(done, running, left, each * (total - done) if each is not None else None))

    for wave in waves:
        for running in finish(wave, Path(store), workers, report):
            done += 1
            report(running)


def in_waves(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Each job once: first those that need no other, then those that learn from these, and so on."""
    wanted = {job.canonical: job for job in jobs}
    stages = [stage for job in wanted.values() if isinstance(job, Experiment) for stage in job.stages[:-1]]
    every = {job.canonical: job for job in (*stages, *wanted.values())}
    for depth in range(max((job.depth for job in every.values()), default=-1) + 1):
        yield [job for job in every.values() if job.depth == depth]


def one(job: Job, store: Path) -> None:
    """Carries out a single job; the last data set is kept, since the next job often has the same."""
    if isinstance(job, Experiment):
        run(job, store, data=_data(job.dataset, json.dumps(job.options, sort_keys=True)))
    else:
        function = QUESTIONS[job.question].measure
        assert function is not None, f"the question {job.question} measures nothing"
        find_or_take(job, function, store)


@lru_cache(maxsize=1)
def _data(name: str, options: str) -> Dataset:
    return load(name, **json.loads(options))


def _one_by_one(jobs: list[Job], store: Path, workers: int | None, report: Callable[[int], None]) -> Iterator[int]:
    for job in jobs:
        report(1)
        one(job, store)
        yield 0


def _over_ray(jobs: list[Job], store: Path, workers: int | None, report: Callable[[int], None]) -> Iterator[int]:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("engine 'ray' needs Ray, which is not installed: pip install 'mmkd-book[ray]'") from None
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or it reports to its makers
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    slots = int(ray.cluster_resources().get("CPU", 1))
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(one)
    waiting = [remote.remote(job, store.resolve()) for job in jobs]
    while waiting:
        report(min(slots, len(waiting)))
        (finished,), waiting = ray.wait(waiting, num_returns=1)
        ray.get(finished)
        yield min(slots, len(waiting))
