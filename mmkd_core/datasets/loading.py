"""`load` and what stands beside it: options are checked, copies found or fetched, files checked."""

import warnings
from pathlib import Path
from typing import Any

from mmkd_core.data import DataError, Dataset, DataWarning
from mmkd_core.datasets import DATASETS
from mmkd_core.datasets.controls import check_options, controlled, options_of
from mmkd_core.datasets.files import readable
from mmkd_core.datasets.layouts import load_folder
from mmkd_core.datasets.places import Copy, checked_name, folder_of, locate, note_shadowed, places_of, root_of
from mmkd_core.datasets.remote import sum_problem
from mmkd_core.settings import Setting

CONTROLS = options_of(controlled)
# What each option of any data set is; which numbers make sense, the data set itself says when it is loaded.
OPTIONS: dict[str, Setting] = {
    name: setting._replace(range=None)
    for loader in (load_folder, *(entry.reader for entry in DATASETS.values()), controlled)
    for name, setting in options_of(loader).items()
}


def non_default_options(options: Any, name: str) -> dict[str, Any]:
    """`options` of the data set `name` without those at their default, so that one given so changes no key.

    Raises `DataError` for an option that no data set has, or a value of another kind.
    """
    chosen = check_options(options, OPTIONS, name)
    return {option: value for option, value in chosen.items() if value != OPTIONS[option].default}


def load(name: str | Path, /, *, root: Path | str | None = None, download: bool = True, **options: Any) -> Dataset:
    """The data set called `name`: one of `DATASETS`, a folder `root/name`, or the path of a folder.

    `root` is the environment's MMKD_DATA unless given; `~` stands for the home folder. A named data set is looked for
    in `root/name`, then in the user's cache; what is nowhere is fetched, with `download`, and checked against its
    sha256. Options: `seed`, `noise`, `redundancy` for demo, `seed` for ml-100k; for whatever is read from files in a
    known layout `layout` (one of `LAYOUTS`), `overlap`, `compact` and `min_rating` (see `load_folder`); and for all of
    them those of `controlled`: `content`, `hold_back`, `swap`, `cold`.

    Raises `DataError`: an unknown name or option, files that can be neither found nor fetched, a wrong sum, data that
    do not fit into memory, and whatever the files say that makes no valid `Dataset`. Warns, once, with what
    `Dataset.notes` says of a folder that is none of the named data sets: a `DataWarning`.
    """
    name, root = checked_name(name), root_of(root)
    entry = DATASETS.get(name)
    loader = entry.reader if entry else load_folder
    check_options(options, options_of(loader) | CONTROLS, name)  # before anything is looked for or fetched
    with readable(name):
        copy = locate(name, root, download) if entry and entry.forms else None
        if entry:
            note_shadowed(name, root, copy)
        else:
            copy = Copy(folder_of(name, root), published=False)
        if copy and not copy.published:
            loader = load_folder
        elif entry and len(entry.forms) == 1 and loader is load_folder:
            options = {"layout": entry.layout} | options  # whatever else lies beside the published files
        # again: under a known name may lie the user's own files, which another loader reads
        options = check_options(options, options_of(loader) | CONTROLS, name)
        controls = {option: options.pop(option) for option in CONTROLS if option in options}
        data = loader(*([copy.folder, name if entry else copy.folder.resolve().name] if copy else []), **options)
        made = controlled(data, **controls)
    if data.notes and copy and not copy.published:
        warnings.warn("; ".join(data.notes), DataWarning, stacklevel=2)
    return made


def fetch(name: str, *, root: Path | str | None = None) -> Path:
    """The folder of the named data set, fetched if need be. Raises `DataError` as `load` does."""
    name = checked_name(name)
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}; one of {list(DATASETS)} or the path of a folder")
    if not DATASETS[name].forms:
        raise DataError(f"{name}: nothing to fetch, it is {DATASETS[name].source}; load it by its name")
    return locate(name, root_of(root)).folder


def check(name: str | Path, *, root: Path | str | None = None, **options: Any) -> list[tuple[str, str]]:
    """(file, "ok" or what is wrong) for the files of a named data set, against their sums, or of a folder, by loading.

    A folder is loaded with the `options`. Nothing is fetched. Empty for a data set that is made, not read. Raises
    `DataError` for an unknown name.
    """
    name = checked_name(name)
    if name in DATASETS:
        entry, places = DATASETS[name], places_of(name, root_of(root))
        folder = next((place for place in places if entry.present(place)), places[0])
        files = entry.present(folder) + entry.missing(folder)
        return [(str(folder / file), sum_problem(folder / file, entry.sums[file]) or "ok") for file in files]
    folder_of(name, root_of(root))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            data = load(name, root=root, **options)
    except DataError as error:
        return [(name, str(error))]
    return [(file, "ok") for file in dict.fromkeys(data.sources.values())]
