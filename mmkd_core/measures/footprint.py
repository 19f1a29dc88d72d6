"""Seconds, memory and numbers of a model at the shape of a data set, on generated data (Table 6).

Every model trains in a process of its own, and serves in another one that holds nothing but final tables, so that peaks
of memory are theirs alone.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from math import ceil
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mmkd_core.cost import parameters, timed
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.datasets.shapes import Shape, random_data, shape_of
from mmkd_core.evaluation import rank
from mmkd_core.experiment import Experiment, model_of
from mmkd_core.models import base_of
from mmkd_core.models.base import Recommender
from mmkd_core.training import FitConfig, Trainer, choose_device, seeded, train_epoch

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TOP = 20
RANKINGS = 3


def footprint(
    store: Path,
    *,
    model: str,
    shape: str,
    dim: int = 32,
    settings: Mapping[str, Any] | None = None,
    batch: int = 2048,
    steps: int = 5,
) -> dict[str, Any]:
    """What `model` costs at a shape of `datasets.shapes`, with tables of `dim` columns; a fifth of the pairs held back.

    "numbers" are those of `cost.parameters`. "seconds" are CPU seconds, on a GPU those that pass: "build"; "epoch",
    which is its first step (with the draw of the triples and what a model refreshes once) and its other steps, each
    taken as the mean of `steps` of them after a warm-up; "tables", the final tables from the weights. "memory" holds
    the peak in MiB of each phase: resident, and on a GPU allocated there. "serving" is the second process: from final
    tables of the same sizes, the top 20 of all users. MMKD comes with an untrained teacher of `dim` columns.
    """
    where, threads = shape_of(shape), torch.get_num_threads()
    trained = _alone(_train, model, where, {**(settings or {}), "dim": dim}, batch, steps, threads)
    sizes = trained.pop("tables")
    return trained | {"serving": _alone(_serve, where, sizes, threads)}


def _alone(call: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """What `call` gives in a fresh process; what it raises comes through."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def _train(
    name: str, shape: Shape, settings: Mapping[str, Any], batch: int, steps: int, threads: int
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    device = choose_device()
    memory = {"imports": _peak(device)}
    data = random_data(shape)
    memory["data"] = _peak(device)
    with seeded(0, device):
        model, build_seconds = timed(lambda: _build(name, data, settings).to(device), device)
        memory["build"] = _peak(device)
        seconds = {"build": build_seconds} | _epoch(model, data, batch, steps, device)
        memory["train"] = _peak(device)
    model.eval()
    tables: Any
    with torch.no_grad():
        tables, seconds["tables"] = timed(model.embed, device)
    memory["tables"] = _peak(device)
    return {
        "steps": _steps(len(data.train), batch),
        "numbers": parameters(model, tables),
        "seconds": seconds,
        "memory": memory,
        "tables": [[*table.shape] for table in tables],
    }


def _build(name: str, data: Dataset, settings: Mapping[str, Any]) -> Recommender:
    taught = base_of(name) == "mmkd"
    teacher = Experiment(data.name, "teacher", hparams={"dim": settings["dim"]}) if taught else None
    return model_of(Experiment(data.name, name, hparams=settings, teacher=teacher), data)


def _epoch(model: Recommender, data: Dataset, batch: int, steps: int, device: torch.device) -> dict[str, float]:
    """Seconds of an epoch's first step, of another one, and of all."""
    trainer = Trainer(model, data, FitConfig(batch_size=batch))
    count = _steps(len(trainer.sampler.edges), batch)
    others = min(steps, count - 1)

    def begin() -> Iterator[Batch]:
        batches = trainer.batches()  # drawn when the first one is asked for
        train_epoch(model, islice(batches, 1), trainer.optimizer)
        return batches

    train_epoch(model, islice(begin(), others), trainer.optimizer)  # warms up
    batches, first = timed(begin, device)
    _, rest = timed(lambda: train_epoch(model, islice(batches, others), trainer.optimizer), device)
    other = rest / max(others, 1)
    return {"first step": first, "other step": other, "epoch": first + (count - 1) * other}


def _steps(pairs: int, batch: int) -> int:
    return ceil(pairs / batch)


def _serve(shape: Shape, sizes: Sequence[Sequence[int]], threads: int) -> dict[str, Any]:
    """Ranking for all users, from tables of the given sizes; the median of a few times."""
    torch.set_num_threads(threads)
    device = choose_device()
    data = random_data(replace(shape, widths=()))
    with seeded(0, device):
        tables = Embeddings(*(torch.randn(*size, device=device) for size in sizes))
    users, seen = torch.arange(shape.users, device=device), data.train.to(device)
    top = min(TOP, shape.items)
    seconds = [timed(lambda: rank(tables, users, data, top, seen=seen), device)[1] for _ in range(RANKINGS)]
    return {"users": shape.users, "seconds": median(seconds), "memory": _peak(device)}


def _peak(device: torch.device) -> dict[str, int]:
    """The highest resident MiB, and on a GPU the highest allocated, since the last call.

    Since the start of the process where the system cannot forget a peak. `ru_maxrss` would do for one process, but on
    Linux a child begins with its parent's.
    """
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        peak = {"resident": int(line.split()[1]) // 1024}
        CLEAR.write_text("5")  # man 5 proc_pid_clear_refs: resets the peak to what is resident now
    else:
        kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
        peak = {"resident": round(kilobytes / 1024)}
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_allocated(device) // 1024**2
        torch.cuda.reset_peak_memory_stats(device)
    return peak
