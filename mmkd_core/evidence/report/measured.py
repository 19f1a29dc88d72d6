"""The rows of the page: what each model found in the test, how sure that is, and what its lists show."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from scipy import stats

from mmkd_core.data import Dataset
from mmkd_core.evaluation import Scorer, evaluate
from mmkd_core.evidence.compare import Comparison, holm, paired
from mmkd_core.evidence.report.lists import Lists, lists_of
from mmkd_core.experiment import Record, plan
from mmkd_core.hits import read_hits
from mmkd_core.models import MODELS, VARIANTS, build
from mmkd_core.runs import OnTraining, restore, run

K = 20
METRICS = (f"recall@{K}", f"ndcg@{K}")
BASELINES = ("popularity", "itemknn")
PERMUTED = {"content": "permuted"}  # each item has the content of another


@dataclass(frozen=True)
class Measured:
    """A model on the test set: `values` has one per test user, ascending, for each of `METRICS`.

    `record` is None for a baseline that no record was given of; then it was made for the page, without training.
    `validation` is its Recall@20 on validation, by which models are chosen, None where there is no validation.
    """

    label: str
    model: str
    tables: Scorer
    values: dict[str, Float64[np.ndarray, " user"]]
    validation: float | None
    lists: Lists
    record: Record | None = None
    file: Path | None = None

    @property
    def kind(self) -> Any:
        """The class of its model."""
        return {**MODELS, **VARIANTS}[self.model]


def of_record(file: Path, data: Dataset) -> Measured:
    """The model of a record. Raises `ValueError` as `restore` does, for data and weights."""
    record = Record.read(file)
    with torch.no_grad():
        tables = restore(file, data).embed()
    values = _values(tables, data)
    model, validation = record.experiment.model, record.validation.get(METRICS[0])
    return Measured("", model, tables, values, validation, lists_of(tables, data, K), record, file)


def baseline(name: str, data: Dataset, dataset: str) -> Measured:
    """A baseline that nothing is trained of, with the settings in force for `dataset`."""
    tables = build(name, data, plan(name, dataset).hparams).embed()
    validation = float(evaluate(tables, data, "val")[METRICS[0]].mean()) if len(data.val) else None
    return Measured("", name, tables, _values(tables, data), validation, lists_of(tables, data, K))


def labelled(rows: Sequence[Measured]) -> list[Measured]:
    """The rows with labels that tell them apart: the model's title, with seed and key where these are needed."""

    def unique(labels: list[str], more: list[str]) -> list[str]:
        return [f"{label}{add}" if labels.count(label) > 1 else label for label, add in zip(labels, more, strict=True)]

    labels = [getattr(row.kind, "title", row.model) if row.model in MODELS else row.model for row in rows]
    labels = unique(labels, [f", seed {row.record.experiment.seed}" if row.record else "" for row in rows])
    labels = unique(labels, [f" ({row.record.key[:4]})" if row.record else "" for row in rows])
    return [replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def interval(values: Float64[np.ndarray, " user"]) -> tuple[float, float, float]:
    """The mean over users, and the ends of its 95 % interval, by the t distribution."""
    mean = float(values.mean())
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    reach = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return mean, mean - reach, mean + reach


def against(rows: Sequence[Measured], other: Measured) -> dict[str, Comparison]:
    """Each of the other rows minus `other` in Recall@20, paired over users; p after Holm's correction over them all."""
    own = [row for row in rows if row is not other]
    if not own or len(other.values[METRICS[0]]) < 2:
        return {}
    found = [paired(row.values[METRICS[0]], other.values[METRICS[0]]) for row in own]
    corrected = holm([c.p_users for c in found])
    return {row.label: replace(c, p_users=p, family=len(own)) for row, c, p in zip(own, found, corrected, strict=True)}


# --- the same model on permuted content ---


def permuted_values(
    row: Measured, permuted: Dataset, train: bool, on_epoch: OnTraining | None
) -> dict[str, Float64[np.ndarray, " user"]] | None:
    """The test values of the row's model on `permuted` data, from its record in the store of the row's.

    It is trained where it is not there and `train` says so; None where it is not there else. Raises `ValueError` where
    the row's record lies in no store, so that nobody knows where that of the control would be.
    """
    if row.record is None or row.file is None:
        return None
    twin, store = row.record.experiment.with_options(**PERMUTED), row.file.resolve().parents[2]
    if row.record.file(store).resolve() != row.file.resolve():
        if train:
            raise ValueError(
                f"{row.file}: lies in no folder of records, <folder>/<data set>/<model>/, where the record of the "
                "control would go; expected it where `mmkd run` wrote it, or no --permuted"
            )
        return None
    file = twin.file(store, permuted.fingerprint)
    if not file.exists():
        if not train:
            return None
        run(twin, store, data=permuted, on_epoch=on_epoch)
    hits = read_hits(file)
    values = _values(of_twin(file, permuted), permuted) if hits is None else _numpy(hits)
    return {metric: values[metric] for metric in METRICS}


def of_twin(file: Path, permuted: Dataset) -> Scorer:
    """The tables of a control that has no hits beside its record."""
    with torch.no_grad():
        return restore(file, permuted).embed()


def _values(tables: Scorer, data: Dataset) -> dict[str, Float64[np.ndarray, " user"]]:
    return _numpy(evaluate(tables, data))  # as records do: lists of another length may order equal scores otherwise


def _numpy(values: dict[str, Any]) -> dict[str, Float64[np.ndarray, " user"]]:
    return {metric: of_users.cpu().numpy() for metric, of_users in values.items()}
