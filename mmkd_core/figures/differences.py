"""Differences between systems with their intervals, a panel a data set: which of them leave zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mmkd_core.compare import ALPHA, Comparison
from mmkd_core.datasets import title_of
from mmkd_core.figures.style import BLUE, NOT_RUN, VERMILION, entitle, grid, parts, say

UNSURE = "0.45"
LINE, FRAME = 0.27, 1.0  # inches a pair, and around them
MARK, CAPPED_MARK = "o", "x"


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
        entitle(ax, title_of(dataset))
        ax.grid(visible=False, axis="y")
        for name, comparison in found.items():
            _mark(ax, names.index(name), comparison)
        if not found:
            ax.set_xticks([])
            say(ax, NOT_RUN)
            continue
        ax.axvline(0, color="0.25", linewidth=1)
        ax.ticklabel_format(axis="x", style="plain")
        ax.locator_params(axis="x", nbins=3)
    for ax in axes[1:]:
        ax.spines["left"].set_visible(False)
    axes[0].set_yticks(range(len(names)), [str(name) for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    axes[len(axes) // 2].set_xlabel(xlabel, fontsize=10)
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
