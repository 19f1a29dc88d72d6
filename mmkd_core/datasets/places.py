"""Where a data set's files are: a named one's by their names and sums, a folder's by its path."""

import functools
import logging
import os
from pathlib import Path
from typing import NamedTuple

import pooch

from mmkd_core.data import DataError
from mmkd_core.datasets import DATASETS
from mmkd_core.datasets.entry import Entry
from mmkd_core.datasets.layouts import LAYOUTS, detect
from mmkd_core.datasets.remote import NotFetchedError, retrieve_all, sum_problem
from mmkd_core.settings import quoted

LONGEST, LONGEST_PART = 4000, 255  # characters of a path, and bytes of a name in it, that a file system takes


class Copy(NamedTuple):
    """A folder, and whether it holds the published files; else it is the user's own data under a known name."""

    folder: Path
    published: bool


def locate(name: str, root: str | None = None, download: bool = True) -> Copy:
    """Where the files of the named data set are: `root/name`, or `MMKD_DATA/name`, then the cache; else fetched.

    Folders of the entry's `folders` count if they hold the published files. A fetched copy goes to `root/name` or,
    without a root, to the cache. Raises one `DataError` when the files are
    nowhere to be had: it names them, where to put them and where they come from; or when a file's sum is wrong.
    """
    entry, places = DATASETS[name], places_of(name, root)
    theirs = [place for place in places if place.name == name and _holds_other_data(entry, place)]
    folder = next((place for place in places if place in theirs or not entry.missing(place)), None)
    if folder in theirs:
        return Copy(folder, published=False)
    if folder is None:
        folder = places[-1]
        try:
            if not download:
                raise NotFetchedError("not allowed to with download=False")
            fill = entry.download or functools.partial(retrieve_all, entry.source, entry.forms[0])
            fill(folder)
        except (NotFetchedError, OSError) as error:
            lacks = "; ".join(f"{place} lacks {', '.join(entry.missing(place))}" for place in places)
            raise DataError(
                f"{name}: not found ({lacks}) and not fetched ({error}); put {', '.join(entry.forms[0])} into "
                f"MMKD_DATA/{name}/, MMKD_DATA being an environment variable; they come from {entry.source}"
            ) from error
    for file in entry.present(folder):
        if problem := sum_problem(folder / file, entry.sums[file]):
            by_path = "; or load the folder by its path, to use it as it is" if entry.layout in LAYOUTS else ""
            raise DataError(f"{folder / file}: {problem}; remove it and fetch {name!r} again{by_path}")
    return Copy(folder, published=True)


def places_of(name: str, root: str | None) -> list[Path]:
    """The folders that may hold the named data set, the one to fetch it to last."""
    local = root if root is not None else _mmkd_data()
    roots = [Path(place) for place in (local, pooch.os_cache("mmkd") if root is None else None) if place is not None]
    others = [place / folder for place in roots for folder in DATASETS[name].folders]
    own = [place / name for place in roots]
    return [*own[:-1], *others, own[-1]]


def _holds_other_data(entry: Entry, folder: Path) -> bool:
    # Features are called image_feat.npy everywhere; the files of the interactions tell whose folder it is.
    published = [file for file in entry.present(folder) if not file.endswith(".npy")]
    return not published and bool(detect(folder))


def checked_name(name: object) -> str:
    """The name or path as text, `~` expanded. Raises `DataError` for what is neither, and for what no file can have."""
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else None
    if not isinstance(text, str):
        raise DataError(
            f"got the data set {quoted(name)}; expected a name, one of {list(DATASETS)}, or a folder's path"
        )
    longest = max((len(part.encode("utf-8", "surrogatepass")) for part in Path(text).parts), default=0)
    if "\0" in text or not text or len(text) > LONGEST or longest > LONGEST_PART:
        raise DataError(
            f"unknown data set {quoted(text)} ({len(text):,} characters); one of {list(DATASETS)} or a folder's path"
        )
    return os.path.expanduser(text)


def root_of(root: object) -> str | None:
    """The folder of the data sets, `~` expanded; None, for MMKD_DATA, stays None."""
    if root is None:
        return None
    if not isinstance(root, str | os.PathLike):
        raise DataError(f"got root={quoted(root)}; expected the folder that holds the data sets")
    return os.path.expanduser(os.fspath(root))


def _mmkd_data() -> str | None:
    return root_of(os.environ.get("MMKD_DATA"))


def folder_of(name: str, root: str | None = None) -> Path:
    """The folder `root/name`, `root` being MMKD_DATA unless given, or else `name`; raises `DataError` if neither is.

    A path that begins with a dot is one from here, whatever the root.
    """
    root = root if root is not None else _mmkd_data()
    places = [Path(name)] if not root or name.startswith(".") else [*dict.fromkeys((Path(root) / name, Path(name)))]
    for folder in places:
        if folder.is_dir():
            return folder
    looked = " and ".join(map(str, places))
    hint = "" if root else "; set MMKD_DATA to the folder that holds your data sets to load them by name"
    raise DataError(f"unknown data set {name!r}; one of {list(DATASETS)} or a folder (looked for {looked}{hint})")


def canonical_name(name: str | Path) -> str:
    """The name of a built-in data set as it is; of a folder its absolute path, so that all its spellings are one.

    What is neither is given back: `load` says what is wrong with it.
    """
    try:
        text = checked_name(name)
        return text if text in DATASETS else str(folder_of(text).resolve())
    except DataError:
        return str(name) if isinstance(name, Path) else name


def note_shadowed(name: str, root: str | None, copy: Copy | None) -> None:
    """Says, once per process, what the name of a built-in data set was not taken for: a folder here of this name.

    Also that the files found in `MMKD_DATA` under that name are not the published ones.
    """
    local = _mmkd_data() if root is None else None
    shadowed = [] if root is not None else [Path(name), *([Path(local) / name] if local else [])]
    for folder in shadowed:
        if folder.is_dir() and (copy is None or folder.resolve() != copy.folder.resolve()):
            path = folder if folder.is_absolute() else f"{os.curdir}{os.sep}{folder}"
            say_once(f"note: {name} is the built-in data set; to read the folder of that name, write {path}")
    if copy is not None and not copy.published:
        say_once(f"note: {copy.folder} holds other files than the published {name}; they are read as your own data")


@functools.cache
def say_once(text: str) -> None:
    """A line on stderr, unless the caller's logging has another place for it; the same text once per process."""
    logging.getLogger("mmkd_core").warning(text)
