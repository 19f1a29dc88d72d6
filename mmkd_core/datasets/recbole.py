"""The layout of RecBole's ready splits: `NAME.train.inter`, `NAME.valid.inter` and `NAME.test.inter`; and `*_feat.npy`.

Their headers give the type after the name, `user_id:token`. Tokens are texts: what are whole numbers is read in place,
others get numbers by `mmkd import FOLDER OUT`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmkd_core.data import SPLITS, DataError
from mmkd_core.datasets.assemble import Content, Pairs
from mmkd_core.datasets.features import npy_features
from mmkd_core.datasets.files import visible
from mmkd_core.datasets.mmrec import chosen_lines
from mmkd_core.datasets.text import integers, is_integer, read_columns, read_lines
from mmkd_core.settings import quoted

FILES = {"train": ("*.train.inter",), "val": ("*.valid.inter", "*.val.inter"), "test": ("*.test.inter",)}
FIELDS = ("user_id", "item_id")


class Tokens(NamedTuple):
    """The users and items of a split as texts, and the lines of its file in which they stand."""

    users: list[str]
    items: list[str]
    file: Path
    places: np.ndarray


def load_recbole(folder: Path, min_rating: float | None = None) -> Content:
    """What is in `folder`, whose tokens are whole numbers; ratings are told as in MMRec's layout."""
    tokens, notes = read_tokens(folder, min_rating)
    splits = {split: _pairs(folder, own) for split, own in tokens.items()}
    features, files, on_files = npy_features(folder, splits)
    return Content(splits, features, files, [*notes, *on_files])


def read_tokens(folder: Path, min_rating: float | None = None) -> tuple[dict[str, Tokens], list[str]]:
    """The tokens of each split, and sentences on ratings that are not read.

    Raises `DataError` for two files of a split, for splits of several data sets, for a header without user_id or
    item_id, and as `read_columns` does.
    """
    files = {split: [path for name in FILES[split] for path in visible(folder, name)] for split in SPLITS}
    names = {path.name.rsplit(".", 2)[0] for paths in files.values() for path in paths}
    if len(names) != 1 or any(len(paths) != 1 for paths in files.values()):
        there = [path.name for paths in files.values() for path in paths]
        raise DataError(f"{folder}: got {quoted(there)}; expected one file for each split, of one data set")
    tokens, notes = {}, []
    for split, (path,) in files.items():
        tokens[split], said = _tokens(path, min_rating)
        notes += said
    return tokens, notes


def _tokens(path: Path, min_rating: float | None) -> tuple[Tokens, list[str]]:
    lines = read_lines(path)
    header = lines[0][1].split("\t", 1000) if lines else []
    names = [field.partition(":")[0] for field in header]
    kinds = {field.partition(":")[2] for field in header if field.partition(":")[0] in FIELDS}
    if any(names.count(field) != 1 for field in FIELDS) or not kinds <= {"token", ""}:
        raise DataError(
            f"{path}, line 1: got columns {quoted(header)}; expected user_id:token and item_id:token, tab-separated, "
            "among any others"
        )
    columns = dict(zip(names, read_columns(path, lines[1:], "\t", header), strict=True))
    places = [number for number, _ in lines[1:]]
    for field in FIELDS:
        if "" in columns[field]:
            raise DataError(
                f"{path}, line {places[columns[field].index('')]}: got no {field}; expected one in each line"
            )
    chosen, notes = chosen_lines(path, columns, places, min_rating)
    kept = np.flatnonzero(chosen)
    users, items = ([columns[field][row] for row in kept] for field in FIELDS)
    return Tokens(users, items, path, np.array(places, dtype=np.int64)[kept]), notes


def _pairs(folder: Path, own: Tokens) -> Pairs:
    for tokens, field in ((own.users, FIELDS[0]), (own.items, FIELDS[1])):
        if bad := next((token for token in tokens if not is_integer(token)), None):
            line = own.places[tokens.index(bad)]
            raise DataError(
                f"{own.file}, line {line}: got {field} {quoted(bad)}; expected whole numbers where files are read in "
                f"place; `mmkd import {folder.name} OUT` gives numbers to any tokens, and keeps them as ids"
            )
    places = own.places.tolist()
    users, items = (integers(tokens, own.file, places) for tokens in (own.users, own.items))
    return Pairs(users, items, own.file, own.places)
