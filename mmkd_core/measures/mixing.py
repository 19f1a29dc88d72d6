"""How far the modalities of the items mix, before and after the teacher's layers (Fig. 3, Sec. 4.3.2).

A picture by t-SNE shows clouds, and two people see different things in it. The number that goes with it is the share of
a point's nearest neighbours that are of another modality, as a mean over the points: 0 where every modality keeps to
itself, about (M - 1) / M where M modalities are spread alike.

The points are those of the items that have all modalities and interactions in training, one point a modality: elsewhere
f^m is the bias alone, or F^m is zero. So all representations are of the same items.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import load
from mmkd_core.experiment import Experiment, train
from mmkd_core.layers import standardise, unit_rows
from mmkd_core.models.mmkd import MMKD
from mmkd_core.models.teacher import Teacher

# The first goes with the picture: fusion, EmbKD and the released code use the direction of F^m alone, and by Euclidean
# distance modalities of different norm lie apart although none of these can tell.
METRICS = ("cosine", "euclidean")
NEIGHBOURS = 10
STAGES = ("w/o-Prompt", "prompt", "prompt tuned")  # a teacher without it; one with it; that one after MMKD's stage
RAW_WIDTH = 64  # at most, of raw features
PICTURED = 500  # points of a picture: more hide each other, and make the record large

Points = Float[Tensor, "item modality dim"]


def mixing(
    store: Path, *, taught: Mapping[str, Any], unprompted: Mapping[str, Any], coordinates: bool = False
) -> dict[str, Any]:
    """`share` by representation and metric, and `full`, what full mixing would give.

    `taught` is MMKD's experiment as a dict, `unprompted` that of a teacher without prompt; both are trained in `store`,
    or found there. The representations are the raw features "X", and after each of `STAGES` the output of the
    reduction layer, "f, <stage>", and what it becomes in the graph, "F, <stage>". With `coordinates` the points of a
    picture are there too, by representation and modality, [all x, all y].
    Raises `DataError` when there are no two modalities, or too few items that have both.
    """
    student, plain = (Experiment.from_dict(values) for values in (taught, unprompted))
    data = load(student.dataset, **student.options)
    items = measurable(data)
    after = {stage: layers_of(teacher) for stage, teacher in _teachers(student, plain, store, data).items()}
    found = {"X": raw(data, items)}
    found |= {f"{layer}, {stage}": after[stage][layer][items] for layer in ("f", "F") for stage in STAGES}
    count, parts, _ = found["X"].shape
    values: dict[str, Any] = {
        "items": count,
        "modalities": sorted(data.features),
        "full": count * (parts - 1) / (count * parts - 1),
        "share": {name: {by: mixing_share(points, by) for by in METRICS} for name, points in found.items()},
    }
    if coordinates:
        values["coordinates"] = {
            name: dict(zip(values["modalities"], picture(points), strict=True)) for name, points in found.items()
        }
    return values


def _teachers(student: Experiment, plain: Experiment, store: Path, data: Dataset) -> dict[str, Teacher]:
    """The teacher of each of `STAGES`."""
    if student.teacher is None:
        raise ValueError(f"an experiment of {student.model}; expected one of mmkd, which has a teacher")
    model, _ = train(student, store, data)
    first, _ = train(student.teacher, store, data)  # anew from the store: MMKD has moved the prompt of its own
    bare, _ = train(plain, store, data)
    return cast("dict[str, Teacher]", dict(zip(STAGES, (bare, first, cast("MMKD", model).teacher), strict=True)))


def measurable(data: Dataset) -> Int[Tensor, " chosen"]:
    """The items with interactions in training and all modalities (a row of zeros is a missing one)."""
    if len(data.features) < 2:
        raise DataError(f"{data.name}: modalities {sorted(data.features)}; expected two at least, or none can mix")
    there = torch.bincount(data.train[:, 1], minlength=data.num_items) > 0
    for x in data.features.values():
        there &= (x != 0).any(dim=1)
    items = there.nonzero()[:, 0]
    if len(items) * len(data.features) <= NEIGHBOURS:
        raise DataError(f"{data.name}: {len(items)} items with all modalities; {NEIGHBOURS} neighbours need more")
    return items


def raw(data: Dataset, items: Int[Tensor, " item"]) -> Points:
    """X^m: standardised, then the same number of principal components of each modality, the narrowest's, at most 64.

    The axes of two modalities have nothing to do with each other: here mixing tells of the shapes of clouds alone.
    """
    tables = [standardise(data.features[modality])[items] for modality in sorted(data.features)]
    width = min(RAW_WIDTH, *(min(x.shape) for x in tables))
    scores = [PCA(width, random_state=0).fit_transform(x.double().numpy()) for x in tables]
    return torch.from_numpy(np.stack(scores, axis=1)).float()


@torch.no_grad()
def layers_of(teacher: Teacher) -> dict[str, Points]:
    """f^m, the output of the reduction layer (Eq. 4), and F^m, which the graph makes of it; of all items."""
    teacher.eval()
    prompt = teacher.prompt() if teacher.prompt is not None else None
    reduced = teacher.reduction(prompt, teacher.prompt_rate).cpu()
    known = teacher.know().content_of_items().cpu()
    return {"f": reduced.unflatten(1, known.shape[1:]), "F": known}


def mixing_share(points: Points, metric: str) -> float:
    """The share of the 10 nearest neighbours of a point that are of another modality; mean over all points.

    Raises `ValueError` for a metric that is not one of `METRICS`.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; one of {list(METRICS)}")
    count, parts, _ = points.shape
    # of unit vectors the nearest by Euclidean distance are the nearest by cosine, and are found ten times faster
    vectors = unit_rows(points.double()) if metric == "cosine" else points.double()
    near = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(vectors.flatten(0, 1).numpy())
    found = near.kneighbors(return_distance=False)  # no point is its own
    modality = np.tile(np.arange(parts), count)
    return float((modality[found] != modality[:, None]).mean())


def pictured(points: Points) -> Int[Tensor, " chosen"]:
    """Which items a picture shows: places in `points`, the same whatever the representation."""
    count, parts, _ = points.shape
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[: PICTURED // parts]


def picture(points: Points) -> list[list[list[float]]]:
    """t-SNE of the items of `pictured` in the plane, of each modality [all x, all y], to hundredths.

    It starts from a PCA, and sees directions alone, as the main metric does.
    """
    parts, drawn = points.shape[1], pictured(points)
    some = unit_rows(points[drawn].double()).flatten(0, 1).numpy()
    plane = TSNE(init="pca", perplexity=min(30, len(some) / 4), random_state=0).fit_transform(some)
    by_modality = np.round(plane.astype(float), 2).reshape(len(drawn), parts, 2).transpose(1, 2, 0)
    return by_modality.tolist()
