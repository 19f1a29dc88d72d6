"""Fig. 3: the items' representations in the plane, by modality, with the share of neighbours of another modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mmkd_core.datasets import title_of
from mmkd_core.figures.style import MARKS, NOT_RUN, PALETTE, entitle, grid, parts, say
from mmkd_core.recipes import Case
from mmkd_core.results import measurements

# The representations of `mmkd_core.measures.mixing` by place in the picture; None is the place of the legend.
PANELS: tuple[tuple[str | None, ...], ...] = (
    ("X", "f, w/o-Prompt", "f, prompt", "f, prompt tuned"),
    (None, "F, w/o-Prompt", "F, prompt", "F, prompt tuned"),
)
METRIC = "cosine"  # what the pictures are made by
HEIGHT = 4.8


def shares(cases: Sequence[Case], store: Path) -> pd.DataFrame:
    """One row a data set, seed and representation that was measured, with its share by either metric and `full`."""
    return pd.DataFrame(
        [
            {**labels, "representation": name, **by, "full": values["full"]}
            for labels, values in measurements(cases, store)
            if values is not None
            for name, by in values["share"].items()
        ],
        columns=["dataset", "seed", "representation", "cosine", "euclidean", "full"],
    )


def share_table(table: pd.DataFrame) -> pd.DataFrame:
    """A line a representation: its share by either metric; from `shares` of one data set, mean ± standard deviation."""
    groups = {name: table[table["representation"] == name] for row in PANELS for name in row if name}
    lines = {
        name: [spread(own[metric]) if len(own) else NOT_RUN for metric in ("cosine", "euclidean")]
        for name, own in groups.items()
    }
    return pd.DataFrame.from_dict(lines, orient="index", columns=["cosine", "Euclidean"]).rename_axis("representation")


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
        agreed = "more" if gains.gt(0).all() else "less" if gains.lt(0).all() else None
        reading = agreed if agreed and len(gains) > 1 else "not told apart"
        lines[line] = [spread(gains, "+"), f"{gains.gt(0).sum()} of {len(gains)}", reading]
    return pd.DataFrame.from_dict(
        lines, orient="index", columns=["difference", "seeds with more", "overlap"]
    ).rename_axis("representation")


def figure3(cases: Sequence[Case], store: Path) -> Figure:
    """One part a data set: a panel a representation, the points of the first seed, the share as mean over seeds."""
    table, found = shares(cases, store), measurements(cases, store)
    datasets = list(dict.fromkeys(labels["dataset"] for labels, _ in found))
    figure, drawn = parts([*map(title_of, datasets)], HEIGHT)
    for part, dataset in zip(drawn, datasets, strict=True):
        values = [values for labels, values in found if labels["dataset"] == dataset and values is not None]
        coordinates = next((v["coordinates"] for v in values if "coordinates" in v), {})
        representations(part, coordinates, table[table["dataset"] == dataset])
    return figure


def representations(part: SubFigure, coordinates: Mapping[str, Mapping[str, Any]], table: pd.DataFrame) -> None:
    """Draws `PANELS`: points by representation and modality, [all x, all y]; shares from the rows of `shares`."""
    for axes, names in zip(grid(part, 2, 4), PANELS, strict=True):
        for ax, name in zip(axes, names, strict=True):
            ax.set(xticks=[], yticks=[])
            if name is None:
                _explain(ax, coordinates.get("X", {}), table["full"])
                continue
            own = table.loc[table["representation"] == name, METRIC]
            title = "X$^m$, raw" if name == "X" else name.replace(", ", "$^m$, ")
            entitle(ax, f"{title}\n{'mixing ' + spread(own) if len(own) else ''}")
            if name in coordinates:
                scatter(ax, coordinates[name])
            else:
                say(ax, "no points" if len(own) else NOT_RUN)


def scatter(ax: Axes, points: Mapping[str, Any]) -> None:
    """Draws the points of each modality, [all x, all y], told apart by colour and mark; no modality lies on top."""
    xy = [np.asarray(values) for values in points.values()]
    for turn in range(4):  # a quarter of each modality at a time
        for place, values in enumerate(xy):
            x, y = values[:, turn::4]
            ax.scatter(x, y, s=7, color=PALETTE[place], marker=MARKS[place], linewidths=0, alpha=0.75)
    ax.set_aspect("equal", adjustable="datalim")


def spread(values: pd.Series, sign: str = "") -> str:
    """Mean, and standard deviation if there are two values; `sign="+"` shows the sign of a positive mean."""
    deviation = f" ± {values.std():.2f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.2f}{deviation}"


def _explain(ax: Axes, points: Mapping[str, Any], full: pd.Series) -> None:
    ax.set_axis_off()
    for place, modality in enumerate(points):
        ax.scatter([], [], s=40, color=PALETTE[place], marker=MARKS[place], label=modality)
    if points:
        ax.legend(loc="upper left", frameon=False, title="a point: an item's", alignment="left", borderaxespad=0)
    if len(full):
        text = f"mixing: share of\nneighbours of another\nmodality; all alike: {full.mean():.2f}"
        ax.text(0, 0, text, transform=ax.transAxes, fontsize=9, color="0.25", va="bottom")
