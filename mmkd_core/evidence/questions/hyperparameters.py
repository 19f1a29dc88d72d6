"""How MMKD depends on its settings (Fig. 4, Sec. 4.5): one at a time over its grid, teacher and student."""

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.questions.comparison import MMKD, TEACHER
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import BLUE, CAPPED_MARK, VERMILION, a_part_each, entitle, grid, say, say_scales
from mmkd_core.evidence.verdicts import Judge, Pair, paired, rows_of

# What is drawn of each setting, its label and its values. "teacher.": it is the teacher's.
GRIDS: dict[str, tuple[str, tuple[Any, ...]]] = {name: (label, tuple(v)) for name, (label, v) in paper.GRIDS.items()}
# Colour, mark and dashes of a curve, and the width of its bars' caps: one must be seen behind the other.
STYLES: dict[str, tuple[str, str, Any, int]] = {TEACHER: (BLUE, "s", "--", 6), MMKD: (VERMILION, "o", "-", 3)}
IN_FORCE: dict[str, Any] = {"color": "0.25", "linestyle": (0, (2, 2)), "linewidth": 1.2}
HOLLOW: dict[str, Any] = {"color": "0.4", "marker": "o", "markerfacecolor": "w", "linestyle": ""}
METRIC, HEAD = "recall@20", "Recall@20"
HEIGHT = 7.4


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """One setting at a time over the paper's grids.

    Of a setting of the teacher both curves are there, the teacher's and the student's.
    """
    asked, planned = Asked(datasets, seeds, budget, earlier=True), []
    for dataset in asked.datasets_or(("lfm2k",)):
        for setting, (_, grid_values) in GRIDS.items():
            name = setting.removeprefix("teacher.")
            whose = "mmkd" if name == setting else "teacher"
            in_force = asked.planned(dataset, 0, Variant(whose)).hparams[name]
            in_force = 1 if in_force is None else in_force  # the student's layers
            for value in sorted({*grid_values, in_force}):
                varied = Variant(whose, hparams={} if value == in_force else {name: value})
                trained = {TEACHER: varied, MMKD: Variant(teacher=varied)} if whose == "teacher" else {MMKD: varied}
                labels = {"setting": setting, "value": value, "in force": value == in_force}
                rows = [({**labels, "system": system}, variant) for system, variant in trained.items()]
                planned += asked.cases(rows, [dataset], asked.seeds_or(SEEDS))
    return planned


def draw(cases: Sequence[Case], store: Store) -> Figure:
    """One part per data set: a panel per setting, test Recall@20 by its value."""
    return a_part_each(store.rows(cases), HEIGHT, sensitivities)


