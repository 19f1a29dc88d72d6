"""Differences between systems with their intervals, a panel a data set: which of them leave zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmkd_core.figures.style import BLUE, NOT_RUN, VERMILION, entitle, grid, parts, say
from mmkd_core.results import Comparison

LEVEL = 0.05
UNSURE = "0.45"
LINE, FRAME = 0.27, 1.0  # inches a pair, and around them


def differences(by_dataset: Mapping[str, Mapping[Any, Comparison]], xlabel: str) -> Figure:
    """A line a pair, named at the left: the mean difference over users and its 95 % interval, around zero.

    Filled where p over users, as `results.compare_all` corrects it, is below 5 %: blue above zero, vermilion below it;
    hollow and grey otherwise. A pair that could not be compared on a data set has no mark there.
    """
    names = list(dict.fromkeys(name for found in by_dataset.values() for name in found))
    figure, (part,) = parts(["all data sets"], FRAME + LINE * max(len(names), 3))
    (axes,) = grid(part, 1, len(by_dataset), sharey=True)
    for ax, (dataset, found) in zip(axes, by_dataset.items(), strict=True):
        entitle(ax, dataset)
        ax.axvline(0, color="0.25", linewidth=1)
        for name, comparison in found.items():
            _mark(ax, names.index(name), comparison)
        if not found:
            say(ax, NOT_RUN)
        ax.ticklabel_format(axis="x", style="plain")
        ax.locator_params(axis="x", nbins=4)
        ax.grid(visible=False, axis="y")
    axes[0].set_yticks(range(len(names)), [str(name) for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    part.supxlabel(xlabel, fontsize=10)
    return figure


def _mark(ax: Axes, place: int, c: Comparison) -> None:
    sure = c.p_users < LEVEL
    color = (BLUE if c.difference > 0 else VERMILION) if sure else UNSURE
    reach = [[c.difference - c.low], [c.high - c.difference]]
    ax.errorbar(
        c.difference, place, xerr=reach, fmt="o", color=color, markerfacecolor=color if sure else "w", capsize=3,
        markersize=5.5, elinewidth=1.3,
    )  # fmt: skip
