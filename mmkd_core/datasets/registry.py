"""How a copy of a data set is found: of a named one by its files and their sums, of a folder by its path."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pooch

from mmkd_core.catalogue import BEAUTY, CATALOGUE, DIFFMM, GITHUB, LFM2K, MEGCF, SWAP, TIKTOK, Entry
from mmkd_core.data import DataError
from mmkd_core.datasets import ml_100k
from mmkd_core.datasets.files import readable
from mmkd_core.datasets.layouts import LAYOUTS, detect, load_folder
from mmkd_core.datasets.remote import NotFetchedError, retrieve_all, sum_problem
from mmkd_core.datasets.shapes import SHAPES
from mmkd_core.settings import quoted

# What fills a folder with one of a data set's forms.
DOWNLOADS: dict[str, Callable[[Path], None]] = {
    "tiktok": partial(retrieve_all, GITHUB + DIFFMM, TIKTOK),
    "lfm2k": partial(retrieve_all, GITHUB + SWAP, LFM2K),
    "amazon-beauty": partial(retrieve_all, GITHUB + MEGCF, BEAUTY),
    "ml-100k": ml_100k.download,
}


def title_of(name: str) -> str:
    """What prose calls a data set: its title in the catalogue, or the paper's name for a shape; else its own name."""
    return CATALOGUE[name].title if name in CATALOGUE else name.capitalize() if name in SHAPES else name


LONGEST = 4000  # characters of a path that a file system takes


class Found(NamedTuple):
    """A folder and whether its files are the known ones; else it is the user's own data under a known name."""

    folder: Path
    known: bool


def locate(name: str, root: Path | str | None = None, download: bool = True) -> Found:
    """Where the files of the named data set are: `root/name`, or `MMKD_DATA/name`, then the cache; else fetched.

    A fetched copy goes to `root/name` or, without a root, to the cache. Raises one `DataError` when the files are
    nowhere to be had: it names them, where to put them and where they come from; or when a file's sum is wrong.
    """
    entry = CATALOGUE[name]
    places = _places(name, root)
    for folder in places:
        if _is_own(entry, folder):
            return Found(folder, known=False)
        if folder.is_dir() and not entry.missing(folder):
            _verify(entry, folder)
            return Found(folder, known=True)
    reason = "not allowed to with download=False"
    if download and name in DOWNLOADS:
        try:
            DOWNLOADS[name](places[-1])
        except (NotFetchedError, OSError) as error:
            reason = str(error)
        else:
            _verify(entry, places[-1])
            return Found(places[-1], known=True)
    lacks = "; ".join(f"{folder} lacks {', '.join(entry.missing(folder))}" for folder in places)
    raise DataError(
        f"{name}: not found ({lacks}) and not fetched ({reason}); put {', '.join(entry.forms[0])} into "
        f"MMKD_DATA/{name}/, MMKD_DATA being an environment variable; they come from {entry.source}"
    )


def fetch(name: str, *, root: Path | str | None = None) -> Path:
    """The folder of the named data set, fetched if need be. Raises `DataError` as `locate` does."""
    name = path_of(name)
    if not _entry(name).forms:
        raise DataError(f"{name}: nothing to fetch, it is {CATALOGUE[name].source}; load it by its name")
    return locate(name, expanded(root)).folder


def check(name: str | Path, *, root: Path | str | None = None, **options: Any) -> list[tuple[str, str]]:
    """(file, "ok" or what is wrong) for the files of a named data set, against their sums, or of a folder, by loading.

    A folder is loaded with the `options` of `load_folder`. Nothing is fetched. Empty for a data set that is made, not
    read. Raises `DataError` for an unknown name.
    """
    name, root = path_of(name), expanded(root)
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        if not entry.forms:
            return []
        places = _places(entry.name, root)
        folder = next((place for place in places if entry.present(place)), places[0])
        files = entry.present(folder) + entry.missing(folder)
        return [(str(folder / file), sum_problem(folder / file, entry.sums[file]) or "ok") for file in files]
    folder = folder_of(name, root)
    try:
        with readable(name):
            data = load_folder(folder, **options)
    except DataError as error:
        return [(name, str(error))]
    return [(file, "ok") for file in dict.fromkeys(data.sources.values())]


