"""Tables of how systems take up new interactions (7), and of how far they overfit (claim I1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mmkd_core import paper
from mmkd_core.recipes import BODY, NAMES, Case
from mmkd_core.results import measurements
from mmkd_core.tables.text import NOT_RUN, Frames, cell

WAYS = ("stale", "edges", "fine-tuned", "retrained")
HOW_ADAPTED = (
    "A tenth of the training interactions, drawn at random (the files hold no times), come after the training. "
    "'stale': served as it was. 'edges': they become edges of its graph. 'fine-tuned': then trained on them alone, the "
    "epoch chosen on validation. 'retrained': from scratch on all. Test metrics, mean ± standard deviation over seeds; "
    "'gain': fine-tuned minus stale of the same seed."
)
HOW_TIMED = (
    "Milliseconds of the CPU, one thread, median of 5: an epoch of fine-tuning, the final tables, the lists of all "
    "test users. 'one epoch, all': their sum. 'update': the same with the epochs that were kept; searching them on "
    "validation is not in it. 'retraining': CPU seconds of the run's records, for MMKD teacher and student."
)
HOW_MEASURED = (
    "AUC gap: how much more often a user's training pair beats the same 100 other items than a validation pair does; "
    "'start': untrained. BPR gap: the same of -log sigmoid, validation minus training. 'fall': validation Recall@20 "
    "from its best epoch to the last, in per cent of the best. Mean ± standard deviation over seeds."
)
# Sec. 1 (I1), 3.1.2 and 4.5, in pairs: which is said to have the larger gap, and than which.
PAIRS: dict[str, tuple[str, str]] = {
    "content adds to the gap": ("teacher", BODY),
    "dropout keeps it small": ("teacher, no dropout", "teacher"),
    "the prompt keeps it small": ("teacher, w/o-Prompt", "teacher"),
    "the student's is smaller": ("teacher", "student"),
    "the student's is smaller, random start": ("teacher", "student, random start"),
}

Rows = pd.DataFrame


def flat(cases: Sequence[Case], store: Path) -> Rows:
    """One row a case: its labels, and the numbers of its measurement by path ("gap.best.auc"); NaN where not taken."""
    rows = [{**labels, **_numbers(values or {})} for labels, values in measurements(cases, store)]
    return pd.DataFrame(rows)


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found


class Column(NamedTuple):
    """Values, a row a run, and how `cell` is to write them."""

    values: pd.Series
    digits: int
    sign: str = ""


def _table(rows: Rows, columns: Mapping[str, Column]) -> pd.DataFrame:
    """A line a system: how many seeds there are, and of each column its mean ± deviation, to some digits."""
    any_column = next(iter(columns.values())).values
    systems = list(rows["system"].unique())
    table = pd.DataFrame(index=pd.Index(systems, name="system"))
    table["seeds"] = [str(int(any_column[rows["system"] == system].notna().sum())) for system in systems]
    for head, (values, digits, sign) in columns.items():
        table[head] = [cell(values[rows["system"] == system], digits, sign) for system in systems]
    return table


def table7(cases: Sequence[Case], store: Path) -> Frames:
    """Of each data set what adaptation gives, and what it takes; then the paper's table as printed."""
    rows, frames = flat(cases, store), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        frames[f"{dataset}: test metrics"] = _table(own, _gained(own))
        frames[f"{dataset}: times"] = _table(own, _spent(own))
    return frames | {"The paper's Table 7 (its Netflix)": printed_table7()}


def _column(rows: Rows, name: str) -> pd.Series:
    return rows[name] if name in rows else pd.Series(float("nan"), index=rows.index)


def _gained(rows: Rows) -> dict[str, Column]:
    recall = {way: _column(rows, f"metrics.{way}.recall@20") for way in WAYS}
    columns = {f"Recall@20, {way}": Column(recall[way], 4) for way in WAYS}
    columns["gain"] = Column(recall["fine-tuned"] - recall["stale"], 4, "+")
    columns["NDCG@20, fine-tuned"] = Column(_column(rows, "metrics.fine-tuned.ndcg@20"), 4)
    return columns | {"epochs kept": Column(_column(rows, "best_epoch"), 1)}


def _spent(rows: Rows) -> dict[str, Column]:
    epoch, tables, ranking = (_column(rows, f"cpu_ms.{part}") for part in ("epoch", "tables", "ranking"))
    serving = tables + ranking
    parts = {"epoch, ms": epoch, "tables, ms": tables, "ranking, ms": ranking, "one epoch, all, ms": epoch + serving}
    parts["update, ms"] = _column(rows, "best_epoch") * epoch + serving
    columns = {head: Column(values, 1) for head, values in parts.items()}
    return columns | {"retraining, s": Column(_column(rows, "retraining.cpu_seconds"), 1)}


