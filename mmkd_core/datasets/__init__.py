"""Data sets by name or by folder: `load("tiktok")`, `load("path/to/folder")`."""

from __future__ import annotations

import os
from pathlib import Path

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.layouts import load_folder

__all__ = ["load"]


def load(name: str, *, root: Path | str | None = None) -> Dataset:
    """The data set in the folder `root/name` (default root: the environment's MMKD_DATA) or in the folder `name`."""
    root = root or os.environ.get("MMKD_DATA")
    places = [Path(root) / name, Path(name)] if root else [Path(name)]
    for folder in places:
        if folder.is_dir():
            return load_folder(folder)
    raise DataError(f"unknown data set {name!r}; no folder {' or '.join(map(str, places))}")
