"""Seconds, memory and numbers of a model at the shape of a data set, on generated data (Table 6).

Every model trains in a process of its own, and serves in another one that holds nothing but final tables, so that peaks
of memory are theirs alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from mmkd_core.cost import parameters, timed
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.evaluation import rank
from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import Asked, Case, Names, Seeds, title_of_place
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.counts import as_printed, counted_shape, counts
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.meters import alone, peak_memory
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.questions import ablations
from mmkd_core.evidence.shapes import SHAPES, Shape, random_data, shape_of
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, as_table, percent
from mmkd_core.evidence.verdicts import Finding, Judge, Read, per_dataset, records_of, rows_of, verdict, within
from mmkd_core.experiment import Experiment
from mmkd_core.models import MODELS, base_of
from mmkd_core.models.base import Recommender
from mmkd_core.runs import model_of
from mmkd_core.training import FitConfig, Trainer, choose_device, seeded, train_epoch

TEACHER, LATTICE, BM3, MMKD = (MODELS[model].title for model in ("teacher", "lattice", "bm3", "mmkd"))
SYSTEMS: dict[str, dict[str, Any]] = {  # with how they differ from a model's defaults
    **{MODELS[model].title: {"model": model} for model in ("teacher", "lattice", "bm3", "mmkd")},
    "MMKD, prompt frozen": {"model": "mmkd", "settings": {"prompt_mode": "frozen"}},
}
TOP, RANKINGS = 20, 3
MEMORY, PAPER = ("build, MiB", "train, MiB", "serve, MiB"), ("paper, s", "paper, GB")  # columns
REDUCED = {"smoke": {"batch": 64, "steps": 2}, "quick": {"steps": 2}}  # arguments at small budgets


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Seconds, memory and numbers at the shapes of the paper's data, which are no data sets here."""
    return weighed(SYSTEMS, datasets, ("netflix", "electronics"), budget)


def weighed(rows: Mapping[str, Mapping[str, Any]], asked: Names, usual: Sequence[str], budget: str) -> list[Case]:
    """A case for each shape and system; seeds play no part."""
    reduced = REDUCED.get(budget, {})
    return [
        Case({"dataset": shape, "system": system}, Measurement.of(footprint, shape=shape, **row, **reduced))
        for shape in Asked(asked, None, budget, shapes=True).datasets_or(usual)
        for system, row in rows.items()
    ]


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
    """What `model` costs at a shape of `evidence.shapes`, with tables of `dim` columns; a fifth of the pairs held back.

    "numbers" are those of `cost.parameters`. "seconds" are CPU seconds, on a GPU those that pass: "build"; "epoch",
    which is its first step (with the draw of the triples and what a model refreshes once) and its other steps, each
    taken as the mean of `steps` of them after a warm-up; "tables", the final tables from the weights. "memory" holds
    the peak in MiB of each phase: resident, and on a GPU allocated there. "serving" is the second process: from final
    tables of the same sizes, the top 20 of all users. MMKD comes with an untrained teacher of `dim` columns.
    """
    size, threads = shape_of(shape), torch.get_num_threads()
    trained = alone(_train, model, size, {**(settings or {}), "dim": dim}, batch, steps, threads)
    tables = trained.pop("tables")
    return trained | {"serving": alone(_serve, size, tables, threads)}


