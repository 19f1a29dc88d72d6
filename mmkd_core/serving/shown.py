"""Titles and pictures of items, from files that are the caller's own: found once, at start-up, by the items' ids."""

import csv
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import unquote

from mmkd_core.settings import quoted

T = TypeVar("T")
KINDS = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
LARGEST = 5 * 2**20  # bytes of a picture
TITLE = 200  # characters that are kept of a title
DELIMITERS = {".csv": ",", ".tsv": "\t"}


class Shown(NamedTuple):
    """What is shown of items beside their ids: titles, and the files of pictures with their kind, by the id's text."""

    titles: dict[str, str]
    pictures: dict[str, tuple[Path, str]]


def shown_of(items: Collection[str], titles: str | Path | None, pictures: str | Path | None) -> Shown:
    """What a table of titles and a folder of pictures have of these items; says in a note how many that are.

    Raises `ValueError` for a file or folder that cannot be read, and for one that has nothing of any item.
    """
    return Shown(
        {} if titles is None else _found("title", titles, dict(_titles(Path(titles))), items),
        {} if pictures is None else _found("picture", pictures, dict(_pictures(Path(pictures), items)), items),
    )


def _found(what: str, source: str | Path, own: dict[str, T], items: Collection[str]) -> dict[str, T]:
    there = {item: own[item] for item in items if item in own}
    if not there:
        example = quoted(next(iter(items)))
        raise ValueError(f"{source}: no {what} of any item; expected some by the items' ids, such as {example}")
    if len(there) < len(items):
        warnings.warn(f"{source}: {len(there):,} of {len(items):,} items have a {what}", stacklevel=2)
    return there


def _titles(path: Path) -> Iterator[tuple[str, str]]:
    """The first two columns of a table with a header: an item's id and its title."""
    if path.suffix.lower() not in DELIMITERS:
        raise ValueError(f"{path}: expected a .csv or .tsv file: a header, then rows of an item's id and title")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=DELIMITERS[path.suffix.lower()], strict=True)
            next(rows, None)
            for row in rows:
                if len(row) < 2:
                    raise ValueError(f"line {rows.line_num}: got {quoted(row)}; expected an item's id and its title")
                yield row[0], " ".join(row[1].split())[:TITLE]
    except (OSError, csv.Error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"{path}: cannot be read as titles ({reason})") from None


def _pictures(folder: Path, items: Collection[str]) -> Iterator[tuple[str, tuple[Path, str]]]:
    """The pictures of a folder by id: a file is named as an item, or as its id with %2F for / and so on."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise ValueError(f"{folder}: cannot be read ({error.strerror}); expected a folder of pictures") from None
    for file in files:
        kind = KINDS.get(file.suffix.lower())
        if kind is None or not file.is_file() or file.stat().st_size > LARGEST:
            continue
        for name in (file.stem, file.name, unquote(file.stem)):
            if name in items:
                yield name, (file, kind)
                break
