"""From committed records to the frames that tables and figures are made of."""

from __future__ import annotations

import statistics
from pathlib import Path

import pandas as pd

from mmkd_core.experiment import KS, Record

METRICS = [f"{name}@{k}" for k in KS for name in ("recall", "ndcg")]


def read_records(store: str | Path) -> list[Record]:
    """All records of a folder, by file name. Raises `ValueError` naming the first file that is not one."""
    return [Record.read(path) for path in sorted(Path(store).glob("*.json"))]


def frame(records: list[Record]) -> pd.DataFrame:
    """One row a record: data set, model, seed, the switches of MMKD (None elsewhere), test metrics, cost, key."""
    return pd.DataFrame(
        {
            "dataset": record.experiment.dataset,
            "model": record.experiment.model,
            "seed": record.experiment.seed,
            "student": record.experiment.hparams.get("student"),
            "init": record.experiment.hparams.get("init"),
            "prompt_mode": record.experiment.hparams.get("prompt_mode"),
            **record.metrics,
            "validation": record.validation["recall@20"],
            "best_epoch": record.history["best_epoch"],
            "seconds": record.cost["seconds"],
            "trained": record.cost["parameters"]["trained"],
            "served": record.cost["parameters"]["served"],
            "key": record.key,
        }
        for record in records
    )


def markdown(rows: pd.DataFrame, dataset: str) -> str:
    """A Markdown table of one data set, worst Recall@20 first.

    A line is a model with its switches: mean and standard deviation (n - 1) over its seeds; of one seed, the mean.
    """
    heads = [metric.replace("recall", "Recall").replace("ndcg", "NDCG") for metric in METRICS]
    lines = []
    chosen = rows[rows["dataset"] == dataset]
    for _, runs in chosen.groupby(["model", "student", "init", "prompt_mode"], dropna=False):
        first = runs.iloc[0]
        switches = [str(first[name]) for name in ("student", "init", "prompt_mode") if not pd.isna(first[name])]
        name = f"{first['model']} ({', '.join(switches)})" if switches else str(first["model"])
        cells = " | ".join(_cell(runs[metric].tolist()) for metric in METRICS)
        lines.append((runs["recall@20"].mean(), f"| {name} | {len(runs)} | {cells} |"))
    head = [f"| model | seeds | {' | '.join(heads)} |", "|---|---|" + "---|" * len(METRICS)]
    return "\n".join(head + [line for _, line in sorted(lines)])


def _cell(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.4f} ± {statistics.stdev(values):.4f}" if len(values) > 1 else f"{mean:.4f}"
