"""What all figures have in common: colours, sizes, empty panels.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; what a colour says, a mark or a label
says too. Figures are drawn on white.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from mmkd_core.evidence.cases import title_of_place

BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKS = ("o", "^", "s", "D", "v", "P")
WIDTH, DPI = 7.5, 176  # inches; a page's text is about 750 pixels wide: two dots a pixel, as fine screens have
CAPPED_MARK: dict[str, Any] = {"marker": r"$\dagger$", "markersize": 8, "linestyle": "", "color": "0.1"}
# By a file's suffix, what `savefig` is told: no date, so that the same records give the same bytes.
FORMATS: dict[str, dict[str, Any]] = {".svg": {"format": "svg", "metadata": {"Date": None}}, ".png": {"dpi": 150}}


@contextmanager
def styled() -> Iterator[None]:
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.4", "grid.color": "0.9"}), plt.rc_context({"font.size": 10}):
        yield


def panels(columns: int, height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """Empty panels, row by row, together as wide as a page's text and each `height` inches high."""
    size = (WIDTH, height * rows)
    with styled():
        figure, axes = plt.subplots(rows, columns, figsize=size, dpi=DPI, squeeze=False, layout="constrained")
    for ax in axes.flat:
        sns.despine(ax=ax)
    return figure, list(axes.flat)


def parts(titles: Sequence[str], height: float) -> tuple[Figure, list[SubFigure]]:
    """A figure of one part a title, one under the other, each `height` inches high; a single part needs no title."""
    with styled():
        figure = plt.figure(figsize=(WIDTH, height * len(titles)), dpi=DPI, layout="constrained")
        drawn = figure.subfigures(len(titles), 1, squeeze=False, hspace=0.03)[:, 0]
    if len(titles) > 1:
        for part, title in zip(drawn, titles, strict=True):
            part.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure, list(drawn)


def a_part_each(rows: pd.DataFrame, height: float, draw: Callable[[SubFigure, pd.DataFrame], None]) -> Figure:
    """A figure of one part per data set, each drawn by `draw` from that data set's rows of `Store.rows`."""
    groups = list(rows.groupby("dataset", sort=False))
    figure, drawn = parts([title_of_place(str(dataset)) for dataset, _ in groups], height)
    for part, (_, own) in zip(drawn, groups, strict=True):
        draw(part, own)
    return figure


def grid(part: SubFigure, rows: int, columns: int, **sharing: Any) -> list[list[Axes]]:
    """Empty panels in a part of a figure, row by row; `sharing` are `subplots`' sharex and sharey."""
    with styled():
        axes = part.subplots(rows, columns, squeeze=False, **sharing)
    for ax in axes.flat:
        sns.despine(ax=ax)
    return [list(row) for row in axes]


def entitle(ax: Axes, title: str, **labels: Any) -> None:
    """Gives a panel its title, and what `Axes.set` sets; a logarithmic axis says that it is one."""
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold")
    ax.set(**labels)
    say_scales(ax)


def say_scales(ax: Axes) -> None:
    """Adds to the label of an axis that it is logarithmic, where it is; for panels whose scales were set otherwise."""
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() in ("log", "symlog") and "logarithmic" not in (label := axis.get_label_text()):
            axis.set_label_text(f"{label} (logarithmic)" if label else "logarithmic")


def say(ax: Axes, text: str) -> None:
    """Writes `text` into the middle of a panel: why there is nothing else in it."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.35", fontstyle="italic")


def encoded(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file with one of the suffixes of `FORMATS`."""
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": "mmkd"}):  # else the ids in an SVG are drawn at random
        figure.savefig(buffer, **FORMATS[suffix])
    return buffer.getvalue()
