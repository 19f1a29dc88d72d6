"""The layout of many interactions: the columns of MMRec's `.inter` in one Parquet file, which is read in blocks.

A text of 100 million lines becomes as many objects of Python; here ids are int32 where they fit, and what is in memory
besides them is a block. pyarrow is imported when such a file is read.
"""

from pathlib import Path
from typing import Any

import numpy as np

from mmkd_core.data import SPLITS, DataError
from mmkd_core.datasets.assemble import Content, Pairs
from mmkd_core.datasets.features import npy_features
from mmkd_core.datasets.files import opened, visible
from mmkd_core.datasets.mmrec import COLUMNS, rating_column, unread
from mmkd_core.settings import quoted

BLOCK = 2**20  # rows that are read at once
LEFT_OUT = -1  # the label of a row that counts as no choice


def load_parquet(folder: Path, min_rating: float | None = None) -> Content:
    """What is in `folder`: whole numbers userID, itemID and x_label (0 train, 1 val, 2 test), in rows counted from 0.

    Ratings and features are told as in MMRec's layout. Raises `DataError` naming the file, and the row where one is
    wrong, for columns that are missing or hold something else, and where pyarrow is not installed.
    """
    tables = visible(folder, "*.parquet")
    if len(tables) != 1:
        raise DataError(f"{folder}: got {quoted([table.name for table in tables])}; expected one .parquet file")
    splits, on_ratings = _splits(tables[0], min_rating)
    features, files, on_files = npy_features(folder, splits, "*.npy")
    return Content(splits, features, files, [*on_ratings, *on_files])


def _splits(path: Path, min_rating: float | None) -> tuple[dict[str, Pairs], list[str]]:
    with opened(path) as file:
        names = file.schema_arrow.names
        if any(names.count(column) != 1 for column in COLUMNS):
            raise DataError(f"{path}: got columns {quoted(names)}; expected {list(COLUMNS)}, in any order")
        rating = rating_column(str(path), names, min_rating)
        rows = file.metadata.num_rows
        users, items, labels = np.empty(rows, np.int32), np.empty(rows, np.int32), np.empty(rows, np.int8)
        start, zeros = 0, 0
        wanted = [*COLUMNS, *([rating] if rating else [])]
        for block in file.iter_batches(BLOCK, columns=wanted, use_threads=False):
            part = slice(start, start + block.num_rows)
            own = {column: _numbers(block.column(column), path, column, start) for column in wanted}
            users, items = (_put(ids, part, own[column]) for ids, column in ((users, COLUMNS[0]), (items, COLUMNS[1])))
            labels[part] = _labels(own[COLUMNS[2]], path, start)
            if min_rating is not None:
                labels[part][own[rating] < min_rating] = LEFT_OUT
            elif rating:
                zeros += int((own[rating] == 0).sum())
            start = part.stop
    notes = [unread(path, rating, f"{rows:,} rows", zeros)] if rating and min_rating is None else []
    return {split: _pairs(users, items, labels == label, path) for label, split in enumerate(SPLITS)}, notes


def _numbers(column: Any, path: Path, name: str, start: int) -> np.ndarray:
    """A column of a block: int64 for whole numbers, float64 for ratings; neither is ever missing."""
    import pyarrow as pa

    kind, whole = column.type, name in COLUMNS
    if not (pa.types.is_integer(kind) or (not whole and pa.types.is_floating(kind))):
        expected = "whole numbers" if whole else "numbers"
        raise DataError(f"{path}: the column {quoted(name)} is of type {quoted(str(kind))}; expected {expected}")
    if column.null_count:
        row = start + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(f"{path}, row {row}: the column {quoted(name)} has no value there; expected a number")
    numbers = column.to_numpy(zero_copy_only=False)
    bad = np.flatnonzero(numbers > np.iinfo(np.int64).max if numbers.dtype == np.uint64 else np.isnan(numbers))
    if len(bad):
        raise DataError(f"{path}, row {start + bad[0]}: got {numbers[bad[0]]} in {quoted(name)}; expected a number")
    return numbers.astype(np.int64 if whole else np.float64, copy=False)


def _put(ids: np.ndarray, part: slice, own: np.ndarray) -> np.ndarray:
    """`ids` with `own` in a part of them, as int64 once one of them needs it."""
    if len(own) and ids.dtype == np.int32 and max(own.max(), -own.min()) > np.iinfo(np.int32).max:
        ids = ids.astype(np.int64)
    ids[part] = own
    return ids


def _labels(labels: np.ndarray, path: Path, start: int) -> np.ndarray:
    bad = np.flatnonzero((labels < 0) | (labels >= len(SPLITS)))
    if len(bad):
        raise DataError(
            f"{path}, row {start + bad[0]}: got x_label {labels[bad[0]]}; expected 0 (train), 1 (val), 2 (test)"
        )
    return labels


def _pairs(users: np.ndarray, items: np.ndarray, chosen: np.ndarray, path: Path) -> Pairs:
    rows = np.flatnonzero(chosen).astype(np.int32 if len(chosen) < 2**31 else np.int64)
    return Pairs(users[rows], items[rows], path, rows, "row")
