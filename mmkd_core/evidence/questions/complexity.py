"""Floating-point operations of a training step and of the tables that serve, as one size grows (Table 1).

Counted are the multiplications and additions of products, dense and sparse, as they are carried out: torch's own
counter knows the dense ones, the formulas of the sparse ones are in `meters`. Work on single elements (activations,
norms, the optimiser), sorting and the choice of the largest are not products and not counted; neither is the PCA of the
prompt, which scikit-learn computes once.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmkd_core.data import Batch, Dataset
from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import Asked, Case, Names, Seeds
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.meters import counted
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.shapes import Shape, random_data, shape_of
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, as_table, plain
from mmkd_core.evidence.verdicts import Finding, verdict
from mmkd_core.experiment import Experiment
from mmkd_core.models import MODELS
from mmkd_core.runs import model_of
from mmkd_core.training import seeded

COUNTED = ("mmgcn", "grcn", "lattice", "slmrec", "bm3", "teacher", "mmkd")
_READ = paper.told("questions/complexity")
SYMBOLS: dict[str, str] = _READ["symbols"]  # as TeX
SIZES = tuple(SYMBOLS)
PHASES = ("build", "step", "serve")
PARTS = ("features", "edges", "dense")
BATCH = 32  # fewer than the users and items of every shape, so that a batch names each once
DIM, LAYERS = 8, 2
DOUBLINGS = (1, 2, 4, 8, 16)
REDUCED = {"smoke": {"doublings": (1, 2, 4)}}  # arguments of a measurement at a small budget


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Operations of each model as one size after the other grows from a small shape. Seeds play no part."""
    shapes, reduced = Asked(datasets, seeds, budget, shapes=True).datasets_or(("demo",)), REDUCED.get(budget, {})
    return [
        Case(
            {"dataset": shape, "model": model, "size": size},
            Measurement.of(operations, model=model, size=size, shape=shape, **reduced),
        )
        for shape, model, size in product(shapes, COUNTED, SIZES)
    ]


def operations(
    store: Path, *, model: str, size: str, shape: str = "demo", doublings: Sequence[int] = DOUBLINGS
) -> dict[str, Any]:
    """Operations of `model` while one of `SIZES` is multiplied by each of `doublings` and the others stay at `shape`'s.

    "raw" is the width of all modalities' raw features together, "dim" that of embeddings and hidden layers. Gives the
    `sizes`, and for each of `PHASES` the counts of three parts. "features": what is in proportion to the raw width; as
    every count is linear in it, the difference to the count at twice the width. "edges" and "dense": the sparse and
    the dense products that remain. "build" happens once, "step" is the first of an epoch, of `BATCH` pairs, forward and
    backward; "serve" makes the final tables.
    """
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}; one of {list(SIZES)}")
    base = shape_of(shape)
    start = {"users": base.users, "items": base.items, "edges": base.edges, "raw": sum(base.widths)}
    start |= {"dim": DIM, "layers": LAYERS}
    counts: dict[str, Any] = {phase: {part: [] for part in PARTS} for phase in PHASES}
    for factor in doublings:
        sizes = start | {size: factor * start[size]}
        once, twice = (_count(model, base.widths, sizes | {"raw": raw}) for raw in (sizes["raw"], 2 * sizes["raw"]))
        for phase, parts in counts.items():
            of_raw = {kind: twice[phase][kind] - count for kind, count in once[phase].items()}
            parts["features"].append(sum(of_raw.values()))
            parts["edges"].append(once[phase]["sparse"] - of_raw["sparse"])
            parts["dense"].append(once[phase]["dense"] - of_raw["dense"])
    return {"sizes": [factor * start[size] for factor in doublings], **counts}


