"""How far training and held-out pairs come apart while a model trains."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mmkd_core.figures.style import BLUE, NOT_RUN, VERMILION, entitle, grid, parts, say

NAMES = {"auc": "AUC", "bpr": "BPR loss"}
LOOKS: dict[str, dict[str, Any]] = {
    "train": {"label": "training pairs", "color": VERMILION, "linestyle": "--"},
    "val": {"label": "validation pairs", "color": BLUE, "linestyle": "-"},
}
COLUMNS = 4


def gaps(curves: Mapping[str, pd.DataFrame | None], quantity: str = "auc") -> Figure:
    """One panel a system: `quantity` ("auc" or "bpr") of training and of validation pairs by epoch, the gap shaded.

    `curves` are those of `tables.adaptation.curves`; a star marks the epoch of the best mean validation Recall@20.
    Raises `ValueError` for another quantity.
    """
    if quantity not in NAMES:
        raise ValueError(f"unknown quantity {quantity!r}; one of {list(NAMES)}")
    lines = -(-len(curves) // COLUMNS)
    figure, (part,) = parts([""], 1.9 * lines + 0.4)
    axes = [ax for row in grid(part, lines, COLUMNS, sharey=True) for ax in row]
    for ax, (system, rows) in zip(axes, curves.items(), strict=False):
        entitle(ax, textwrap.fill(system, 17), xlabel="epoch")
        ax.title.set_fontsize(9)
        if rows is None:
            say(ax, NOT_RUN)
            continue
        values = {split: rows[f"{split}_{quantity}"] for split in LOOKS}
        ax.fill_between(rows.index, values["train"], values["val"], color="0.9")
        for split, look in LOOKS.items():
            ax.plot(rows.index, values[split], **look)
        best = int(rows["recall@20"].argmax())
        star = {"color": BLUE, "markersize": 11, "label": "best validation Recall@20"}
        ax.plot(rows.index[best], values["val"].iloc[best], "*", **star)
    for ax in axes[len(curves) :]:
        ax.set_axis_off()
    for row in range(lines):
        axes[row * COLUMNS].set_ylabel(NAMES[quantity])
    known = next((ax for ax in axes if ax.lines), None)
    if known is not None:
        part.legend(*known.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure
