"""How both stages converge (Fig. 5): what is sought (validation metrics) above what is minimised (loss terms)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from mmkd_core.evidence.cases import REAL, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.style import BLUE, DASHES, PALETTE, VERMILION, a_part_each, entitle, grid, say, say_scales
from mmkd_core.models import MODELS

History = Mapping[str, Any]  # as `training.History.as_dict` gives it
STAGES = {"teacher": "Stage 1: teacher", "mmkd": "Stage 2: student"}
METRICS = {"Recall": (BLUE, "-"), "NDCG": (VERMILION, "--")}  # at 20, or at fewer on a smaller catalogue
SUM = "sum"
FLOOR = 1e-4  # of the largest sum: terms below it tell nothing of the training, but would stretch the axis
HEIGHT = 4.3


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The trainings of both stages."""
    asked = Asked(datasets, seeds, budget)
    rows = [({"system": MODELS[model].title}, Variant(model)) for model in STAGES]
    return asked.cases(rows, asked.datasets_or(REAL), asked.seeds_or(SEEDS))


def draw(cases: Sequence[Case], store: Store) -> Figure:
    """One part per data set: validation metrics and weighted loss terms by epoch, a column per stage, a line per seed.

    A stage's title says how many of its runs are capped: they ended at their cap of epochs while they could improve.
    """

    def of_rows(part: SubFigure, rows: pd.DataFrame) -> None:
        there, histories = rows.dropna(subset=["record"]), {}
        for model, title in STAGES.items():
            runs = there[there["model"] == model]
            capped = int(runs["capped"].sum())
            head = f"{title}, {capped} of {len(runs)} runs capped" if capped else title
            histories[head] = [store.records[Path(file)].history for file in runs["record"]]
        stages(part, histories)

    return a_part_each(store.rows(cases), HEIGHT, of_rows)


def progress(cases: Sequence[Case], store: Store) -> pd.DataFrame:
    """A line per run that has a record: how long it trained, and validation Recall@20 and loss on the way.

    Columns: `epochs` trained, `kept`, the epoch with the best validation Recall@20, and whether training met its cap
    (`capped`); Recall at the `start`, at `best` and at the `last` evaluation; the sum of the loss terms in the epoch
    kept and in the last one.
    """
    lines = []
    for _, row in store.rows(cases).dropna(subset=["record"]).iterrows():
        history = store.records[Path(row["record"])].history
        recall = [next(v for name, v in e.items() if name.startswith("recall@")) for e in history["validation"]]
        sums, kept = terms(history)[SUM], history["best_epoch"]
        run = [*row[["dataset", "system", "seed"]], len(sums), kept, row["capped"]]
        lines.append([*run, recall[0], max(recall), recall[-1], sums.get(kept), sums.iloc[-1]])
    columns = ["dataset", "system", "seed", "epochs", "kept", "capped", "start", "best", "last"]
    return pd.DataFrame(lines, columns=[*columns, "loss kept", "loss last"])


def stages(part: SubFigure, histories: Mapping[str, Sequence[History]]) -> None:
    """Draws two panels for each stage's histories, one history per seed; the stages share their vertical axes."""
    axes = grid(part, 2, len(histories), sharey="row", sharex="col")
    tables = {title: [terms(run) for run in runs] for title, runs in histories.items()}
    every = [table for runs in tables.values() for table in runs]
    names = dict.fromkeys(str(name) for table in every for name in table if name != SUM)
    looks: dict[str, Any] = {SUM: ("k", "-"), **dict(zip(names, zip(PALETTE, DASHES, strict=True), strict=False))}
    for place, (title, runs) in enumerate(histories.items()):
        above, below = axes[0][place], axes[1][place]
        entitle(above, title)
        below.set_xlabel("epoch")
        for run, table in zip(runs, tables[title], strict=True):
            draw_metrics(above, run)
            draw_terms(below, table, looks)
        if not runs:
            say(above, NOT_RUN)
            say(below, NOT_RUN)
    axes[0][0].set(ylabel="on validation", ylim=(0, None))
    axes[1][0].set(ylabel="loss")
    if every:
        largest = max(table[SUM].max() for table in every)
        smallest = min(table[table > 0].min().min() for table in every)
        bottom = max(smallest / 1.5, FLOOR * largest)
        axes[1][0].set(yscale="log", ylim=(bottom, 1.5 * largest))
        say_scales(axes[1][0])
        tight = {"columnspacing": 0.9, "handlelength": 1.6, "handletextpad": 0.4}
        star = Line2D([], [], color="0.4", marker="*", markersize=11, linestyle="", label="epoch kept")
        known = [*(_line(f"{name}@20", *look) for name, look in METRICS.items()), star]
        axes[0][-1].legend(handles=known, loc="lower center", ncols=3, frameon=False, fontsize=8.5, **tight)
        seen = {name for table in every for name in table if (table[name] > bottom).any()}
        shown = [_line(name if name in seen else f"{name} (too small)", *look) for name, look in looks.items()]
        part.legend(handles=shown, loc="outside lower center", ncols=len(shown), frameon=False, fontsize=9)


def terms(history: History) -> pd.DataFrame:
    """Each weighted loss term, and their sum, by epoch."""
    table = pd.DataFrame(history["losses"])
    table.index += 1
    return table.assign(**{SUM: table.sum(axis=1)})


def draw_metrics(ax: Axes, history: History) -> None:
    """Draws Recall and NDCG on validation by epoch, with stars at the epoch kept."""
    table = pd.DataFrame(history["validation"]).set_index("epoch")
    for name, (color, dashes) in METRICS.items():
        values = table[next(column for column in map(str, table) if column.startswith(f"{name.lower()}@"))]
        ax.plot(values.index, values, color=color, linestyle=dashes, linewidth=1.2)
        kept = history["best_epoch"]
        ax.plot(kept, values[kept], "*", color=color, markersize=11, markeredgecolor="w", markeredgewidth=0.6, zorder=3)


def draw_terms(ax: Axes, table: pd.DataFrame, looks: Mapping[str, tuple[str, Any]]) -> None:
    """Draws the columns of `terms`; what is not positive has no place on a logarithmic axis and is left out."""
    for name, values in table.where(table > 0).items():
        color, dashes = looks[str(name)]
        width, mark = 1.8 if name == SUM else 1.2, "o" if len(values) == 1 else ""  # one epoch makes no line
        ax.plot(values.index, values, color=color, linestyle=dashes, linewidth=width, marker=mark)


def _line(label: str, color: str, dashes: Any) -> Line2D:
    return Line2D([], [], color=color, linestyle=dashes, label=label)


QUESTION = Question(cases, figure="5", draw=draw, notes=notes("convergence", "our_records_alone"))