STEPS = {"new edges": ("edges", "stale"), "fine-tuning": ("fine-tuned", "edges"), "missed": ("retrained", "fine-tuned")}


def _step(rows: Rows, step: str) -> pd.Series:
    later, earlier = (_column(rows, f"metrics.{way}.recall@20") for way in STEPS[step])
    return later - earlier


def steps(rows: Rows) -> pd.DataFrame:
    """What each way adds to the one before it in test Recall@20, on one data set; differences of the same seed."""
    return _table(rows, {step: Column(_step(rows, step), 4, "+") for step in STEPS})


def conclusions(rows: Rows) -> list[str]:
    """What the paper concludes from Table 7, each with what one data set says: means over seeds; help in every seed."""
    known = rows.assign(tuned=_column(rows, "metrics.fine-tuned.recall@20")).dropna(subset=["tuned"])
    if set(known["system"]) < set(rows["system"]):
        return [NOT_RUN]
    spent = {head: column.values for head, column in _spent(known).items()}
    known = known.assign(time=spent["one epoch, all, ms"], step=_step(known, "fine-tuning"))
    means = known.groupby("system", sort=False)[["tuned", "time"]].mean()
    better, faster = (means[column].sort_values(ascending=column == "time").index for column in ("tuned", "time"))
    helped = [str(system) for system, own in known.groupby("system", sort=False) if (own["step"] > 0).all()]
    seeds = known.groupby("system").size().min()
    few = "" if seeds > 1 else " (one seed)"
    return [
        f"after fine-tuning, from the best Recall@20 down{few}: {', '.join(better)}",
        f"one epoch and all lists, from the fastest up{few}: {', '.join(faster)}",
        f"fine-tuning adds to what the new edges give in every seed{few}: {', '.join(helped) or 'for none'}",
    ]


def printed_table7() -> pd.DataFrame:
    """The paper's Table 7: a line a system."""
    lines = {NAMES[model]: [str(r), str(n), f"{ms!s} ms"] for model, (r, n, ms) in paper.TABLE_7.items()}
    frame = pd.DataFrame.from_dict(lines, orient="index", columns=["Recall@20", "NDCG@20", "time"])
    return frame.rename_axis("system")


def overfitting(cases: Sequence[Case], store: Path) -> Frames:
    """Of each data set the gaps of all systems, and what the paper says of them, in pairs."""
    rows, frames = flat(cases, store), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        best, fall = _column(own, "recall@20.best"), _column(own, "recall@20.fall")
        columns = {"best epoch": Column(_column(own, "best_epoch"), 0), "Recall@20 (validation)": Column(best, 4)}
        columns |= {f"AUC gap, {when}": Column(_column(own, f"gap.{when}.auc"), 4) for when in ("start", "best", "end")}
        columns |= {f"BPR gap, {when}": Column(_column(own, f"gap.{when}.bpr"), 4) for when in ("best", "end")}
        frames[f"{dataset}: gaps"] = _table(own, columns | {"fall, %": Column(100 * fall / best, 1)})
        frames[f"{dataset}: in pairs"] = in_pairs(own)
    return frames


def in_pairs(rows: Rows) -> pd.DataFrame:
    """Each of `PAIRS` on one data set: differences of the same seed, and in how many seeds the gap is as said."""
    lines = {}
    for says, (larger, smaller) in PAIRS.items():
        one, other = (rows[rows["system"] == system].set_index("seed") for system in (larger, smaller))
        line: dict[str, str] = {"which": f"{larger} minus {smaller}"}
        for head, name in (("AUC gap, best", "gap.best.auc"), ("AUC gap, end", "gap.end.auc")):
            differences = (_column(one, name) - _column(other, name)).dropna()
            line[head] = cell(differences, 5, "+")
            line[f"as said, {head.split()[-1]}"] = _count(differences)
        line["Recall@20 (validation)"] = cell(
            _column(one, "recall@20.best") - _column(other, "recall@20.best"), sign="+"
        )
        lines[says] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("the paper says")


def _count(differences: pd.Series) -> str:
    return f"{int((differences > 0).sum())} of {len(differences)}" if len(differences) else NOT_RUN


def curves(cases: Sequence[Case], store: Path, dataset: str) -> dict[str, pd.DataFrame | None]:
    """By system, the evaluations of one data set as means over seeds, indexed by epoch; None where not measured."""
    found: dict[str, list[pd.DataFrame]] = {}
    for labels, values in measurements(cases, store):
        if labels["dataset"] == dataset:
            known = [pd.DataFrame(values["curves"]).set_index("epoch")] if values else []
            found.setdefault(labels["system"], []).extend(known)
    return {
        system: pd.concat(runs).groupby("epoch").mean() if runs else None
        for system, runs in found.items()
    }  # fmt: skip
