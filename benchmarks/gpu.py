"""What needs a GPU, the most important first and in a given time; a record is written, whole, after every answer.

It runs on a CPU too, at tiny sizes, so that it can be tested where there is no GPU.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks.epochs import median_seconds, rows
from mmkd_core import Dataset, History, evaluate, fit, load
from mmkd_core.cost import environment, metered
from mmkd_core.evidence.shapes import random_data, shape_of
from mmkd_core.files import write_json
from mmkd_core.models import build
from mmkd_core.models.base import Recommender
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.steps import Capture
from mmkd_core.training import FitConfig

Answers = Iterator[tuple[str, dict[str, Any]]]  # what was asked, and the numbers


class Sizes(NamedTuple):
    """How much is done: data or shapes, epochs that are timed, epochs of trainings, their seeds, a copy's numbers."""

    tiktok: str = "tiktok"
    netflix: str = "netflix"
    electronics: str = "electronics"
    timed: int = 3
    epochs: int = 100
    seeded: int = 40
    seeds: int = 3
    copied: int = 2**28


TINY = Sizes("demo", "demo", "demo", timed=1, epochs=1, seeded=1, seeds=2, copied=2**16)


def data_of(name: str) -> Dataset:
    """The data set, or generated data of the shape."""
    return load(name) if name == "tiktok" else random_data(shape_of(name))


def trained(
    model: Recommender, data: Dataset, config: FitConfig, device: torch.device, capture: Capture = "auto"
) -> tuple[History, list[float]]:
    """The history of a training, and the seconds that passed between the ends of its epochs."""
    ends: list[float] = []

    def note(epoch: int, history: History) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        ends.append(time.perf_counter())

    history = fit(model, data, config, on_epoch=note, device=device, capture=capture)
    return history, [after - before for before, after in pairwise(ends)]


def epoch_of(model: Recommender, data: Dataset, sizes: Sizes, device: torch.device, capture: Capture = "auto") -> float:
    """Seconds of an epoch: the median of some, the first and all evaluations left out."""
    epochs = 1 + sizes.timed
    return statistics.median(trained(model, data, FitConfig(epochs=epochs, evaluate_every=epochs), device, capture)[1])


def whole(epochs: int, seed: int = 0) -> FitConfig:
    """So many epochs, whatever validation says."""
    return FitConfig(epochs=epochs, patience=epochs + 1, seed=seed)


def steps(device: torch.device, sizes: Sizes) -> Answers:
    """A training step of every model at TikTok, in milliseconds, launched kernel by kernel and as one graph.

    Both with what is done once per epoch. Why a step could not be captured is told.
    """
    data = data_of(sizes.tiktok)
    per_epoch = ceil(len(data.train) / FitConfig().batch_size)
    for line in rows():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            alone = epoch_of(line.build(data), data, sizes, device, "off")
            seconds = epoch_of(line.build(data), data, sizes, device)
        milliseconds = {"uncaptured step ms": 1000 * alone / per_epoch, "captured step ms": 1000 * seconds / per_epoch}
        why = {"said": "; ".join(dict.fromkeys(str(warning.message)[:200] for warning in said))} if said else {}
        yield line.title, {"epoch s": seconds, **milliseconds, **why}


def both_stages(device: torch.device, sizes: Sizes) -> Answers:
    """MMKD at TikTok from nothing: the teacher's epochs and then the student's."""
    data, config = data_of(sizes.tiktok), whole(sizes.epochs)
    torch.manual_seed(0)
    with metered(device) as cost:
        teacher = build("teacher", data, {})
        trained(teacher, data, config, device)
        history, _ = trained(build("mmkd", data, {}, teacher=teacher), data, config, device)
    yield f"{sizes.epochs} + {sizes.epochs} epochs", {**cost, "validation recall@20": history.best["recall@20"]}


def at_shape(name: str, shape: str, settings: dict[str, Any], device: torch.device, sizes: Sizes) -> Answers:
    """An epoch of a model at a shape: seconds, and the most memory."""
    data = data_of(shape)
    torch.manual_seed(0)
    with metered(device) as cost:
        seconds = epoch_of(build(name, data, settings), data, sizes, device)
    yield f"{name}, {shape}", {"epoch s": seconds, **{n: v for n, v in cost.items() if n.startswith("peak")}}


