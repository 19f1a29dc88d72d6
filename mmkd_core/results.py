"""From committed records to the frames that tables and figures are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core.experiment import KS, Experiment, Record
from mmkd_core.measures import Measured
from mmkd_core.recipes import Case

METRICS = [f"{name}@{k}" for k in KS for name in ("recall", "ndcg")]
COSTS = ("seconds", "cpu_seconds", "trained", "served")
COLUMNS = ("record", "hits", *METRICS, "validation", "best_epoch", "epochs", "capped", *COSTS)


def folder_of_records(store: str | Path) -> Path:
    """`store`, which must be there: a folder that is missing is not one without records. Raises `ValueError`."""
    if not Path(store).is_dir():
        raise ValueError(f"{store}: no such folder of records; expected the folder book/records of a clone, or another")
    return Path(store)


def read_records(store: str | Path) -> dict[Path, Record]:
    """All records of a folder by their file, in its order.

    Raises `ValueError` when there is no such folder, and naming the first file that is no record.
    """
    return {path: Record.read(path) for path in sorted(folder_of_records(store).glob("*.json"))}


def collect(cases: Iterable[Case], store: str | Path) -> pd.DataFrame:
    """One row a case whose job is an experiment: its labels, and what its record says; NaN where there is none.

    Columns beside the labels: `model`, the metrics on test, `validation` (Recall@20), `best_epoch` of `epochs`,
    `capped` (its training, or its teacher's, ended at the cap of epochs and not for want of improvement), `seconds` and
    `cpu_seconds`, `trained` and `served` numbers, and `record`, the file. A run that selected on test (`swap`) reports
    what it selected, as one who does so would: its "validation" metrics are those on test; @50 and the places of single
    hits are missing. Raises `ValueError` when there is no such folder.
    """
    return fill(cases, read_records(store))


def fill(cases: Iterable[Case], records: Mapping[Path, Record]) -> pd.DataFrame:
    """`collect` from records that were read already, by their file."""
    known = {record.experiment.canonical: (path, record) for path, record in records.items()}
    rows = []
    for labels, job in cases:
        if isinstance(job, Experiment):
            row = {**labels, "model": job.model, "record": None}
            path, record = known.get(job.canonical, (None, None))
            if path is not None and record is not None:
                _, teacher = known.get(job.teacher.canonical, (None, None)) if job.teacher else (None, None)
                row |= _of_record(path, record) | {"capped": any(map(is_capped, filter(None, (record, teacher))))}
            rows.append(row)
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
        "seconds": cost["seconds"],
        "cpu_seconds": cost["cpu_seconds"],
        "trained": cost["parameters"]["trained"],
        "served": cost["parameters"]["served"],
        "record": str(path),
    }


def is_capped(record: Record) -> bool:
    """Training ended at its cap of epochs while it could still improve: its patience was not used up."""
    history, fit = record.history, record.experiment.fit
    waited = sum(evaluation["epoch"] > history["best_epoch"] for evaluation in history["validation"])
    return 0 < record.cost["epochs"] == fit.epochs and waited < fit.patience


def signed(value: float, digits: int = 4) -> str:
    """A difference as text, with its sign; without one where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def measurements(cases: Iterable[Case], store: str | Path) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """For each case whose job is a measurement: its labels, and the values found; None where it was not taken.

    Raises `ValueError` when there is no such folder.
    """
    store, found = folder_of_records(store), []
    for labels, job in cases:
        if not isinstance(job, Experiment):
            path = job.file(store)
            found.append((labels, Measured.read(path).values if path.exists() else None))
    return found
