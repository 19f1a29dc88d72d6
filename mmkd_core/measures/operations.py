"""Floating-point operations of a training step and of the tables that serve, as one size grows (Table 1).

Counted are the multiplications and additions of products, dense and sparse, as they are carried out: torch's own
counter knows the dense ones, the formulas of the sparse ones are below. Work on single elements (activations, norms,
the optimiser), sorting and the choice of the largest are not products and not counted; neither is the PCA of the
prompt, which scikit-learn computes once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mmkd_core.data import Batch, Dataset
from mmkd_core.datasets.shapes import Shape, random_data, shape_of
from mmkd_core.experiment import Experiment, model_of
from mmkd_core.training import seeded

SIZES = ("users", "items", "edges", "raw", "dim", "layers")
PHASES = ("build", "step", "serve")
PARTS = ("features", "edges", "dense")
BATCH = 32  # fewer than the users and items of every shape, so that a batch names each once
DIM, LAYERS = 8, 2
DOUBLINGS = (1, 2, 4, 8, 16)

aten = torch.ops.aten


def _of_sums(table: Sequence[int], indices: Sequence[int], *_: object, **__: object) -> int:
    """Weighted sums of rows: a multiplication and an addition for each number of each row that is looked up."""
    return 2 * indices[0] * table[1]


def _of_weights(grad: Sequence[int], table: Sequence[int], indices: Sequence[int], *_: object, **__: object) -> int:
    """Gradients of the weights: an inner product for each row that is looked up."""
    return 2 * indices[0] * table[1]


SPARSE: dict[Any, Callable[..., int]] = {
    aten._embedding_bag: _of_sums,
    aten._embedding_bag_forward_only: _of_sums,
    aten._embedding_bag_backward: _of_sums,  # of the rows of the gradient
    aten._embedding_bag_per_sample_weights_backward: _of_weights,
}


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Fills the yielded dict at the end: operations of "sparse" and of "dense" products inside."""
    counts: dict[str, int] = {}
    with FlopCounterMode(display=False, custom_mapping=SPARSE) as counter:
        yield counts
    by_operator = counter.get_flop_counts().get("Global", {})
    counts["sparse"] = sum(count for operator, count in by_operator.items() if operator in SPARSE)
    counts["dense"] = sum(by_operator.values()) - counts["sparse"]


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
    found: dict[str, Any] = {phase: {part: [] for part in PARTS} for phase in PHASES}
    for factor in doublings:
        sizes = start | {size: factor * start[size]}
        once, twice = (_count(model, base.widths, sizes | {"raw": raw}) for raw in (sizes["raw"], 2 * sizes["raw"]))
        for phase, parts in found.items():
            of_raw = {kind: twice[phase][kind] - count for kind, count in once[phase].items()}
            parts["features"].append(sum(of_raw.values()))
            parts["edges"].append(once[phase]["sparse"] - of_raw["sparse"])
            parts["dense"].append(once[phase]["dense"] - of_raw["dense"])
    return {"sizes": [factor * start[size] for factor in doublings], **found}


def _count(model: str, widths: Sequence[int], sizes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """The counts of each phase at the given sizes; `widths` say in which proportion the modalities share "raw"."""
    raw = tuple(width * sizes["raw"] // sum(widths) for width in widths)
    data = random_data(Shape(sizes["users"], sizes["items"], sizes["edges"], raw), held_back=0)
    settings = {"dim": sizes["dim"], "layers": sizes["layers"]} | ({"latent": sizes["dim"]} if model == "mmgcn" else {})
    with seeded(0):
        taught = Experiment(data.name, "teacher", hparams=settings) if model == "mmkd" else None
        teacher = taught and model_of(taught, data)
        with counted() as building:
            made = model_of(Experiment(data.name, model, hparams=settings, teacher=taught), data, teacher)
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
