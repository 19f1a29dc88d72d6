"""From committed records to the frames that tables and figures are made of."""

from __future__ import annotations

import os
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


def records_folder(folder: str | Path | None = None, *, new: bool = False) -> Path:
    """Where the records are: `folder`, else `book/records` of the clone that one is in, else of the one installed from.

    A folder that is missing is not one without records: raises `ValueError`, unless it may be `new`.
    """
    if folder is not None:
        if not new and not Path(folder).is_dir():
            raise ValueError(f"{folder}: no such folder of records; expected the folder book/records of a clone")
        return Path(folder)
    here = Path.cwd()
    for place in (here, *here.parents, Path(__file__).parents[1]):
        if (place / "book" / "records").is_dir():
            return Path(os.path.relpath(place / "book" / "records"))  # messages and outputs show no machine's paths
    raise ValueError(f"no folder book/records in {here} or above it; name the folder of records: one of a clone")


def read_records(store: str | Path) -> dict[Path, Record]:
    """All records of a folder by their file, in its order.

    Raises `ValueError` when there is no such folder, and naming the first file that is no record.
    """
    return {path: Record.read(path) for path in sorted(records_folder(store).glob("*.json"))}


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
    store, found = records_folder(store), []
    for labels, job in cases:
        if not isinstance(job, Experiment):
            path = job.file(store)
            found.append((labels, Measured.read(path).values if path.exists() else None))
    return found
