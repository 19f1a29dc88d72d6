"""Data sets by name or by folder: `load("tiktok")`, `load("path/to/folder")`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmkd_core.data import DataError, Dataset
from mmkd_core.datasets.controls import controlled
from mmkd_core.datasets.demo import load_demo
from mmkd_core.datasets.layouts import LAYOUTS, load_folder
from mmkd_core.datasets.ml_100k import load_ml_100k
from mmkd_core.datasets.registry import CATALOGUE, check, fetch, folder_of, locate, title_of

__all__ = ["CATALOGUE", "LAYOUTS", "LOADERS", "check", "controlled", "fetch", "load", "title_of"]

# Those that are read take the folder and the name first; the keyword-only parameters are the options of `load`.
LOADERS: dict[str, Callable[..., Dataset]] = {
    "demo": load_demo,
    "tiktok": load_folder,
    "lfm2k": load_folder,
    "amazon-beauty": load_folder,
    "ml-100k": load_ml_100k,
}


def load(name: str | Path, /, *, root: Path | str | None = None, download: bool = True, **options: Any) -> Dataset:
    """The data set called `name`: one of `LOADERS`, a folder `root/name`, or the path of a folder.

    `root` is the environment's MMKD_DATA unless given. A named data set is looked for in `root/name`, then in the
    user's cache; what is nowhere is fetched, with `download`, and checked against its sha256. Options: `seed`,
    `noise`, `redundancy` for demo, `seed` for ml-100k, `layout` (one of `LAYOUTS`) for whatever is read from files,
    and for all of them those of `controlled`: `content`, `hold_back`, `swap`.

    Raises `DataError`: an unknown name or option, files that can be neither found nor fetched, a wrong sum, and
    whatever the files say that makes no valid `Dataset`.
    """
    name = os.fspath(name)
    controls = {key: options.pop(key) for key in _keywords(controlled) if key in options}
    data = _load(name, root, download, options)
    return controlled(data, **controls) if controls else data


def _load(name: str, root: Path | str | None, download: bool, options: dict[str, Any]) -> Dataset:
    if name not in LOADERS:
        folder = folder_of(name, root)
        _check_options(name, load_folder, options)
        return load_folder(folder, folder.resolve().name, **options)
    _check_options(name, LOADERS[name], options)
    if not CATALOGUE[name].forms:
        return LOADERS[name](**options)
    found = locate(name, root, download)
    if found.known:
        return LOADERS[name](found.folder, name, **options)
    _check_options(name, load_folder, options)
    return load_folder(found.folder, name, **options)


def _check_options(name: str, loader: Callable[..., Dataset], options: dict[str, Any]) -> None:
    allowed = [*_keywords(loader), *_keywords(controlled)]
    unknown = [key for key in options if key not in allowed]
    if unknown:
        raise DataError(f"{name}: unknown option {unknown[0]!r}; one of {allowed}")


def _keywords(function: Callable[..., Dataset]) -> list[str]:
    parameters = inspect.signature(function).parameters
    return [key for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY]
