"""Moves a folder of records from the first edition's layout to the one of today; nothing changes but names and lines.

    python tools/migrate_records.py FOLDER

Then `FOLDER/<key>.json` was a run and `FOLDER/measured/<kind>-<key>.json` a measurement. Now a run is
`<data set>/<model>/s<seed>-<key>.json`, with the same key, and a measurement `<question>/<about>-<key>.json`, whose key
counts the data, too. What lies beside a run (its hits, its weights) moves with it. Folders in FOLDER that were such
stores themselves (`h100`) are moved as well. What has been moved is left alone, so it can be run again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mmkd_core.evidence.measurement import Measurement, MeasurementRecord
from mmkd_core.experiment import Experiment, Record

QUESTIONS = {
    "mixing": "tsne", "footprint": "consumption", "operations": "complexity", "statistics": "data",
    "incremental": "incremental", "overfitting": "overfitting",
}  # fmt: skip


def migrate(folder: Path) -> int:
    """Moves what is in `folder`; returns how many files were moved. Raises `ValueError` for a record of another key."""
    runs = [_run(path, folder) for path in sorted(folder.glob("*.json")) if "experiment" in _read(path)]
    taken = [_measurement(path, path.parents[1]) for path in sorted(folder.glob("**/measured/*.json"))]
    for emptied in list(folder.glob("**/measured")):
        if not any(emptied.iterdir()):
            emptied.rmdir()
    return len(runs) + len(taken)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _run(path: Path, store: Path) -> Path:
    values = _read(path)
    record = Record(**{**values, "experiment": Experiment.from_dict(values["experiment"])})
    if record.key != path.stem:
        raise ValueError(f"{path}: its content has the key {record.key}; expected the key that it is named by")
    new = record.save(store)
    for beside in path.parent.glob(f"{path.stem}.*"):
        if beside != path:
            beside.rename(new.with_suffix(beside.suffix))
    path.unlink()
    return new


def _measurement(path: Path, store: Path) -> Path:
    values = _read(path)
    told = values["measurement"]
    measurement = Measurement.from_dict({"question": QUESTIONS[told["kind"]], "arguments": told["arguments"]})
    data = {"fingerprint": measurement.fingerprint()}
    new = MeasurementRecord(measurement, values["values"], values["cost"], values["environment"], data).save(store)
    path.unlink()
    return new


if __name__ == "__main__":
    print(f"{migrate(Path(sys.argv[1]))} files moved")
