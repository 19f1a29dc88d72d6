"""From committed records to the frames that tables and figures are made of, and the tests of differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mmkd_core.experiment import KS, Experiment, Record, read_hits
from mmkd_core.measures import Measured
from mmkd_core.recipes import CHANCE_FREE, Case

METRICS = [f"{name}@{k}" for k in KS for name in ("recall", "ndcg")]
COSTS = ("seconds", "cpu_seconds", "trained", "served")
COLUMNS = ("record", "hits", *METRICS, "validation", "best_epoch", "epochs", "capped", *COSTS)


def read_records(store: str | Path) -> dict[Path, Record]:
    """All records of a folder by their file, in its order. Raises `ValueError` naming the first that is not one."""
    return {path: Record.read(path) for path in sorted(Path(store).glob("*.json"))}


def collect(cases: Iterable[Case], store: str | Path) -> pd.DataFrame:
    """One row a case whose job is an experiment: its labels, and what its record says; NaN where there is none.

    Columns beside the labels: `model`, the metrics on test, `validation` (Recall@20), `best_epoch` of `epochs`,
    `capped` (training ended at its cap of epochs, not for want of improvement), `seconds` and `cpu_seconds`, `trained`
    and `served` numbers, and `record`, the file. A run that selected on test (`swap`) reports what it selected, as one
    who does so would: its "validation" metrics are those on test; @50 and the places of single hits are missing.
    """
    return fill(cases, read_records(store))


def fill(cases: Iterable[Case], records: Mapping[Path, Record]) -> pd.DataFrame:
    """`collect` from records that were read already, by their file."""
    known = {record.experiment.canonical: (path, record) for path, record in records.items()}
    rows = []
    for labels, job in cases:
        if isinstance(job, Experiment):
            row = {**labels, "model": job.model, "record": None}
            found = known.get(job.canonical)
            rows.append(row | (_of_record(*found) if found else {}))
    frame = pd.DataFrame(rows)
    return frame.reindex(columns=[*(column for column in frame if column not in COLUMNS), *COLUMNS])


def _of_record(path: Path, record: Record) -> dict[str, Any]:
    cost, swapped = record.cost, record.experiment.options.get("swap")
    return {
        **(record.validation if swapped else record.metrics),
        "hits": None if swapped or not path.with_suffix(".npz").exists() else str(path),
        "validation": record.validation["recall@20"],
        "best_epoch": record.history["best_epoch"],
        "epochs": cost["epochs"],
        "capped": 0 < cost["epochs"] == record.experiment.fit.epochs,
        "seconds": cost["seconds"],
        "cpu_seconds": cost["cpu_seconds"],
        "trained": cost["parameters"]["trained"],
        "served": cost["parameters"]["served"],
        "record": str(path),
    }


def signed(value: float, digits: int = 4) -> str:
    """A difference as text, with its sign; without one where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def p_value(p: float) -> str:
    """A p-value as text, to three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "<.001"


def measurements(cases: Iterable[Case], store: str | Path) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """For each case whose job is a measurement: its labels, and the values found; None where it was not taken."""
    found = []
    for labels, job in cases:
        if not isinstance(job, Experiment):
            path = job.file(store)
            found.append((labels, Measured.read(path).values if path.exists() else None))
    return found


@dataclass(frozen=True)
class Comparison:
    """The mean difference of a metric between two systems over the users of a test set, and how sure it is.

    It is over the seeds that both have: one system's lucky seed beside the other's mean would be no comparison. A
    system without chance in it stands beside every seed of the other. `low` and `high` bound the difference with 95 %
    confidence over users; `p_users` is of the paired t-test over users, of values that are means over seeds first;
    `p_seeds` of the one over the means of seeds (None with fewer than two). `detectable` is the difference that the
    test over users would find four times in five.
    """

    difference: float
    low: float
    high: float
    p_users: float
    p_seeds: float | None
    detectable: float
    users: int


def compare(one: pd.DataFrame, other: pd.DataFrame, metric: str = "recall@20") -> Comparison | None:
    """`one` minus `other`, each the rows of one system on one data set as `collect` gives them, a row a seed.

    None when either lacks records, or the places of hits beside them.
    """
    one, other = common_seeds(one, other)
    users = [_mean_over_seeds(rows, metric) for rows in (one, other)]
    if users[0] is None or users[1] is None:
        return None
    difference = users[0] - users[1]
    if not difference.any():
        return Comparison(0.0, 0.0, 0.0, 1.0, None, 0.0, len(difference))
    test = stats.ttest_1samp(difference, 0.0)
    interval = test.confidence_interval(0.95)
    error = difference.std(ddof=1) / len(difference) ** 0.5
    return Comparison(
        float(difference.mean()), float(interval.low), float(interval.high), float(test.pvalue),  # pyright: ignore[reportAttributeAccessIssue]
        _over_seeds(one, other, metric), float((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * error), len(difference),
    )  # fmt: skip


def common_seeds(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both whose seeds both have hits of; all rows where one of the systems knows no chance."""
    one, other = one.dropna(subset=["hits"]), other.dropna(subset=["hits"])
    if {*one["model"], *other["model"]} & {*CHANCE_FREE}:
        return one, other
    return one[one["seed"].isin(other["seed"])], other[other["seed"].isin(one["seed"])]


def _mean_over_seeds(rows: pd.DataFrame, metric: str) -> np.ndarray | None:
    hits = [read_hits(path) for path in rows["hits"]]
    values = [found[metric].numpy() for found in hits if found is not None]
    return np.mean(values, axis=0) if values else None


def _over_seeds(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> float | None:
    both = pd.merge(one, other, on="seed")[[f"{metric}_x", f"{metric}_y"]].dropna()
    if len(both) < 2:
        return None
    first, second = both.to_numpy().T
    p = float(stats.ttest_rel(first, second).pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    return None if np.isnan(p) else p


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that keep the family's error rate, in the order given."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()


def compare_all(
    pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20"
) -> dict[Any, Comparison]:
    """`compare` of each pair, p over users after Holm's correction over them; without those that cannot be compared."""
    found = {name: compare(*pair, metric) for name, pair in pairs.items()}
    known = {name: comparison for name, comparison in found.items() if comparison is not None}
    corrected = holm([comparison.p_users for comparison in known.values()])
    return {name: replace(known[name], p_users=p) for name, p in zip(known, corrected, strict=True)}


def against(rows: pd.DataFrame, by: str, name: str, metric: str = "recall@20") -> dict[str, Comparison]:
    """The system `name` of the column `by` against each other one of `rows` (one data set), p over users corrected.

    Holm's correction is over the systems compared. Those that cannot be compared are left out.
    """
    groups: Mapping[Any, pd.DataFrame] = dict(list(rows.groupby(by, sort=False)))
    return compare_all({other: (groups[name], group) for other, group in groups.items() if other != name}, metric)