def _train(
    name: str, shape: Shape, settings: Mapping[str, Any], batch: int, steps: int, threads: int
) -> dict[str, Any]:
    torch.set_num_threads(threads)
    device = choose_device()
    memory = {"imports": peak_memory(device)}
    data = random_data(shape)
    memory["data"] = peak_memory(device)
    with seeded(0, device):
        model, build_seconds = timed(lambda: _build(name, data, settings).to(device), device)
        memory["build"] = peak_memory(device)
        seconds = {"build": build_seconds} | _epoch(model, data, batch, steps, device)
        memory["train"] = peak_memory(device)
    model.eval()
    tables: Any
    with torch.no_grad():
        tables, seconds["tables"] = timed(model.embed, device)
    memory["tables"] = peak_memory(device)
    return {
        "steps": ceil(len(data.train) / batch),
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
    count = ceil(len(trainer.sampler.edges) / batch)
    others = min(steps, count - 1)

    def begin() -> Iterator[Batch]:
        batches = trainer.batches()  # drawn when the first one is asked for
        train_epoch(trainer.stepper, islice(batches, 1))
        return batches

    train_epoch(trainer.stepper, islice(begin(), others))  # warms up
    batches, first = timed(begin, device)
    _, rest = timed(lambda: train_epoch(trainer.stepper, islice(batches, others)), device)
    other = rest / max(others, 1)
    return {"first step": first, "other step": other, "epoch": first + (count - 1) * other}


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
    return {"users": shape.users, "seconds": median(seconds), "memory": peak_memory(device)}


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """What each model cost here, a frame a shape; then the paper's parameters, as printed and as they should be."""
    by_dataset = store.tree(cases, "dataset", "system").items()
    made = {f"{dataset}: measured here": spent(systems, dataset) for dataset, systems in by_dataset}
    return made | on_gpus(cases, store) | {"Parameters as the paper counts them": counts6()}


def on_gpus(cases: Sequence[Case], store: Store) -> Frames:
    """The same taken on GPUs, a frame a shape and card: from the folders of `store` that are stores themselves.

    Seconds are those that passed, memory is what was allocated on the card; beside them the paper's.
    """
    columns = ("epoch, s", "step, s", "tables, s", *MEMORY, *PAPER)
    by_title: dict[str, dict[str, list[str]]] = {}
    for gpu in store.nested_stores("consumption"):
        for labels, job in cases:
            _, taken = gpu.measurements("consumption").get(job.canonical, (None, None))
            if taken is not None:
                seconds, memory = taken.values["seconds"], taken.values["memory"]
                peaks = [f"{p['gpu']:,}" for p in (memory["build"], memory["train"], taken.values["serving"]["memory"])]
                title = f"{labels['dataset']}: measured on a GPU, {taken.environment['device']}"
                by_title.setdefault(title, {})[labels["system"]] = [
                    f"{seconds['epoch']:.2f}", f"{seconds['other step']:.4f}", f"{seconds['tables']:.4f}",
                    *peaks, *_printed(labels["dataset"], labels["system"]),
                ]  # fmt: skip
    return {title: as_table(lines, "system", *columns) for title, lines in by_title.items()}


def spent(systems: Mapping[str, Any], dataset: str) -> pd.DataFrame:
    """A line per system: seconds, MiB, numbers, ratios to the teacher's; beside the paper's seconds and gigabytes."""
    columns = (
        "epoch, s", "first step, s", "tables, s", "ranking all users, s", *MEMORY,
        "trained", "kept", "served", "trained / teacher's", "served / teacher's",
    )  # fmt: skip
    lines = {}
    for system, values in systems.items():
        own = _cells(values, systems.get(TEACHER)) if values is not None else [NOT_RUN] * len(columns)
        lines[system] = [*own, *_printed(dataset, system)]
    return as_table(lines, "system", *columns, *PAPER)


def _printed(dataset: str, system: str) -> list[str]:
    """The paper's seconds and gigabytes, where it has any."""
    named = {MODELS[model].title: line for model, line in paper.TABLE_6.get(title_of_place(dataset), {}).items()}
    return [str(named[system].seconds), str(named[system].gigabytes)] if system in named else ["", ""]


def _cells(values: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> list[str]:
    seconds, memory, numbers, serving = (values[name] for name in ("seconds", "memory", "numbers", "serving"))
    peaks = [memory["build"], memory["train"], serving["memory"]]
    mebibytes = [f"{p['resident']:,}" + (f" (GPU {p['gpu']:,})" if "gpu" in p else "") for p in peaks]
    ratios = [percent(numbers[n], teacher["numbers"][n]) if teacher else NOT_RUN for n in ("trained", "served")]
    return [
        f"{seconds['epoch']:.1f}", f"{seconds['first step']:.2f}", f"{seconds['tables']:.3f}",
        f"{serving['seconds']:.2f}", *mebibytes,
        f"{numbers['trained']:,}", f"{numbers['frozen'] + numbers['constants']:,}", f"{numbers['served']:,}", *ratios,
    ]  # fmt: skip


def counts6() -> pd.DataFrame:
    """Each count of Table 6: as printed, the number behind it, the right one, and the ratios to the teacher's."""
    lines = {}
    for dataset, systems in paper.TABLE_6.items():
        shape, behind = counted_shape(dataset.lower()), as_printed(dataset.lower())
        right, stated = counts(shape), counts(SHAPES[dataset.lower()])
        for model, line in systems.items():
            printed = f"{line.ratio!s} %" if line.ratio.text != "-" else ""
            lines[f"{dataset}: {MODELS[model].title}"] = [
                f"{line.millions!s}M", f"{behind[model]:,}", f"{right[model]:,}", f"{stated[model]:,}",
                printed, percent(right[model], right["teacher"]),
            ]  # fmt: skip
    columns = ("printed", "behind it", "right", "right, stated widths", "printed ratio", "right ratio")
    return as_table(lines, "model", *columns)


def cheap_to_distil(store: Store) -> Finding:
    """In Table 5 an epoch of MMKD takes at most 1.1 times the CPU seconds of one without distillation."""
    signs, texts, used = [], [], []
    for dataset, own in per_dataset(store.rows(ablations.cases)):
        runs = rows_of(own, "variant", "MMKD", "w/o any KD").dropna(subset=["record"])
        runs = runs[runs["seed"].duplicated(keep=False)]  # the seeds that both have
        used.append(runs)
        each = (runs["cpu_seconds"] / runs["epochs"]).groupby(runs["variant"]).mean()
        signs.append(None if runs.empty else "+" if each["MMKD"] <= 1.1 * each["w/o any KD"] else "-")
        told = NOT_RUN if runs.empty else f"{each['MMKD']:.2f} with, {each['w/o any KD']:.2f} without"
        texts.append(f"{dataset}, CPU seconds an epoch: {told}")
    return Finding(verdict(signs), tuple(texts), records_of(*used))


def at_most(what: str, share: float, value: Read, rivals: Sequence[str] = (TEACHER, LATTICE, BM3)) -> Judge:
    """What MMKD takes is at most `share` of what each of the rivals takes, at every shape."""
    return within(cases, MMKD, rivals, value, share, what=what)


RULES = {
    "compression": at_most("trained", 0.1, lambda v: v["numbers"]["trained"], [TEACHER]),
    "training time": at_most("CPU seconds an epoch", 0.8, lambda v: v["seconds"]["epoch"]),
    "memory": at_most("peak memory", 0.9, lambda v: v["memory"]["train"]["resident"]),
    "cost of KL": cheap_to_distil,
}
QUESTION = Question(
    cases, table="6", measure=footprint, frames=frames, notes=notes("footprint", "parameters"), claims=claims(RULES)
)
