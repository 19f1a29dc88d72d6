"""The layout of MMRec: one tab-separated `<any>.inter` with a header, and one `.npy` per modality."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmkd_core.data import SPLITS, DataError
from mmkd_core.datasets.assemble import Content, Pairs
from mmkd_core.datasets.features import npy_features
from mmkd_core.datasets.files import visible
from mmkd_core.datasets.text import decimals, integers, is_decimal, read_columns, read_lines
from mmkd_core.settings import quoted

COLUMNS = ("userID", "itemID", "x_label")
RATINGS = ("rating", "ratings", "stars", "score")  # names of the column, in letters of any size
MOST_COLUMNS = 1000


def load_mmrec(folder: Path, min_rating: float | None = None) -> Content:
    """What is in `folder`: columns userID, itemID and x_label (0 train, 1 val, 2 test) are found by name.

    A column of ratings is read where there is a least rating; else every line is a choice, whatever its rating. Which
    of the `.npy` files are features is told by what is in them.
    """
    tables = visible(folder, "*.inter")
    if len(tables) != 1:
        raise DataError(f"{folder}: got {quoted([table.name for table in tables])}; expected one .inter file")
    splits, on_ratings = _splits(tables[0], min_rating)
    features, files, on_files = npy_features(folder, splits, "*.npy")
    return Content(splits, features, files, [*on_ratings, *on_files])


def _splits(path: Path, min_rating: float | None) -> tuple[dict[str, Pairs], list[str]]:
    lines = read_lines(path)
    if lines and (count := lines[0][1].count("\t")) >= MOST_COLUMNS:
        raise DataError(f"{path}, line {lines[0][0]}: got {count + 1:,} columns; expected {list(COLUMNS)} among a few")
    header = lines[0][1].split("\t") if lines else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DataError(
            f"{path}, line 1: got columns {quoted(header)}; expected {list(COLUMNS)}, tab-separated, in any order; "
            f"a log without a split becomes a data set by `mmkd import {path.name} OUT --user COLUMN --item COLUMN`"
        )
    columns = dict(zip(header, read_columns(path, lines[1:], "\t", header), strict=True))
    places = [number for number, _ in lines[1:]]
    users, items, labels = (integers(columns[column], path, places) for column in COLUMNS)
    bad = np.flatnonzero((labels < 0) | (labels >= len(SPLITS)))
    if len(bad):
        row = bad[0]
        raise DataError(f"{path}, line {places[row]}: got x_label {labels[row]}; expected 0 (train), 1 (val), 2 (test)")
    counted, notes = chosen_lines(path, columns, places, min_rating)
    numbers = np.array(places, dtype=np.int64)
    chosen = {split: (labels == label) & counted for label, split in enumerate(SPLITS)}
    return {split: Pairs(users[rows], items[rows], path, numbers[rows]) for split, rows in chosen.items()}, notes


def chosen_lines(
    path: Path, columns: Mapping[str, Sequence[str]], places: Sequence[int], min_rating: float | None
) -> tuple[np.ndarray, list[str]]:
    """Which lines count as choices, and a sentence where there are ratings and nobody said what they mean."""
    name = rating_column(f"{path}, line 1", list(columns), min_rating)
    if min_rating is not None:
        return decimals(columns[name], path, places) >= min_rating, []
    zeros = sum(is_decimal(rating) and float(rating) == 0 for rating in columns.get(name, ()))
    return np.ones(len(places), dtype=bool), [unread(path, name, f"{len(places):,} lines", zeros)] if name else []


def rating_column(where: str, names: Sequence[str], min_rating: float | None) -> str:
    """The first of `names` that is one of ratings, "" if there is none; with a least rating there must be just one."""
    found = [name for name in names if name.lower() in RATINGS]
    if min_rating is not None and len(found) != 1:
        raise DataError(
            f"{where}: got min_rating={min_rating} and the columns of ratings {quoted(found)}; expected "
            f"one, called {', '.join(RATINGS[:-1])} or {RATINGS[-1]}"
        )
    return found[0] if found else ""


def unread(path: Path, column: str, lines: str, zeros: int) -> str:
    """The sentence on ratings of which nobody said what they mean; `lines` counts them in words."""
    return (
        f"{path}: the column {quoted(column)} is not read and each of the {lines} counts as a choice, {zeros:,} with "
        "rating 0 among them; min_rating=1 (`--set data.min_rating=1`) leaves out what is rated lower"
    )
