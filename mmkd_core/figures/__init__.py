"""What the book draws: each function takes plain values and returns a matplotlib `Figure`; nothing is shown or saved.

`FIGURES` holds those of the paper, by the number that the command line knows a figure by. `encoded` makes the content
of a file from a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from mmkd_core import recipes
from mmkd_core.figures.chapters import bars, curves, intervals, lines, matrix, posters, sound
from mmkd_core.figures.convergence import figure5, progress
from mmkd_core.figures.differences import differences
from mmkd_core.figures.mixing import figure3, share_differences, share_table, shares
from mmkd_core.figures.overfitting import gaps
from mmkd_core.figures.settings import figure4
from mmkd_core.figures.style import FORMATS, encoded, panels
from mmkd_core.recipes import Case

__all__ = [
    "FIGURES", "FORMATS", "PaperFigure", "bars", "curves", "differences", "encoded", "gaps", "intervals", "lines",
    "matrix", "panels", "posters", "progress", "share_differences", "share_table", "shares", "sound",
]  # fmt: skip

OURS = "Drawn from our records alone: the values of the paper's figure are not printed anywhere."
HOW_MIXED = (
    "A point is an item by one of its modalities: t-SNE, started from a PCA, of the directions of some items (the same "
    "in all panels, first seed). Mixing: the share of a point's 10 nearest neighbours by cosine that are of another "
    "modality, over all items that have training interactions and all modalities; mean ± standard deviation over seeds."
)
HOW_VARIED = (
    "Recall@20 on test, mean ± standard deviation over seeds, all other settings as in force; those were chosen on "
    "validation. A setting of the student does not touch its teacher, so there is no curve of it."
)
HOW_TRAINED = (
    "A line a seed, which ends where its training did; a star marks the epoch kept. Loss terms are as they enter their "
    "sum, weights included."
)


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper: the cases it is made of, how their records are drawn, and what a reader must know."""

    recipe: Callable[..., list[Case]]
    draw: Callable[[Sequence[Case], Path], Figure]
    notes: tuple[str, ...] = ()


FIGURES: dict[str, PaperFigure] = {
    "3": PaperFigure(recipes.figure3, figure3, (HOW_MIXED, OURS)),
    "4": PaperFigure(recipes.figure4, figure4, (HOW_VARIED, OURS)),
    "5": PaperFigure(recipes.figure5, figure5, (HOW_TRAINED, OURS)),
}
