"""From committed records to the frames that tables and figures are made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mmkd_core.experiment import KS, Record

METRICS = [f"{name}@{k}" for k in KS for name in ("recall", "ndcg")]


def read_records(store: str | Path) -> list[Record]:
    """All records of a folder, by file name. Raises `ValueError` naming the first file that is not one."""
    return [Record.read(path) for path in sorted(Path(store).glob("*.json"))]


def frame(records: list[Record]) -> pd.DataFrame:
    """One row a record: data set, model, seed, the switches of MMKD (None elsewhere), test metrics, cost, key.

    `capped` says that training ended at its cap of epochs, not for want of improvement.
    """
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
            "capped": 0 < record.cost["epochs"] == record.experiment.fit.epochs,
            "seconds": record.cost["seconds"],
            "trained": record.cost["parameters"]["trained"],
            "served": record.cost["parameters"]["served"],
            "key": record.key,
        }
        for record in records
    )