def _count(model: str, widths: Sequence[int], sizes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The counts of each phase at the given sizes; `widths` say in which proportion the modalities share "raw"."""
    raw = tuple(width * sizes["raw"] // sum(widths) for width in widths)
    data = random_data(Shape(sizes["users"], sizes["items"], sizes["edges"], raw), held_back=0.0)
    settings = {"dim": sizes["dim"], "layers": sizes["layers"]} | ({"latent": sizes["dim"]} if model == "mmgcn" else {})
    with seeded(0):
        taught = Experiment(data.name, "teacher", hparams=settings) if model == "mmkd" else None
        teacher = taught and model_of(taught, data)
        with counted() as building:
            made = model_of(Experiment(data.name, model, hparams=settings, teacher=taught), data, teacher=teacher)
        made.train()
        made.refresh()
        batch = _batch(data, made.negatives)
        with counted() as step:
            torch.stack(list(made(batch).values())).sum().backward()
        made.eval().requires_grad_(False)
        with counted() as serving:
            made.embed()
    return {"build": building, "step": step, "serve": serving}


def _batch(data: Dataset, negatives: int) -> Batch:
    """The first users with the first items: all different, so that no count depends on chance."""
    first = torch.arange(BATCH)
    others = BATCH + torch.arange(BATCH * negatives) % (data.num_items - BATCH)
    return Batch(first, first, others.view(BATCH, negatives))


TITLES = {"step": "A training step", "serve": "The tables that serve", "build": "Once, before training"}
PART_TITLES = {"features": "in proportion to $d_m$", "edges": "sparse products", "dense": "dense products"}
# What this library's models do, by phase and part, as TeX; what is left out is not done.
FORMS: dict[str, dict[tuple[str, ...], str]] = {
    model: {(phase, part): form for phase, parts in phases.items() for part, form in parts.items()}
    for model, phases in _READ["here"].items()
}
# Which of them answer to an entry of the paper, by model and component, and what to add when it is right or not.
JUDGED: dict[str, dict[str, dict[str, Any]]] = _READ["judged"]
Counts = Mapping[str, Mapping[str, Any] | None]  # what `operations` gave for each size that was varied


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """The paper's entries and what was counted for them; then each model's parts in each phase. Formulas are TeX."""
    made: Frames = {}
    for dataset, models in store.tree(cases, "dataset", "model", "size").items():
        made[f"The paper's Table 1, counted (the shape {dataset})"] = entries(models)
        for phase, title in TITLES.items():
            made[f"{title} (the shape {dataset})"] = parts_of(models, phase)
    return made


def growth(sizes: Sequence[int], counts: Sequence[int]) -> float:
    """k of a + b x^k through the last three points, whose x are in geometric progression, whatever a is.

    0 when the counts grow by less than a tenth of the last: LATTICE's item graph has a few per cent more or fewer
    entries from one draw of the weights to another.
    """
    if counts[-1] - counts[0] < 0.1 * counts[-1] or counts[-1] == 0:
        return 0.0
    before, last = counts[-2] - counts[-3], counts[-1] - counts[-2]
    if min(before, last) <= 0:
        raise ValueError(f"counts {[*counts]} at sizes {[*sizes]}; expected what grows, or stays as it is")
    return log(last / before) / log(sizes[-1] / sizes[-2])


def powers(counts: Counts, parts: Iterable[Sequence[str]], sizes: Iterable[str] = SIZES) -> dict[str, float] | None:
    """The power of each size, the highest over `parts` (phase, part); None where a size was not counted."""
    parts, by_size = tuple(parts), {}
    for size in sizes:
        values = counts[size]
        if values is None:
            return None
        by_size[size] = max(growth(values["sizes"], values[phase][part]) for phase, part in parts)
    return by_size


def entries(models: Mapping[str, Counts]) -> pd.DataFrame:
    """A line per entry: as printed, the operations here, the powers counted of the sizes it names, if it is right."""
    lines = {}
    for model in (model for model in JUDGED if model in models):
        for component, judged in JUDGED[model].items():
            printed, parts = paper.TABLE_1[model][component], judged["parts"]
            form = "; ".join(FORMS[model].get(tuple(part), "0") for part in parts)
            counted = powers(models[model], parts, printed.powers)
            agreement = NOT_RUN if counted is None else _agreement(printed, counted, judged)
            lines[f"{MODELS[model].title}, {component}"] = [printed.text, form, _text(counted), agreement]
    if "teacher" in models:
        form = "; ".join(FORMS["teacher"]["step", part] for part in ("edges", "dense", "features"))  # as in `JUDGED`
        counted = powers(models["teacher"], [("step", part) for part in PARTS])
        lines[MODELS["teacher"].title] = ["", form, _text(counted), _READ["missing"]]
    return as_table(lines, "entry", "printed", "here", "counted", "as printed?")


def differing(counted: Mapping[str, float], printed: paper.Order) -> dict[str, float]:
    """The powers counted that are not, to the nearest whole number, those printed; a size that is not printed has 0."""
    return {size: power for size, power in counted.items() if abs(power - printed.powers.get(size, 0)) >= 0.5}


def _agreement(printed: paper.Order, counted: Mapping[str, float], judged: Mapping[str, Any]) -> str:
    differs, right = differing(counted, printed), judged.get("why_right")
    if not differs:
        return f"yes ({right})" if right else "yes"
    return f"no, counted {_text(differs)}" + (f": {judged['why_wrong']}" if "why_wrong" in judged else "")


def _text(counted: Mapping[str, float] | None) -> str:
    if counted is None:
        return NOT_RUN
    return f"${' '.join(f'{SYMBOLS[size]}^{round(power)}' for size, power in counted.items())}$"


def parts_of(models: Mapping[str, Counts], phase: str) -> pd.DataFrame:
    """A line per part of a model that does something in `phase`: its operations, and the power of each size."""
    lines = {}
    for model, counts in models.items():
        for place, form in FORMS[model].items():
            if place[0] == phase:
                counted = powers(counts, [place])
                cells = [NOT_RUN if counted is None else f"{counted[size]:.1f}".removesuffix(".0") for size in SIZES]
                lines[f"{MODELS[model].title}: {PART_TITLES[place[1]]}"] = [form, *cells]
    return as_table(lines, "part", "operations", *(f"${symbol}$" for symbol in SYMBOLS.values()))


def serves_by_edges(store: Store) -> Finding:
    """MMKD's final tables take no operation in proportion to raw features; others grow as the paper's entry has it.

    That is with the powers that Table 1 prints, and with no size that it does not print.
    """
    own = [case for case in store.planned(cases) if case.labels["model"] == "mmkd"]
    counts, entry = store.tree(own, "size"), JUDGED["mmkd"]["GNN"]
    counted = powers(counts, entry["parts"]) if set(SIZES) <= set(counts) else None
    if counted is None:
        return Finding(NOT_RUN, (NOT_RUN,))
    features = max(max(values["serve"]["features"]) for values in counts.values())
    right = features == 0 and not differing(counted, paper.TABLE_1["mmkd"]["GNN"])
    grown = ", ".join(f"{power:z.2f} of {plain(f'${SYMBOLS[size]}$')}" for size, power in counted.items())
    lines = f"operations in proportion to raw features: {features}", f"the others grow with the power {grown}"
    return Finding(verdict(["+" if right else "-"]), lines, store.files(own))


QUESTION = Question(
    cases, table="1", measure=operations, frames=frames, notes=notes("operations", "powers"),
    claims=claims({"complexity": serves_by_edges}),
)  # fmt: skip