def path_of(name: object) -> str:
    """The name or path as text, `~` expanded. Raises `DataError` for what is neither, and for what no file can have."""
    try:
        text = os.fspath(name)  # type: ignore[call-overload]
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise DataError(
            f"got the data set {quoted(name)}; expected a name, one of {list(CATALOGUE)}, or a folder's path"
        )
    longest = max((len(part.encode("utf-8", "surrogatepass")) for part in Path(text).parts), default=0)
    if "\0" in text or not text or len(text) > LONGEST or longest > 255:
        raise DataError(
            f"unknown data set {quoted(text)} ({len(text):,} characters); one of {list(CATALOGUE)} or a folder's path"
        )
    return os.path.expanduser(text)


def expanded(root: object) -> str | None:
    """The folder of the data sets, `~` expanded; None, for MMKD_DATA, stays None."""
    if root is None:
        return None
    try:
        return os.path.expanduser(os.fspath(root))  # type: ignore[call-overload]
    except TypeError:
        raise DataError(f"got root={quoted(root)}; expected the folder that holds the data sets") from None


def folder_of(name: str, root: Path | str | None = None) -> Path:
    """The folder `root/name`, `root` being MMKD_DATA unless given, or else `name`; raises `DataError` if neither is.

    A path that begins with a dot is one from here, whatever the root.
    """
    name = path_of(name)
    root = root if root is not None else expanded(os.environ.get("MMKD_DATA"))
    from_here = Path(name).is_absolute() or name.startswith(".")
    places = [Path(name)] if from_here or not root else [Path(root) / name, Path(name)]
    for folder in places:
        if folder.is_dir():
            return folder
    looked = " and ".join(f"{folder}" for folder in places)
    hint = "" if root else "; set MMKD_DATA to the folder that holds your data sets to load them by name"
    raise DataError(f"unknown data set {name!r}; one of {list(CATALOGUE)} or a folder (looked for {looked}{hint})")


def address(name: str | Path) -> str:
    """The name of a built-in data set as it is; of a folder its absolute path, so that all its spellings are one.

    What is neither is given back: `load` says what is wrong with it.
    """
    try:
        text = path_of(name)
        return text if text in CATALOGUE else str(folder_of(text).resolve())
    except DataError:
        return str(name) if isinstance(name, Path) else name


def note_shadowed(name: str, root: Path | str | None, found: Found | None) -> None:
    """Says, once a process, what the name of a built-in data set was not taken for: a folder here that has this name.

    Also that the files found in `MMKD_DATA` under that name are not the published ones.
    """
    local = os.environ.get("MMKD_DATA")
    for folder in (Path(name), Path(local) / name) if local else (Path(name),):
        if root is None and folder.is_dir() and (found is None or folder.resolve() != found.folder.resolve()):
            path = folder if folder.is_absolute() else f"{os.curdir}{os.sep}{folder}"
            say_once(f"note: {name} is the built-in data set; to read the folder of that name, write {path}")
    if found is not None and not found.known:
        say_once(f"note: {found.folder} holds other files than the published {name}; they are read as your own data")


@functools.cache
def say_once(text: str) -> None:
    """A line on stderr, unless the caller's logging has another place for it; the same text once a process."""
    logging.getLogger("mmkd_core").warning(text)


def _entry(name: str) -> Entry:
    if name not in CATALOGUE:
        raise DataError(f"unknown data set {name!r}; one of {list(CATALOGUE)} or the path of a folder")
    return CATALOGUE[name]


def _places(name: str, root: Path | str | None) -> list[Path]:
    cache = Path(pooch.os_cache("mmkd")) / name
    if root is not None:
        return [Path(root) / name]
    local = expanded(os.environ.get("MMKD_DATA"))
    return [Path(local) / name, cache] if local else [cache]


def _is_own(entry: Entry, folder: Path) -> bool:
    # Features are called image_feat.npy everywhere; the files of the interactions tell whose folder it is.
    known = [file for file in entry.present(folder) if not file.endswith(".npy")]
    return not known and folder.is_dir() and bool(detect(folder))


def _verify(entry: Entry, folder: Path) -> None:
    for file in entry.present(folder):
        if problem := sum_problem(folder / file, entry.sums[file]):
            own = "; or load the folder by its path, to use it as it is" if entry.layout in LAYOUTS else ""
            raise DataError(f"{folder / file}: {problem}; remove it and fetch {entry.name!r} again{own}")
