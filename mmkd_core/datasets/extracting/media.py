"""Which file, or which text, belongs to which item: files by their names, rows of a table by a column."""

import csv
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmkd_core.data import DataError
from mmkd_core.datasets.files import read_bytes
from mmkd_core.datasets.ids import numbers_of
from mmkd_core.files import write_whole
from mmkd_core.settings import quoted
from mmkd_core.shown import files_in, names_of

MOST_BYTES = 2**28  # of a file that is read
NOUNS = {"image": "picture", "text": "text", "audio": "sound"}
FIRST = 3  # that a sentence names


class Items(NamedTuple):
    """How many items there are, and the caller's ids of them in order, as an Arrow array, if they have any."""

    count: int
    ids: Any | None

    def named(self, item: int) -> str:
        """The id of an item, as a text."""
        return str(item) if self.ids is None else str(self.ids[item].as_py())

    def some(self) -> str:
        """The first ids, for a message."""
        return quoted([self.named(item) for item in range(min(FIRST, self.count))])


class Problem(NamedTuple):
    """An item without features in some modality: `source` is the file or row, if there is one."""

    item: str
    source: str
    why: str


@dataclass
class Media:
    """The media of one kind ("image", "text", "audio"): for an item's number its file, or its text.

    `unknown` are the files or rows of no item, `again` those of an item that has one already; the first counts.
    """

    kind: str
    source: Path
    of: dict[int, Path | str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    problems: dict[int, Problem] = field(default_factory=dict)

    def content(self, item: int) -> bytes:
        """The bytes of an item's medium. Raises `DataError` for a file that cannot be read, or a large one."""
        medium = self.of[item]
        if isinstance(medium, str):
            return medium.encode()
        found = medium.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size > MOST_BYTES:
            raise DataError(f"{found.st_size:,} bytes; expected at most {MOST_BYTES:,}")
        return read_bytes(medium, f"expected a {NOUNS[self.kind]}")

    def name(self, item: int) -> str:
        """Where an item's medium lies, as far as the caller must be told."""
        medium = self.of.get(item)
        return str(medium.relative_to(self.source)) if isinstance(medium, Path) else self.source.name


def files_of(folder: Path, kind: str, suffixes: tuple[str, ...], items: Items) -> Media:
    """The files in `folder` and below that are called as an item, by its id (or number, without ids).

    Hidden ones are left out. Raises `DataError` for a folder that is none, and where no file is of any item.
    """
    noun = NOUNS[kind]
    paths = files_in(folder, noun, suffixes)
    media = Media(kind, folder)
    for path, item in zip(paths, _numbers(paths, items), strict=True):
        known = media.unknown if item < 0 else media.again if item in media.of else None
        if known is None:
            media.of[item] = path
        else:
            known.append(str(path.relative_to(folder)))
    if not media.of:
        got = f"{len(paths):,} {noun}s, {quoted(media.unknown[:FIRST])} and so on" if paths else f"no {noun}"
        raise DataError(
            f"{folder}: got {got}; expected files called as the {items.count:,} items are, {items.some()} and so on, "
            f"with a suffix of {', '.join(suffixes)}"
        )
    return media


def _numbers(paths: Sequence[Path], items: Items) -> list[int]:
    """The item that each file is called for, or -1."""
    found = np.full(len(paths), -1)
    for texts in zip(*map(names_of, paths), strict=True):
        found = np.where(found < 0, numbers_of(texts, items.ids, items.count), found)
    return found.tolist()


def write_problems(path: Path, problems: list[Problem]) -> None:
    """A CSV of all of them, whole or not at all; none where there is no problem."""
    if not problems:
        path.unlink(missing_ok=True)
        return

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
            csv.writer(file).writerows([Problem._fields, *problems])

    write_whole(path, write)