def roofline(device: torch.device, sizes: Sizes) -> Answers:
    """The sparse product beside what memory allows, in GB per second: each number moved once, and each row gathered."""
    graph = LightGCN(data_of(sizes.netflix)).graph.to(device)
    much = torch.randn(sizes.copied, device=device)
    copy = median_seconds(lambda: [much.clone() for _ in range(20)], device, repeat=5) / 20
    yield "copy", {"GB/s": 8 * sizes.copied / max(copy, 1e-9) / 1e9}
    for dim in (32, 64, 128):
        x, entries = torch.randn(graph.shape[1], dim, device=device), len(graph.col)
        seconds = median_seconds(lambda x=x: [graph(x) for _ in range(20)], device, repeat=5) / 20
        once = 8 * entries + 4 * dim * sum(graph.shape)
        gathered = 8 * entries + 4 * dim * (entries + graph.shape[0])
        rates = {"GB/s, each once": once, "GB/s, each gathered": gathered}
        yield (
            f"product, d = {dim}",
            {"ms": 1000 * seconds, **{n: b / max(seconds, 1e-9) / 1e9 for n, b in rates.items()}},
        )


def seeds(device: torch.device, sizes: Sizes) -> Answers:
    """LightGCN at TikTok with a few seeds, on a CPU and on this device: test Recall@20 of each."""
    data, recalls = data_of(sizes.tiktok), {}
    for where in (torch.device("cpu"), device):
        recalls[where.type] = []
        for seed in range(sizes.seeds):
            torch.manual_seed(seed)
            model = build("lightgcn", data, {})
            trained(model, data, whole(sizes.seeded, seed), where)
            with torch.no_grad():
                recalls[where.type].append(float(evaluate(model.embed(), data)["recall@20"].mean()))
    apart = abs(statistics.fmean(recalls["cpu"]) - statistics.fmean(recalls[device.type]))
    spread = max(map(statistics.stdev, recalls.values()))
    yield "LightGCN, test recall@20", {**recalls, "means apart": apart, "larger deviation": spread}


class Task(NamedTuple):
    """What is asked, and the seconds without which it is not begun."""

    answers: Callable[[torch.device, Sizes], Answers]
    needs: float


TASKS = {
    "steps": Task(steps, 20),
    "MMKD, both stages": Task(both_stages, 60),
    "LightGCN": Task(lambda device, sizes: at_shape("lightgcn", sizes.netflix, {}, device, sizes), 15),
    "teacher": Task(lambda device, sizes: at_shape("teacher", sizes.electronics, {"dim": 32}, device, sizes), 30),
    "roofline": Task(roofline, 15),
    "seeds": Task(seeds, 90),
}


def run(device: torch.device, seconds: float, out: Path | None, *, dry: bool = False) -> dict[str, Any]:
    """Asks every task for which there is time, prints and writes what it answers, and gives all of it.

    A task that fails says why, and the next one is asked. What there was no time for is named under "left out".
    """
    end = time.perf_counter() + seconds
    found: dict[str, Any] = {
        "dry": dry,
        "answers": {},
        "left out": [],
        "failed": {},
        "environment": environment(device),
    }
    for name, task in TASKS.items():
        if time.perf_counter() + (0 if dry else task.needs) > end:
            found["left out"].append(name)
            print(f"{name}: left out, no time")
        else:
            try:
                _ask(name, task.answers(device, TINY if dry else Sizes()), found, end, out)
            except (RuntimeError, ValueError, OSError) as error:  # a card's memory, data that are not there
                found["failed"][name] = f"{type(error).__name__}: {str(error)[:200]}"
                print(f"{name}: {found['failed'][name]}")
        if out:
            write_json(out, found)
    return found


def _ask(name: str, answers: Answers, found: dict[str, Any], end: float, out: Path | None) -> None:
    for what, values in answers:
        kept = {key: round(value, 5) if isinstance(value, float) else value for key, value in values.items()}
        found["answers"].setdefault(name, {})[what] = kept
        print(f"{name}, {what}: " + ", ".join(f"{key} {value}" for key, value in kept.items()), flush=True)
        if out:
            write_json(out, found)
        if time.perf_counter() > end:
            found["left out"].append(f"{name}, after {what}")
            return
