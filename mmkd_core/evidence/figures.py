"""What more than one chapter draws, from plain values: each function returns a `Figure`, or draws into a panel.

Posters, training curves, intervals, differences between systems, lines, bars, points and matrices.
"""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from mmkd_core.datasets.demo_catalogue import DemoDataset
from mmkd_core.evidence.cases import title_of_place
from mmkd_core.evidence.compare import ALPHA, NOT_RUN, Comparison
from mmkd_core.evidence.style import BLUE, DASHES, MARKS, PALETTE, VERMILION, WIDTH, entitle, grid, panels, parts, say

NUMBER_WIDTH = 0.28  # inches that a number of two decimals takes above a bar
UNSURE = "0.45"
LINE, FRAME = 0.27, 1.0  # inches a pair, and around them
MARK, CAPPED_MARK = "o", "x"


def posters(data: DemoDataset, rows: Mapping[str, Sequence[int]], *, marked: Collection[int] = ()) -> Figure:
    """Posters with their titles, one row of items for each label; items in `marked` get a frame and a tick."""
    columns = max(map(len, rows.values()))
    cell = WIDTH / columns
    figure, axes = panels(columns, cell + 0.75, len(rows))
    for place, (label, items) in enumerate(rows.items()):
        line = axes[place * columns : (place + 1) * columns]
        entitle(line[0], label)
        for ax in line:
            ax.set(xticks=[], yticks=[])
            sns.despine(ax=ax, left=True, bottom=True)
        for ax, item in zip(line, items, strict=False):
            ax.imshow(data.posters[item], interpolation="nearest")
            tick = "✓ " if item in marked else ""
            ax.set_xlabel(textwrap.fill(tick + data.title(item), int(12 * cell)), fontsize=8.5)
            if tick:
                ax.spines[:].set(visible=True, color=VERMILION, linewidth=4)
    return figure


def curves(history: Mapping[str, Any]) -> Figure:
    """Training as `History.as_dict()` tells it: each loss term by epoch, and validation Recall with the epoch kept."""
    figure, (left, right) = panels(2, 3.0)
    losses = pd.DataFrame(history["losses"])
    for name, color, dashes in zip(losses, PALETTE, DASHES, strict=False):
        left.plot(losses.index + 1, losses[name], color=color, linestyle=dashes, label=name)
    entitle(left, "Loss terms", xlabel="epoch", ylabel="mean over the batches", yscale="log")
    validation = pd.DataFrame(history["validation"]).set_index("epoch")
    metric = next(name for name in map(str, validation) if name.startswith("recall"))
    right.plot(validation.index, validation[metric], color=BLUE, marker="o", markersize=4)
    best = history["best_epoch"]
    right.plot(best, validation.loc[best, metric], "*", color=VERMILION, markersize=14, label=f"kept: epoch {best}")
    lowest, highest = validation[metric].min(), validation[metric].max()
    span = max(highest - lowest, 0.1 * highest)  # so that a fall shows, and a wiggle does not look like one
    reach = (highest - 1.1 * span, highest + 0.1 * span) if span else None
    entitle(right, f"Validation {metric.replace('recall', 'Recall')}", xlabel="epoch", ylim=reach)
    figure.legend(loc="outside lower center", ncols=7, frameon=False, handlelength=1.8, columnspacing=1.2)
    return figure


def intervals(values: Mapping[str, ArrayLike], xlabel: str) -> Figure:
    """The mean over users of each named vector, with its 95 % interval (1.96 standard errors), one line each."""
    figure, (ax,) = panels(1, 0.6 + 0.38 * len(values))
    for place, vector in enumerate(map(np.asarray, values.values())):
        spread = 1.96 * vector.std(ddof=1) / np.sqrt(len(vector))
        ax.errorbar(vector.mean(), place, xerr=spread, fmt="o", color=BLUE, capsize=4)
    ax.set_yticks(range(len(values)), list(values))
    ax.set(xlabel=xlabel, xlim=(0, None), ylim=(len(values) - 0.5, -0.5))
    return figure


def lines(ax: Axes, x: ArrayLike, series: Mapping[str, ArrayLike], title: str, **labels: Any) -> None:
    """Draws curves over the same x, told apart by colour and dashes; `labels` are those of `Axes.set`."""
    for (label, y), color, dashes in zip(series.items(), PALETTE, DASHES, strict=False):
        ax.plot(np.asarray(x), np.asarray(y), color=color, linestyle=dashes, linewidth=2, label=label)
    entitle(ax, title, **labels)
    ax.legend()


