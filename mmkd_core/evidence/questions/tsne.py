"""How far the modalities of the items mix, before and after the teacher's layers (Fig. 3, Sec. 4.3.2).

A picture by t-SNE shows clouds, and two people see different things in it. The number that goes with it is the share of
a point's nearest neighbours that are of another modality, as a mean over the points: 0 where every modality keeps to
itself, about (M - 1) / M where M modalities are spread alike.

The points are those of the items that have all modalities and interactions in training, one point a modality: elsewhere
f^m is the bias alone, or F^m is zero. So all representations are of the same items.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets import load
from mmkd_core.evidence.cases import SEEDS, Asked, Case, Names, Seeds, Variant, title_of_place
from mmkd_core.evidence.compare import LEAST_SEEDS, NOT_RUN
from mmkd_core.evidence.figures import scatter
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import MARKS, PALETTE, entitle, grid, parts, say
from mmkd_core.evidence.tables import as_table, cell
from mmkd_core.evidence.verdicts import Judge, Systems, on_each_dataset, sign_of
from mmkd_core.experiment import Experiment
from mmkd_core.layers import standardise, unit_rows
from mmkd_core.models.mmkd import MMKD
from mmkd_core.models.teacher import Teacher
from mmkd_core.runs import trained

# The first goes with the picture: fusion, EmbKD and the released code use the direction of F^m alone, and by Euclidean
# distance modalities of different norm lie apart although none of these can tell.
METRICS = ("cosine", "euclidean")
NEIGHBOURS = 10
STAGES = ("w/o-Prompt", "prompt", "prompt tuned")  # a teacher without it; one with it; that one after MMKD's stage
RAW_WIDTH = 64  # at most, of raw features
PICTURED = 500  # points of a picture: more hide each other, and make the record large
# The representations that `mixing` gives, by place in the picture; None is the place of the legend.
PANELS: tuple[tuple[str | None, ...], ...] = (
    ("X", "f, w/o-Prompt", "f, prompt", "f, prompt tuned"),
    (None, "F, w/o-Prompt", "F, prompt", "F, prompt tuned"),
)
METRIC = "cosine"  # what the pictures are made by
HEIGHT = 4.8

Points = Float[Tensor, "item modality dim"]


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """MMKD, whose teacher has a prompt, and a teacher without; points of pictures for the first seed alone."""
    asked, planned = Asked(datasets, seeds, budget), []
    own = asked.seeds_or(SEEDS)
    for dataset in asked.datasets_or(("tiktok",)):
        for seed in own:
            taught = asked.planned(dataset, seed, Variant())
            unprompted = asked.planned(dataset, seed, Variant("teacher", hparams={"prompt_rate": 0.0}))
            job = Measurement.of(mixing, taught=taught, unprompted=unprompted, coordinates=seed == own[0])
            planned.append(Case({"dataset": dataset, "seed": seed}, job))
    return planned


def mixing(store: Path, *, taught: Experiment, unprompted: Experiment, coordinates: bool = False) -> dict[str, Any]:
    """`share` by representation and metric, and `full`, what full mixing would give.

    `taught` is MMKD's experiment, `unprompted` that of a teacher without prompt; both are trained in `store`,
    or found there. The representations are the raw features "X", and after each of `STAGES` the output of the
    reduction layer, "f, <stage>", and what it becomes in the graph, "F, <stage>". With `coordinates` the points of a
    picture are there too, by representation and modality, [all x, all y].
    Raises `DataError` when there are no two modalities, or too few items that have both.
    """
    data = load(taught.dataset, **taught.options)
    items = measurable(data)
    after = {stage: layers_of(teacher) for stage, teacher in _teachers(taught, unprompted, store, data).items()}
    representations = {"X": raw(data, items)}
    representations |= {f"{layer}, {stage}": after[stage][layer][items] for layer in ("f", "F") for stage in STAGES}
    count, modalities, _ = representations["X"].shape
    values: dict[str, Any] = {
        "items": count,
        "modalities": sorted(data.features),
        "full": count * (modalities - 1) / (count * modalities - 1),
        "share": {name: {by: mixing_share(points, by) for by in METRICS} for name, points in representations.items()},
    }
    if coordinates:
        drawn = {name: picture(points) for name, points in representations.items()}
        values["coordinates"] = {n: dict(zip(values["modalities"], xy, strict=True)) for n, xy in drawn.items()}
    return values


def _teachers(student: Experiment, plain: Experiment, store: Path, data: Dataset) -> dict[str, Teacher]:
    """The teacher of each of `STAGES`: "prompt" anew from the store, since MMKD has moved the prompt of its own."""
    if student.teacher is None:
        raise ValueError(f"an experiment of {student.model}; expected one of mmkd, which has a teacher")
    model, first, bare = (trained(one, store, data)[0] for one in (student, student.teacher, plain))
    return cast("dict[str, Teacher]", dict(zip(STAGES, (bare, first, cast("MMKD", model).teacher), strict=True)))


def measurable(data: Dataset) -> Int[Tensor, " chosen"]:
    """The items with interactions in training and all modalities (a row of zeros is a missing one)."""
    if len(data.features) < 2:
        raise DataError(f"{data.name}: modalities {sorted(data.features)}; expected two at least, or none can mix")
    trained_on = torch.bincount(data.train[:, 1], minlength=data.num_items) > 0
    there = torch.stack([trained_on, *((x != 0).any(dim=1) for x in data.features.values())])
    items = there.all(dim=0).nonzero()[:, 0]
    if len(items) * len(data.features) <= NEIGHBOURS:
        raise DataError(f"{data.name}: {len(items)} items with all modalities; {NEIGHBOURS} neighbours need more")
    return items


def raw(data: Dataset, items: Int[Tensor, " item"]) -> Points:
    """X^m: standardised, then the same number of principal components of each modality, the narrowest's, at most 64.

    The axes of two modalities have nothing to do with each other: here mixing tells of the shapes of clouds alone.
    """
    from sklearn.decomposition import PCA

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
    from sklearn.neighbors import NearestNeighbors

    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; one of {list(METRICS)}")
    count, parts, _ = points.shape
    # of unit vectors the nearest by Euclidean distance are the nearest by cosine, and are found ten times faster
    vectors = (unit_rows(points.double()) if metric == "cosine" else points.double()).flatten(0, 1).numpy()
    near = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(vectors)
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
    from sklearn.manifold import TSNE

    parts, drawn = points.shape[1], pictured(points)
    some = unit_rows(points[drawn].double()).flatten(0, 1).numpy()
    plane = TSNE(init="pca", perplexity=min(30, len(some) / 4), random_state=0).fit_transform(some)
    return np.round(plane.astype(float), 2).reshape(len(drawn), parts, 2).transpose(1, 2, 0).tolist()


def shares(cases: Sequence[Case], store: Store) -> pd.DataFrame:
    """One row per data set, seed and representation that was measured, with its share by either metric and `full`."""
    lines = [
        {**labels, "representation": name, **by, "full": values["full"]}
        for labels, values in store.taken(cases)
        if values is not None
        for name, by in values["share"].items()
    ]
    return pd.DataFrame(lines, columns=["dataset", "seed", "representation", *METRICS, "full"])


def share_table(table: pd.DataFrame) -> pd.DataFrame:
    """A line per representation: its share by either metric; from `shares` of one data set."""
    lines = {}
    for name in (name for row in PANELS for name in row if name):
        own = table[table["representation"] == name]
        lines[name] = [cell(own[metric], 2) for metric in METRICS]
    return as_table(lines, "representation", "cosine", "Euclidean")


def share_differences(table: pd.DataFrame, metric: str = METRIC) -> pd.DataFrame:
    """What the prompt changes: its representations less those without it, seed by seed; from `shares` of one data set.

    The reading is "more" or "less" overlap if all of at least two seeds agree, else "not told apart".
    """
    by_seed = table.pivot(index="seed", columns="representation", values=metric)
    lines = {}
    for name in (name for row in PANELS for name in row if name and "prompt" in name):
        line = f"{name} minus without"
        if name not in by_seed:
            lines[line] = [NOT_RUN, "", NOT_RUN]
            continue
        gains = by_seed[name] - by_seed[f"{name[0]}, w/o-Prompt"]
        agreed = {"+": "more", "-": "less"}.get(sign_of([*gains], [0.0] * len(gains)) if len(gains) > 1 else "0")
        lines[line] = [cell(gains, 2, "+"), f"{gains.gt(0).sum()} of {len(gains)}", agreed or "not told apart"]
    return as_table(lines, "representation", "difference", "seeds with more", "overlap")


def draw(cases: Sequence[Case], store: Store) -> Figure:
    """One part per data set: a panel per representation, the points of the first seed, the share as mean over seeds."""
    table, by_dataset = shares(cases, store), store.tree(cases, "dataset", "seed")
    figure, drawn = parts([*map(title_of_place, by_dataset)], HEIGHT)
    for part, (dataset, seeds) in zip(drawn, by_dataset.items(), strict=True):
        coordinates = next((v["coordinates"] for v in seeds.values() if v and "coordinates" in v), {})
        draw_points(part, coordinates, table[table["dataset"] == dataset])
    return figure


def draw_points(part: SubFigure, coordinates: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> None:
    """Draws `PANELS`: points by representation and modality, [all x, all y]; shares from the rows of `shares`."""
    for axes, names in zip(grid(part, 2, 4), PANELS, strict=True):
        for ax, name in zip(axes, names, strict=True):
            ax.set(xticks=[], yticks=[])
            if name is None:
                _explain(ax, coordinates.get("X", {}), table["full"])
                continue
            own = table.loc[table["representation"] == name, METRIC]
            title = "X$^m$, raw" if name == "X" else name.replace(", ", "$^m$, ")
            entitle(ax, f"{title}\n{f'mixing {cell(own, 2)}' if len(own) else ''}")
            if name in coordinates:
                scatter(ax, coordinates[name])
            else:
                say(ax, "no points" if len(own) else NOT_RUN)


def _explain(ax: Axes, points: Mapping[str, Any], full: pd.Series) -> None:
    ax.set_axis_off()
    for place, modality in enumerate(points):
        ax.scatter([], [], s=40, color=PALETTE[place], marker=MARKS[place], label=modality)
    if points:
        ax.legend(loc="upper left", frameon=False, title="a point: an item's", alignment="left", borderaxespad=0)
    if len(full):
        text = f"mixing: share of\nneighbours of another\nmodality; all alike: {full.mean():.2f}"
        ax.text(0, 0, text, transform=ax.transAxes, fontsize=9, color="0.25", va="bottom")


def more_mixed(one: str, other: str, metric: str = METRIC) -> Judge:
    """The representation `one` mixes modalities more than `other` in every seed, of two at least."""

    def read(seeds: Systems) -> tuple[str | None, str]:
        measured = [values for values in seeds.values() if values is not None]
        by_name = {name: [values["share"][name][metric] for values in measured] for name in (one, other)}
        enough = measured and len(measured) >= min(LEAST_SEEDS, len(seeds))
        means = ", ".join(f"{np.mean(shares):.3f} ({name})" for name, shares in by_name.items() if shares)
        return sign_of(*by_name.values()) if enough else None, means

    return on_each_dataset(cases, "share of neighbours of another modality", read, "seed")


RULES = {
    "prompt mixes": more_mixed("f, prompt tuned", "f, w/o-Prompt"),
    "prompt mixes, caption": more_mixed("F, prompt tuned", "F, w/o-Prompt"),
}
QUESTION = Question(
    cases, figure="3", measure=mixing, draw=draw, notes=notes("mixing", "our_records_alone"), claims=claims(RULES)
)
