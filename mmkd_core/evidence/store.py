"""A folder of records: read once, and asked for the rows that tables, figures and claims are made of."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core.evaluation import KS
from mmkd_core.evidence.cases import Case, Cases
from mmkd_core.evidence.measurement import Measurement, MeasurementRecord
from mmkd_core.experiment import Experiment, Record

METRICS = [f"{name}@{k}" for k in KS for name in ("recall", "ndcg")]
COSTS = ("seconds", "cpu_seconds", "trained", "served")
COLUMNS = ("record", "hits", *METRICS, "validation", "best_epoch", "epochs", "capped", *COSTS)
Taken = list[tuple[dict[str, Any], dict[str, Any] | None]]  # labels, and the values of a measurement if it was taken


def records_folder(folder: str | Path | None = None, *, new: bool = False) -> Path:
    """Where the records are: `folder`, else `book/records` of the clone that one is in, else of the one installed from.

    A folder that is missing is not one without records: raises `ValueError`, unless it may be `new`.
    """
    if folder is not None:
        if not new and not Path(folder).is_dir():
            raise ValueError(f"{folder}: no such folder of records; expected the folder book/records of a clone")
        return Path(folder)
    here = Path.cwd()
    for place in (here, *here.parents, Path(__file__).parents[2]):
        if (place / "book" / "records").is_dir():
            return Path(os.path.relpath(place / "book" / "records"))  # messages and outputs show no machine's paths
    raise ValueError(f"no folder book/records in {here} or above it; name the folder of records: one of a clone")


class Store:
    """The records and measurements of a folder, each file read once, when it is first asked for.

    `asked` are the cases that stand for a function's own, where somebody asks for others than those of the book. Raises
    `ValueError` when there is no such folder, unless it may be `new`; then, as files are read, naming the first
    that is no record, that does not fit its name, or whose data are others than those of another record of them.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        new: bool = False,
        asked: Mapping[Callable[..., Sequence[Case]], Sequence[Case]] | None = None,
    ) -> None:
        self.folder = records_folder(folder, new=new)
        self.requested: dict[Callable[..., Sequence[Case]], None] = {}  # the functions whose cases were asked for
        self._asked = dict(asked or {})
        self._fingerprints: dict[str, tuple[str, Path]] = {}
        self._measurements: dict[str, dict[str, tuple[Path, MeasurementRecord]]] = {}
        self._of_function: dict[Any, pd.DataFrame] = {}

    @cached_property
    def records(self) -> dict[Path, Record]:
        """All records by their file, in the order of the files' names."""
        read = {path: Record.read(path) for path in sorted(self.folder.glob("*/*/s*-*.json"))}
        for path, record in read.items():
            self._check(path, record.experiment.dataset, record.experiment.options, record.data["fingerprint"])
        return read

    @cached_property
    def _by_experiment(self) -> dict[str, Path]:
        return {record.experiment.canonical: path for path, record in self.records.items()}

    def measurements(self, question: str) -> dict[str, tuple[Path, MeasurementRecord]]:
        """The measurements of a question, with their files, by their canonical JSON."""
        if question not in self._measurements:
            read = {path: MeasurementRecord.read(path) for path in sorted((self.folder / question).glob("*.json"))}
            for path, taken in read.items():
                name, options = taken.measurement.data
                if "shape" in taken.measurement.arguments:  # its sizes are known, those of data are what a record says
                    name = f"the shape {name}"
                    self._fingerprints[name] = taken.measurement.fingerprint(), Path("shapes.py")
                self._check(path, name, options, taken.data["fingerprint"])
            self._measurements[question] = {t.measurement.canonical: (path, t) for path, t in read.items()}
        return self._measurements[question]

    def _check(self, path: Path, name: str, options: Mapping[str, Any], fingerprint: str) -> None:
        data = f"{name} {sorted(options.items())}" if options else name
        first, other = self._fingerprints.setdefault(data, (fingerprint, path))
        if first != fingerprint:
            raise ValueError(
                f"{path}: the data {data} have the fingerprint {fingerprint}, but {first} in {other}; expected records "
                "of the same data: put those of other data into a folder of their own"
            )

    def rows(self, cases: Cases) -> pd.DataFrame:
        """One row for each case whose job is an experiment: its labels, and what its record says; NaN without one.

        Columns beside the labels: `model`, the metrics on test, `validation` (Recall@20), `best_epoch` of `epochs`,
        `capped` (its training, or its teacher's, ended at the cap of epochs and not for want of improvement), `seconds`
        and `cpu_seconds`, `trained` and `served` numbers, and the files: `record`, and `hits`, its `.npz`. A run that
        selected on test (`swap`) reports what it selected, as one who does so would: its "validation" metrics are those
        on test; @50 and the places of single hits are missing. A function that makes `cases` is called once.
        """
        if not callable(cases):
            return self._filled(cases)
        self.requested[cases] = None
        if cases not in self._of_function:
            self._of_function[cases] = self._filled(self.planned(cases))
        return self._of_function[cases]

    def planned(self, cases: Cases) -> Sequence[Case]:
        """The cases themselves, where a function makes them."""
        if not callable(cases):
            return cases
        self.requested[cases] = None
        return self._asked[cases] if cases in self._asked else cases()

    def _filled(self, cases: Sequence[Case]) -> pd.DataFrame:
        rows = []
        for labels, job in cases:
            if isinstance(job, Experiment):
                row, path = {**labels, "model": job.model, "record": None}, self._by_experiment.get(job.canonical)
                if path is not None:
                    capped = any(map(is_capped, self.trainings(path)))
                    row |= _of_record(path, self.records[path]) | {"capped": capped}
                rows.append(row)
        frame = pd.DataFrame(rows)
        return frame.reindex(columns=[*(column for column in frame if column not in COLUMNS), *COLUMNS])

    def trainings(self, file: str | Path) -> list[Record]:
        """The record in a file of the store and those of its teachers, its own as the last.

        Raises `ValueError` where one of a teacher is missing.
        """
        record = self.records[Path(file)]
        taught = [self._taught_by(stage, Path(file)) for stage in record.experiment.stages[:-1]]
        return [*(self.records[teacher] for teacher in taught), record]

    def _taught_by(self, teacher: Experiment, student: Path) -> Path:
        if teacher.canonical not in self._by_experiment:
            raise ValueError(f"{student}: no record of its teacher; expected it in {self.folder}, as it may be capped")
        return self._by_experiment[teacher.canonical]

    def taken(self, cases: Cases) -> Taken:
        """For each case whose job is a measurement: its labels, and the values taken; None where it was not."""
        return [(labels, found and found[1].values) for labels, found in self._measurements_of(cases)]

    def tree(self, cases: Cases, *by: str) -> dict[Any, Any]:
        """What `taken` gives by its labels: a dict of the first, of dicts of the next; None where there is no label."""
        root: dict[Any, Any] = {}
        for labels, values in self.taken(cases):
            *above, last = (labels.get(name) for name in by)
            branch = root
            for label in above:
                branch = branch.setdefault(label, {})
            branch[last] = values
        return root

    def files(self, cases: Cases) -> tuple[str, ...]:
        """The files of the measurements among the jobs of `cases` that were taken."""
        return tuple(str(found[0]) for _, found in self._measurements_of(cases) if found)

    def files_of(self, cases: Cases) -> list[tuple[dict[str, Any], Path]]:
        """The labels of each case, and the file of its record or measurement; without those that have none."""
        planned = self.planned(cases)
        taken = [(labels, found[0]) for labels, found in self._measurements_of(planned) if found]
        jobs = [case for case in planned if isinstance(case.job, Experiment)]
        there = [(labels, self._by_experiment.get(job.canonical)) for labels, job in jobs]
        return taken + [(labels, path) for labels, path in there if path is not None]

    def _measurements_of(self, cases: Cases) -> Iterator[tuple[dict[str, Any], tuple[Path, MeasurementRecord] | None]]:
        for labels, job in self.planned(cases):
            if isinstance(job, Measurement):
                yield labels, self.measurements(job.question).get(job.canonical)

    def nested_stores(self, question: str) -> "list[Store]":
        """The folders in this one that are stores themselves and hold measurements of a question: those of a GPU."""
        return [Store(folder.parent) for folder in sorted(self.folder.glob(f"*/{question}")) if folder.is_dir()]


def _of_record(path: Path, record: Record) -> dict[str, Any]:
    cost, swapped = record.cost, record.experiment.options.get("swap")
    return {
        **(record.validation if swapped else record.metrics),
        "hits": None if swapped or not (hits := path.with_suffix(".npz")).exists() else str(hits),
        "validation": record.validation["recall@20"],
        "best_epoch": record.history["best_epoch"],
        **{name: cost[name] for name in ("epochs", "seconds", "cpu_seconds")},
        **{name: cost["parameters"][name] for name in ("trained", "served")},
        "record": str(path),
    }


def is_capped(record: Record) -> bool:
    """Training ended at its cap of epochs while it could still improve: its patience was not used up."""
    history, fit = record.history, record.experiment.fit
    waited = sum(evaluation["epoch"] > history["best_epoch"] for evaluation in history["validation"])
    return 0 < record.cost["epochs"] == fit.epochs and waited < fit.patience