def bars(ax: Axes, names: Sequence[str], series: Mapping[str, ArrayLike], title: str, **labels: Any) -> None:
    """Draws groups of bars, one group a name and one bar a series, each with its value to two decimals.

    Where the bars are too thin for their numbers, these stand upright.
    """
    width = 0.8 / len(series)
    upright = ax.get_position().width * WIDTH * width / len(names) < NUMBER_WIDTH
    for number, ((label, values), color) in enumerate(zip(series.items(), PALETTE, strict=False)):
        places = np.arange(len(names)) + (number - (len(series) - 1) / 2) * width
        drawn = ax.bar(places, np.asarray(values), width, color=color, label=label, hatch="//" * number, edgecolor="w")
        texts = [f"{value:z.2f}".replace("-", "−") for value in np.asarray(values)]
        ax.bar_label(drawn, texts, fontsize=7.5, padding=2, rotation=90 if upright else 0)
    ax.set_xticks(range(len(names)), names)
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.15 if upright else 0.1)
    entitle(ax, title, **labels)


def scatter(ax: Axes, points: Mapping[str, Any]) -> None:
    """Draws the points of each modality, [all x, all y], told apart by colour and mark; no modality lies on top."""
    xy = [np.asarray(values) for values in points.values()]
    for turn in range(4):  # a quarter of each modality at a time
        for place, values in enumerate(xy):
            x, y = values[:, turn::4]
            ax.scatter(x, y, s=7, color=PALETTE[place], marker=MARKS[place], linewidths=0, alpha=0.75)
    ax.set_aspect("equal", adjustable="datalim")


def matrix(ax: Axes, values: ArrayLike, names: Sequence[str], split: int, title: str) -> None:
    """Draws a square matrix with its non-zero values, and lines that cut rows and columns after the first `split`."""
    values = np.asarray(values)
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1.5 * values.max())
    for row, column in np.argwhere(values):
        ax.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", fontsize=8)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.axhline(split - 0.5, color=VERMILION, linewidth=2)
    ax.axvline(split - 0.5, color=VERMILION, linewidth=2)
    ax.grid(visible=False)
    entitle(ax, title)


def differences(by_dataset: Mapping[str, Mapping[Any, Comparison | None]], xlabel: str) -> Figure:
    """A line a pair, named at the left: the mean difference over users and its 95 % interval, around zero.

    Coloured where p over users, as `compare.compare_all` corrects it, is below 5 %: blue above zero, vermilion below
    it; the mark half filled where the seeds disagree. Hollow and grey otherwise; a grey cross, explained below the
    panels, where a run of either side is capped. A pair that could not be compared on a data set has no mark there; a
    data set without any has no panel, unless there is none at all.
    """
    compared = {
        dataset: {name: comparison for name, comparison in found.items() if comparison is not None}
        for dataset, found in by_dataset.items()
    }
    shown = {dataset: found for dataset, found in compared.items() if found} or compared
    names = list(dict.fromkeys(name for found in by_dataset.values() for name in found))
    figure, (part,) = parts(["all data sets"], FRAME + LINE * max(len(names), 3))
    (axes,) = grid(part, 1, len(shown), sharey=True)
    for ax, (dataset, found) in zip(axes, shown.items(), strict=True):
        entitle(ax, title_of_place(dataset))
        ax.grid(visible=False, axis="y")
        for name, comparison in found.items():
            _mark(ax, names.index(name), comparison)
        if not found:
            ax.set_xticks([])
            say(ax, NOT_RUN)
            continue
        ax.axvline(0, color="0.25", linewidth=1)
        ax.ticklabel_format(axis="x", style="plain")
        ax.locator_params(axis="x", nbins=4)
    for ax in axes[1:]:
        ax.spines["left"].set_visible(False)
    axes[0].set_yticks(range(len(names)), [str(name) for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    axes[len(axes) // 2].set_xlabel(xlabel, fontsize=10, x=0.5 if len(axes) % 2 else 0.0)  # below the middle of all
    if any(comparison.capped for found in shown.values() for comparison in found.values()):
        label = "capped: a run ended at its cap of epochs, so nothing is decided"
        handle = Line2D([], [], color=UNSURE, marker=CAPPED_MARK, linestyle="", label=label)
        part.legend(handles=[handle], loc="outside lower center", frameon=False, fontsize=9)
    return figure


def _mark(ax: Axes, place: int, c: Comparison) -> None:
    sure = c.p_users < ALPHA and not c.capped
    color = (BLUE if c.difference > 0 else VERMILION) if sure else UNSURE
    reach = [[c.difference - c.low], [c.high - c.difference]]
    ax.errorbar(
        c.difference, place, xerr=reach, fmt=CAPPED_MARK if c.capped else MARK, color=color,
        markerfacecolor=color if sure else "w", markerfacecoloralt="w",
        fillstyle="bottom" if c.seeds_disagree else "full", capsize=3, markersize=5.5, elinewidth=1.3,
    )  # fmt: skip
