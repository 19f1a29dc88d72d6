"""What is shown of items beside their ids, by one rule everywhere: whose a file or a title is, its name or row says."""

import csv
import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from mmkd_core.errors import DataError
from mmkd_core.settings import quoted

T = TypeVar("T")
COLUMNS = ("item", "title")
DELIMITERS = {".csv": ",", ".tsv": "\t"}
LONGEST = 200  # characters that are kept of a title


def files_in(folder: Path, what: str, suffixes: Collection[str]) -> list[Path]:
    """The files in `folder` and below that have one of `suffixes`, in the order of their names; hidden ones are left
    out.

    Raises `DataError` for a folder that is none, naming `what` was looked for ("picture").
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of {what}s, each called as its item")
    return [path for path in _walk(folder) if path.suffix.lower() in suffixes]


def names_of(file: Path) -> tuple[str, str, str, str]:
    """The ids that a file may be called for, the likeliest first.

    That is its name without the suffix; the same with é as one character, which a Mac makes two of; with "/" for "%2F"
    and so on, which no name of a file can hold; and all of its name, since an id may end in ".jpg". A name that is no
    text is none of an item.
    """
    stem, name = (os.fsencode(part).decode("utf-8", "replace") for part in (file.stem, file.name))
    return stem, unicodedata.normalize("NFC", stem), unquote(stem), name


def find_pictures(folder: Path, items: Collection[str], suffixes: Collection[str]) -> dict[str, Path]:
    """The picture of each of `items` that has one in `folder`, by the item's id; of two the first.

    Raises `DataError` as `files_in` and `of_items` do.
    """
    found: dict[str, Path] = {}
    for file in filter(Path.is_file, files_in(folder, "picture", suffixes)):
        own = next((name for name in names_of(file) if name in items), file.stem)
        found.setdefault(own, file)
    return of_items("picture", folder, found, items)


def read_titles(path: Path) -> dict[str, str]:
    """The title of each id in a table: its columns item and title, or its two columns whatever they are called.

    Raises `DataError` naming the file for one that is no CSV or, by its suffix, TSV; other columns; an id that stands
    twice; and no row at all.
    """
    if (suffix := path.suffix.lower()) not in DELIMITERS:
        raise DataError(f"{path}: expected a .csv or .tsv file with the columns {list(COLUMNS)}")
    titles: dict[str, str] = {}
    for number, item, title in _rows(path, DELIMITERS[suffix]):
        if item in titles:
            raise DataError(f"{path}, row {number}: the id {quoted(item)} stands twice; expected it once")
        titles[item] = " ".join(title.split())[:LONGEST] or item
    if not titles:
        raise DataError(f"{path}: got no row; expected the titles of some items")
    return titles


def of_items(what: str, source: Path, found: Mapping[str, T], items: Collection[str]) -> dict[str, T]:
    """What was `found` for ids, of `items` alone. Raises `DataError` where none has any."""
    own = {item: found[item] for item in items if item in found}
    if not own:
        got = (
            f"a {what} of {quoted([*found][:3])}{' and so on' * (len(found) > 3)}, of no item"
            if found
            else f"no {what}"
        )
        raise DataError(f"{source}: got {got}; expected some by the items' ids, such as {quoted([*items][:3])}")
    return own


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, str, str]]:
    """The row's number, counted from 1, the id and the title of each row below the header."""
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
            header = next(rows, [])
            places = [header.index(name) for name in COLUMNS if header.count(name) == 1]
            if len(places) < len(COLUMNS) and len(header) != len(COLUMNS):
                raise ValueError(f"got the columns {quoted(header)}; expected {list(COLUMNS)} among any others")
            item, title = places if len(places) == len(COLUMNS) else range(len(COLUMNS))
            for number, row in enumerate(rows, 2):
                if row and len(row) != len(header):
                    raise ValueError(f"row {number}: got {len(row)} fields; expected {len(header)}, as in its header")
                if row:
                    yield number, row[item], row[title]
    except (OSError, csv.Error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{path}: cannot be read as titles ({reason})") from None


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))
