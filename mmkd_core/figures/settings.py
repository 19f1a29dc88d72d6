"""Fig. 4: one setting at a time over its grid, teacher and student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mmkd_core.figures.style import (
    BLUE,
    CAPPED_LABEL,
    CAPPED_MARK,
    NOT_RUN,
    VERMILION,
    a_part_each,
    entitle,
    grid,
    say,
)
from mmkd_core.recipes import GRIDS, NAMES, Case
from mmkd_core.results import collect

# Colour, mark and dashes of a curve, and the width of its bars' caps: one must be seen behind the other.
STYLES: dict[str, tuple[str, str, Any, int]] = {
    NAMES["teacher"]: (BLUE, "s", "--", 6),
    NAMES["mmkd"]: (VERMILION, "o", "-", 3),
}
IN_FORCE: dict[str, Any] = {"color": "0.25", "linestyle": (0, (2, 2)), "linewidth": 1.2}
METRIC, HEAD = "recall@20", "Recall@20"
HEIGHT = 7.4


def figure4(cases: Sequence[Case], store: Path) -> Figure:
    """One part a data set: a panel a setting, test Recall@20 by its value."""
    return a_part_each(collect(cases, store), HEIGHT, sensitivities)


def sensitivities(part: SubFigure, rows: pd.DataFrame) -> None:
    """Draws a panel for each of `recipes.GRIDS` from the rows of one data set, as `results.collect` gives them."""
    axes = [ax for line in grid(part, len(GRIDS) // 2, 2, sharey=True) for ax in line]
    for place, (ax, (setting, (label, values))) in enumerate(zip(axes, GRIDS.items(), strict=True)):
        entitle(ax, label, ylabel=HEAD if place % 2 == 0 else "")
        scale(ax, values)
        sensitivity(ax, rows[rows["setting"] == setting])
    handles = [
        Line2D([], [], color=color, marker=mark, linestyle=dashes, label=name)
        for name, (color, mark, dashes, _) in STYLES.items()
    ]
    if (rows.dropna(subset=[METRIC]).groupby(["setting", "system", "value"]).size() == 1).any():
        handles.append(
            Line2D([], [], color="0.4", marker="o", markerfacecolor="w", linestyle="", label="one seed only")
        )
    handles.append(Line2D([], [], **IN_FORCE, label="setting in force"))
    if (rows["capped"] == True).any():  # noqa: E712, NaN where not run
        handles.append(Line2D([], [], **CAPPED_MARK, label=CAPPED_LABEL))
    part.legend(handles=handles, loc="outside lower center", ncols=3 if len(handles) > 4 else 4, frameon=False)


def sensitivity(ax: Axes, rows: pd.DataFrame) -> None:
    """Draws mean and standard deviation over seeds by value, a curve a system; hollow where there is one seed.

    A dagger stands above a mean of which a run is capped.
    """
    known = rows.dropna(subset=[METRIC])
    ax.axvline(rows.loc[rows["in force"], "value"].iloc[0], zorder=1, **IN_FORCE)
    if known.empty:
        say(ax, NOT_RUN)
    for name, (color, mark, dashes, caps) in STYLES.items():
        found = known[known["system"] == name].groupby("value")[METRIC].agg(["mean", "std", "count"])
        if found.empty:
            continue
        ax.plot(found.index, found["mean"], color=color, linestyle=dashes, linewidth=1.5)
        capped = sorted(set(known.loc[(known["system"] == name) & (known["capped"] == True), "value"]))  # noqa: E712
        above = found["mean"][capped] + found["std"][capped].fillna(0) + 0.01
        ax.plot(capped, above, **CAPPED_MARK)
        for few, group in found.groupby(found["count"] == 1):
            ax.errorbar(
                group.index, group["mean"], None if few else group["std"], fmt=mark, color=color, capsize=caps,
                elinewidth=1, markersize=5.5, markerfacecolor="w" if few else color,
            )  # fmt: skip
    runs = rows.drop_duplicates("value")["value"]
    missing = sorted(set(runs) - set(known["value"]))
    if missing and not known.empty:
        ax.set_xlabel(f"not run: {', '.join(f'{value:g}' for value in missing)}", fontsize=8, color="0.35")


def scale(ax: Axes, values: Sequence[Any]) -> None:
    """A tick a value of the grid; logarithmic if the positive values span a factor of 8, with a linear place for 0."""
    positive, largest = [value for value in values if value > 0], max(values)
    margin = largest / 16
    limits = (min(values) - margin, largest + margin)
    if largest / min(positive) >= 8:
        if min(values) > 0:
            ax.set_xscale("log", base=2)
            limits = (min(values) / 1.2, largest * 1.2)
        else:
            ax.set_xscale("symlog", linthresh=min(positive))
            limits = (-min(positive) / 3, largest * 2)
    ax.set_xticks(values, [f"{value:g}" for value in values])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(limits)