def sensitivities(part: SubFigure, rows: pd.DataFrame) -> None:
    """Draws a panel for each of `GRIDS` from the rows of one data set, as `Store.rows` gives them."""
    axes = [ax for line in grid(part, len(GRIDS) // 2, 2, sharey=True) for ax in line]
    for place, (ax, (setting, (label, values))) in enumerate(zip(axes, GRIDS.items(), strict=True)):
        entitle(ax, label, ylabel=HEAD if place % 2 == 0 else "")
        scale(ax, values)
        sensitivity(ax, rows[rows["setting"] == setting])
        say_scales(ax)
    handles = [
        Line2D([], [], color=color, marker=mark, linestyle=dashes, label=name)
        for name, (color, mark, dashes, _) in STYLES.items()
    ]
    if (rows.dropna(subset=[METRIC]).groupby(["setting", "system", "value"]).size() == 1).any():
        handles.append(Line2D([], [], **HOLLOW, label="one seed only"))
    handles.append(Line2D([], [], **IN_FORCE, label="setting in the other panels"))
    if (rows["capped"] == True).any():  # noqa: E712, NaN where not run
        handles.append(Line2D([], [], **CAPPED_MARK, label="run ended at its cap of epochs"))
    part.legend(handles=handles, loc="outside lower center", ncols=3 if len(handles) > 4 else 4, frameon=False)


def sensitivity(ax: Axes, rows: pd.DataFrame) -> None:
    """Draws mean and standard deviation over seeds by value, a curve per system; hollow where there is one seed.

    A dagger stands above a mean of which a run is capped.
    """
    known = rows.dropna(subset=[METRIC])
    ax.axvline(rows.loc[rows["in force"], "value"].iloc[0], zorder=1, **IN_FORCE)
    if known.empty:
        say(ax, NOT_RUN)
    for name, (color, mark, dashes, caps) in STYLES.items():
        curve = known[known["system"] == name].groupby("value")[METRIC].agg(["mean", "std", "count"])
        if curve.empty:
            continue
        ax.plot(curve.index, curve["mean"], color=color, linestyle=dashes, linewidth=1.5)
        capped = sorted(set(known.loc[(known["system"] == name) & (known["capped"] == True), "value"]))  # noqa: E712
        above = curve["mean"][capped] + curve["std"][capped].fillna(0) + 0.01
        ax.plot(capped, above, **CAPPED_MARK)
        for few, group in curve.groupby(curve["count"] == 1):
            ax.errorbar(
                group.index, group["mean"], None if few else group["std"], fmt=mark, color=color, capsize=caps,
                elinewidth=1, markersize=5.5, markerfacecolor="w" if few else color,
            )  # fmt: skip
    runs = rows.drop_duplicates("value")["value"]
    missing = sorted(set(runs) - set(known["value"]))
    if missing and not known.empty:
        ax.set_xlabel(f"not run: {', '.join(f'{value:g}' for value in missing)}", fontsize=8, color="0.35")


def scale(ax: Axes, values: Sequence[Any]) -> None:
    """A tick per value; logarithmic if the positive values span a factor of 8, with a linear place for 0."""
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


def _curve(rows: pd.DataFrame, setting: str, system: str) -> pd.DataFrame:
    return rows_of(rows_of(rows, "setting", setting), "system", system)


def matters(setting: str, value: float | int, system: str = MMKD, share: float = 0.0) -> Judge:
    """`system` with the setting in force is better than with `value`, by the share `share` at least."""

    def pairs(name: str, rows: pd.DataFrame) -> Iterable[Pair]:
        curve = _curve(rows, setting, system)
        yield name, f"{value:g}", curve[curve["in force"]], curve[curve["value"] == value]

    return paired(cases, pairs, share=share)


def grows(setting: str, one: float | int, other: float | int, system: str, **limit: Any) -> Judge:
    """`system` is better with `one` than with `other`; `limit` is what `paired` may be told besides."""

    def pairs(name: str, rows: pd.DataFrame) -> Iterable[Pair]:
        further, here = (rows_of(_curve(rows, setting, system), "value", value) for value in (one, other))
        yield f"{name}, {one:g} minus {other:g}", "", further, here

    return paired(cases, pairs, **limit)


def saturates(setting: str, one: float | int, other: float | int, system: str, share: float) -> Judge:
    """`system` with `one` gains less than `share` of what it has with `other`."""
    return grows(setting, one, other, system, share=share, turned=True)


def equal_is_best(*settings: str) -> Judge:
    """MMKD with the settings in force, which are equal (the two widths), is better than with any other of either."""

    def pairs(name: str, rows: pd.DataFrame) -> Iterable[Pair]:
        for setting in settings:
            curve = _curve(rows, setting, MMKD)
            in_force = curve["in force"].astype(bool)
            for value, unequal in curve[~in_force].groupby("value"):
                yield name, f"{GRIDS[setting][0]} = {value:g}", curve[in_force], unequal

    return paired(cases, pairs)


RULES = {
    "d saturates": saturates("dim", 128, 64, MMKD, 0.02),
    "equal d": equal_is_best("teacher.dim", "dim"),
    "teacher's depth": grows("teacher.layers", 4, 1, TEACHER),
    "dropout": matters("teacher.dropout", 0.0, TEACHER, share=0.02),
    "pair weight": matters("pair", 0.0),
    "list weight": matters("list", 0.0),
    "prompt rate": matters("teacher.prompt_rate", 0.0),
}
QUESTION = Question(
    cases, figure="4", draw=draw, notes=notes("sensitivity", "earlier", "our_records_alone"), claims=claims(RULES)
)
