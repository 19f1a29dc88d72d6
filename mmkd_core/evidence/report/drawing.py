"""The figures of the page as SVG that stands in it: its text is the page's, and so are its colours, light or dark."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmkd_core.evidence.style import DASHES, MARKS, PALETTE, encoded, styled

INK, LINE, GRID, PAPER = "#1a1a1b", "#7a7a7b", "#e2e2e3", "#fdfdfe"  # stand for the page's own colours
COLOURS = {colour.lower(): f"var(--c{number})" for number, colour in enumerate(PALETTE, 1)} | {
    INK: "var(--ink)", LINE: "var(--soft)", GRID: "var(--grid)", PAPER: "var(--paper)",
}  # fmt: skip
SIZE = (4.8, 3.2)  # inches: on a phone the text is still 9 points high
INKED: dict[Any, Any] = {
    "svg.fonttype": "none", "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": LINE,
    "grid.color": GRID, "font.size": 12, "axes.spines.top": False, "axes.spines.right": False, "xtick.bottom": True,
}  # fmt: skip


@contextmanager
def _drawn(height: float = SIZE[1]) -> Iterator[tuple[Figure, Axes]]:
    with styled(), plt.rc_context(INKED):
        figure, ax = plt.subplots(figsize=(SIZE[0], height), layout="constrained")
        yield figure, ax


def _page_svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an element of the page: no prologue, ids of its own, no address, and the page's colours."""
    with plt.rc_context(INKED):
        text = encoded(figure, ".svg").decode()
    plt.close(figure)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r' (xmlns(:\w+)?|version|width|height)="[^"]*"', "", text.partition(">")[0]) + text[text.index(">") :]
    text = text.replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"#[0-9a-fA-F]{6}\b", lambda found: COLOURS.get(found[0].lower(), found[0]), text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


def _legend(figure: Figure, ax: Axes) -> None:
    """Whole epochs below, and under them what each line is."""
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.legend(loc="outside lower center", ncols=3, frameon=False, handlelength=1.8, columnspacing=1.2)


def curves(histories: Mapping[str, Mapping[str, Any]], metric: str) -> str:
    """Validation by epoch of each training, a star where it was kept."""
    with _drawn() as (figure, ax):
        for (label, history), color, dashes in zip(histories.items(), PALETTE, DASHES, strict=False):
            rows = history["validation"]
            epochs, values = [row["epoch"] for row in rows], [row[metric] for row in rows]
            ax.plot(epochs, values, color=color, linestyle=dashes, linewidth=2, label=label)
            kept = history["best_epoch"]
            if kept in epochs:
                ax.plot(kept, values[epochs.index(kept)], "*", color=color, markersize=13, markeredgecolor=PAPER)
        ax.set(xlabel="epoch", ylabel="Recall@20 on validation", ylim=(0, None))
        _legend(figure, ax)
    kept = "; ".join(f"{label}: epoch {history['best_epoch']} kept" for label, history in histories.items())
    return _page_svg(figure, "curves", f"Lines of validation Recall@20 by epoch. {kept}.")


def losses(history: Mapping[str, Any], label: str) -> str:
    """The loss terms of one training by epoch."""
    terms = {term: [epoch[term] for epoch in history["losses"]] for term in history["losses"][0]}
    with _drawn() as (figure, ax):
        for (term, values), color, dashes in zip(terms.items(), PALETTE, DASHES, strict=False):
            ax.plot(np.arange(1, len(values) + 1), values, color=color, linestyle=dashes, linewidth=2, label=term)
        positive = all(value > 0 for values in terms.values() for value in values)
        ax.set(xlabel="epoch", ylabel="mean over the batches", **({"yscale": "log"} if positive else {}))
        ax.minorticks_off()
        _legend(figure, ax)
    return _page_svg(figure, "losses", f"Lines of the loss terms of {label} by epoch: {', '.join(terms)}.")


def intervals(rows: Mapping[str, tuple[float, float, float]], name: str, xlabel: str, zero: bool = False) -> str:
    """A mean with its 95 % interval per row, one under the other."""
    with _drawn(0.8 + 0.38 * len(rows)) as (figure, ax):
        for place, (mean, low, high) in enumerate(rows.values()):
            reach = np.nan_to_num([[mean - low], [high - mean]])
            ax.errorbar(mean, place, xerr=reach, fmt="o", color=PALETTE[0], capsize=4, markersize=6)
        if zero:
            ax.axvline(0, color=LINE, linewidth=1)
        ax.set_yticks(range(len(rows)), [*rows])
        ax.grid(visible=False, axis="y")
        ax.set(xlabel=xlabel, ylim=(len(rows) - 0.5, -0.5), **({} if zero else {"xlim": (0, None)}))
        ax.locator_params(axis="x", nbins=5)
    told = "; ".join(f"{label}: {mean:.4f}, {low:.4f} to {high:.4f}" for label, (mean, low, high) in rows.items())
    return _page_svg(figure, name, f"Dots with 95 % intervals, {xlabel}. {told}.")


def popularity(shares: Mapping[str, np.ndarray]) -> str:
    """The share of all places that goes to each tenth of the catalogue, from the most popular to the least."""
    drawn = {label: 100 * values for label, values in shares.items()}
    with _drawn() as (figure, ax):
        for (label, percent), color, dashes, mark in zip(drawn.items(), PALETTE, DASHES, MARKS, strict=False):
            tenths = np.arange(1, 11)
            ax.plot(tenths, percent, color=color, linestyle=dashes, marker=mark, markersize=5, label=label)
        ax.set(xlabel="tenths of the catalogue, most popular first", ylabel="% of all", ylim=(0, None))
        ax.set_xticks(range(1, 11))
        ax.legend(frameon=False)
    told = "; ".join(
        f"{label}: {100 * values[0]:.0f} % go to the most popular tenth" for label, values in shares.items()
    )
    return _page_svg(figure, "popularity", f"Lines over the tenths of the catalogue by popularity. {told}.")
