"""The texts of items, in a table of any of the formats that `mmkd import` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting.media import FIRST, Items, Media, Problem
from mmkd_core.datasets.ids import numbers_of
from mmkd_core.datasets.importing.logs import FORMATS, Log, import_pyarrow
from mmkd_core.datasets.importing.values import ids_of
from mmkd_core.settings import quoted

LONGEST = 100_000  # characters of an item's text that are read


class Table(Log):
    """A table of texts, whose columns are chosen when it is seen which there are."""

    what = "a table of texts"

    def __init__(self, path: Path, id_column: str | None, columns: Sequence[str]) -> None:
        if (suffix := Path(path.name.lower().removesuffix(".gz")).suffix) not in FORMATS:
            raise DataError(
                f"{path}: got the suffix {quoted(suffix)}; expected one of {list(FORMATS)}, .gz after it or not: "
                "rename the file if it is one of these"
            )
        super().__init__(path, [])
        self.id_column, self.texts = id_column, [*columns]

    def check_columns(self, there: Sequence[str]) -> None:
        """Raises `DataError` unless one column is of ids, and others are of texts."""
        own = self.id_column if self.id_column is not None else next(iter(there), "")
        wanted = self.texts or [name for name in there if name != own]
        self.ids, self.columns = [own], [own, *wanted]
        if lacking := [name for name in self.columns if name not in there]:
            raise DataError(
                f"{self.path}: got no column {quoted(lacking[0])}; expected one of the columns that are there: "
                f"{', '.join(map(quoted, there[:40]))}{' and more' if len(there) > 40 else ''}"
            )
        if len({*there}) < len(there):
            raise DataError(f"{self.path}: got the columns {quoted([*there])}; expected each name once")
        if not wanted or len({*self.columns}) < len(self.columns):
            raise DataError(
                f"{self.path}: got the column of ids {quoted(own)} and those of texts {quoted(wanted)}, of "
                f"{quoted([*there])}; expected one and others (`--id-column NAME --text-column NAME`)"
            )


def texts_of(path: Path, items: Items, id_column: str | None, columns: Sequence[str]) -> Media:
    """The text of each item in the table at `path`: what its `columns` say, each in a line of its own.

    The first column holds the ids, unless `id_column` names another; all others are texts, unless `columns` names some.
    Raises `DataError` for a table that cannot be read or lacks a column, and where no row is of any item.
    """
    import_pyarrow(path)
    media, table, row = Media("text", path), Table(path, id_column, columns), 0
    for block in table.blocks():
        own, *wanted = table.columns
        ids = ids_of(block[own], own).values.fill_null("").to_pylist()
        numbers = numbers_of(ids, items.ids, items.count).tolist()
        for item, name, *parts in zip(numbers, ids, *(_texts(path, block[name], name) for name in wanted), strict=True):
            row += 1
            _add(media, items, item, name, [part for part in parts if part], row)
    media.unknown += [f"row {number}" for number in table.ragged]
    if media.problems and not media.of:
        raise DataError(
            f"{path}: each text in {quoted(table.columns[1:])} is empty; expected some (`--text-column NAME`)"
        )
    if not media.of:
        own = table.columns[0]
        raise DataError(
            f"{path}: no text in {row:,} rows is of one of the {items.count:,} items, {items.some()} and so on; its "
            f"column {quoted(own)} has {quoted(media.unknown[:FIRST])}; expected their ids (`--id-column NAME`)"
        )
    return media


def _add(media: Media, items: Items, item: int, name: str, parts: list[str], row: int) -> None:
    if item < 0:
        media.unknown.append(name)
    elif item in media.of or item in media.problems:
        media.again.append(name)
    elif parts:
        media.of[item] = "\n".join(parts)[:LONGEST]
    else:
        media.problems[item] = Problem(items.named(item), f"{media.source.name}, row {row}", "an empty text")


def _texts(path: Path, column: Any, name: str) -> list[str]:
    import pyarrow as pa

    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    if pa.types.is_nested(plain.type):
        raise DataError(f"{path}: the column {quoted(name)} is of type {quoted(str(plain.type))}; expected texts")
    return [text.strip() for text in plain.cast(pa.string()).fill_null("").to_pylist()]
