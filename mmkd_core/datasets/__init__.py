"""Data sets by name or by folder: `load("tiktok")`, `load("path/to/folder")`."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmkd_core import settings
from mmkd_core.data import DataError, Dataset, DataWarning
from mmkd_core.datasets.controls import controlled
from mmkd_core.datasets.demo import load_demo
from mmkd_core.datasets.files import readable
from mmkd_core.datasets.layouts import LAYOUTS, load_folder
from mmkd_core.datasets.ml_100k import load_ml_100k
from mmkd_core.datasets.registry import (
    CATALOGUE,
    address,
    check,
    expanded,
    fetch,
    folder_of,
    locate,
    note_shadowed,
    path_of,
    title_of,
)

__all__ = [
    "CATALOGUE", "LAYOUTS", "LOADERS", "OPTIONS", "address", "check", "checked_options", "controlled", "fetch", "load",
    "title_of",
]  # fmt: skip

# Those that are read take the folder and the name first; the keyword-only parameters are the options of `load`.
LOADERS: dict[str, Callable[..., Dataset]] = {
    "demo": load_demo,
    "tiktok": load_folder,
    "lfm2k": load_folder,
    "amazon-beauty": load_folder,
    "ml-100k": load_ml_100k,
}
# What each option of any of them is; the loaders themselves say which numbers make sense.
OPTIONS: dict[str, settings.Setting] = {
    name: setting
    for function in (*LOADERS.values(), controlled)
    for name, setting in settings.settings_of(function, ranged=False).items()
}


def checked_options(options: Any, name: str) -> dict[str, Any]:
    """`options` of the data set `name`, without those at their default: all that is said in two ways is one thing.

    Raises `DataError` for an option that no data set has, or a value of another kind.
    """
    try:
        chosen = settings.checked(options, OPTIONS, name, "option")
    except ValueError as error:
        raise DataError(str(error)) from None
    return {option: value for option, value in chosen.items() if value != OPTIONS[option].default}


def load(name: str | Path, /, *, root: Path | str | None = None, download: bool = True, **options: Any) -> Dataset:
    """The data set called `name`: one of `LOADERS`, a folder `root/name`, or the path of a folder.

    `root` is the environment's MMKD_DATA unless given; `~` stands for the home folder. A named data set is looked for
    in `root/name`, then in the user's cache; what is nowhere is fetched, with `download`, and checked against its
    sha256. Options: `seed`, `noise`, `redundancy` for demo, `seed` for ml-100k; for whatever is read from files in a
    known layout `layout` (one of `LAYOUTS`), `overlap`, `compact` and `min_rating` (see `Choices`); and for all of
    them those of `controlled`: `content`, `hold_back`, `swap`.

    Raises `DataError`: an unknown name or option, files that can be neither found nor fetched, a wrong sum, data that
    do not fit into memory, and whatever the files say that makes no valid `Dataset`. Warns, once, with what
    `Dataset.notes` says of a folder that is none of the named data sets: a `DataWarning`.
    """
    name = path_of(name)
    controls = checked_options({key: options.pop(key) for key in _keywords(controlled) if key in options}, name)
    with readable(name):
        data, known = _load(name, expanded(root), download, options)
        made = controlled(data, **controls) if controls else data
    if data.notes and not known:
        warnings.warn("; ".join(data.notes), DataWarning, stacklevel=2)
    return made


def _load(name: str, root: Path | str | None, download: bool, options: dict[str, Any]) -> tuple[Dataset, bool]:
    """The data set, and whether it is one of the named ones, of which all is known."""
    if name not in LOADERS:
        folder = folder_of(name, root)
        _check_options(name, load_folder, options)
        return load_folder(folder, folder.resolve().name, **options), False
    _check_options(name, LOADERS[name], options)
    if not CATALOGUE[name].forms:
        note_shadowed(name, root, None)
        return LOADERS[name](**options), True
    found = locate(name, root, download)
    note_shadowed(name, root, found)
    if found.known:
        return LOADERS[name](found.folder, name, **options), True
    _check_options(name, load_folder, options)
    return load_folder(found.folder, name, **options), False


def _check_options(name: str, loader: Callable[..., Dataset], options: dict[str, Any]) -> None:
    allowed = [*_keywords(loader), *_keywords(controlled)]
    unknown = [key for key in options if key not in allowed]
    if unknown:
        raise DataError(f"{name}: unknown option {settings.quoted(unknown[0])}; one of {allowed}")
    checked_options(options, name)


def _keywords(function: Callable[..., Dataset]) -> list[str]:
    parameters = inspect.signature(function).parameters
    return [key for key, value in parameters.items() if value.kind is value.KEYWORD_ONLY]
