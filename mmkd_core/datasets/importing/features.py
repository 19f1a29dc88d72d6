"""Features of items as others have them, by the caller's ids: made to rows in the order of the items of a log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from mmkd_core.data import DataError
from mmkd_core.datasets.features import open_npy, problem_of
from mmkd_core.datasets.files import opened, visible
from mmkd_core.datasets.importing.logs import explained, import_pyarrow
from mmkd_core.datasets.importing.texts import text_of
from mmkd_core.datasets.importing.values import compute, ids_of, numbers_of
from mmkd_core.datasets.text import read_text
from mmkd_core.settings import quoted

IDS_TEXT = "ids.txt"  # one id a line, for every .npy that has no `<its stem>.ids.txt`
Rows = tuple[Any, np.ndarray]  # ids as texts, and a row of numbers for each


@dataclass
class Features:
    """A table for each modality, what the card tells of it, and sentences on what was seen and not read."""

    tables: dict[str, Float32[np.ndarray, "item feat"]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_read: list[str] = field(default_factory=list)


def aligned(folder: Path, item: str, items: Any) -> Features:
    """The features in `folder` as float32 tables with a row for each of `items` (ids as texts), zero where it has none.

    A modality is a file: `<modality>.npy` with its ids in `<modality>.ids.txt` or the common ids.txt, one a line; or
    `<modality>.parquet` or `.csv` with a column `item` of ids, all others being numbers or lists of numbers.

    Raises `DataError` naming the file for one of another form or length, an id that stands twice, NaN or infinity, a
    file that has no row of any item; and for a folder without features.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one of features")
    found, readable = Features(), [path for path in visible(folder, "*") if path.suffix in READERS]
    if not readable:
        raise DataError(f"{folder}: got no features; expected <modality>.npy with {IDS_TEXT}, .parquet or .csv")
    for path in readable:
        modality = path.stem.removesuffix("_feat")
        if modality in found.tables:
            raise DataError(f"{path}: got a second file of {quoted(modality)}; expected one file a modality")
        ids, rows = READERS[path.suffix](path, item)
        found.tables[modality], found.told[modality] = _in_order(path, ids, rows, items)
    others = [path.name for path in visible(folder, "*") if path not in readable and not path.name.endswith(IDS_TEXT)]
    found.not_read = [f"{folder.name}: seen and not read: {quoted(others)}"] if others else []
    return found


def _in_order(path: Path, ids: Any, rows: np.ndarray, items: Any) -> tuple[np.ndarray, dict[str, Any]]:
    if len(ids) != len(rows):
        raise DataError(f"{path}: got {len(rows):,} rows and {len(ids):,} ids; expected an id for each row")
    codes = ids.dictionary_encode().indices.to_numpy()
    first = np.unique(codes, return_index=True)[1]
    if len(first) < len(ids):
        again = int(np.setdiff1d(np.arange(len(ids)), first)[0])
        raise DataError(f"{path}, row {again + 1}: the id {quoted(ids[again].as_py())} stands twice; expected it once")
    places = compute().index_in(items, value_set=ids)
    has = ~places.is_null().to_numpy(zero_copy_only=False)
    if not has.any():
        raise DataError(
            f"{path}: none of its ids, {quoted(ids[:3].to_pylist())} and so on, is one of the log's {len(items):,} "
            f"items, {quoted(items[:3].to_pylist())} and so on; expected the ids of the log"
        )
    where = places.drop_null().to_numpy()
    with np.errstate(over="ignore"):
        values = np.asarray(rows[where], dtype=np.float32)  # what this cannot hold becomes infinity
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(where[np.flatnonzero(~finite)[0]])
        raise DataError(f"{path}, row {row + 1} (item {quoted(ids[row].as_py())}): holds NaN or infinity, or nothing")
    table = np.zeros((len(items), rows.shape[1]), dtype=np.float32)
    table[has] = values
    told = {"file": path.name, "width": rows.shape[1], "none": int((~has).sum()), "unknown": len(ids) - int(has.sum())}
    return table, told


def _npy(path: Path, _: str) -> Rows:
    import pyarrow as pa

    named = [path.with_name(name) for name in (f"{path.stem}.{IDS_TEXT}", IDS_TEXT)]
    file = next((file for file in named if file.exists()), None)
    if file is None:
        raise DataError(f"{path}: got no ids; expected {named[0].name} or {IDS_TEXT} beside it, one id a line")
    lines = read_text(file).removesuffix("\n").split("\n")
    if "" in lines:
        raise DataError(f"{file}, line {lines.index('') + 1}: is empty; expected an id on each line")
    array = open_npy(path)
    if problem := problem_of(array, named=True):
        raise DataError(f"{path}: {problem}")
    return pa.array(lines, pa.string()), array


def _csv(path: Path, item: str) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    convert = csv.ConvertOptions(column_types={item: pa.string()})
    with text_of(path) as text:
        return csv.read_csv(text, csv.ReadOptions(use_threads=False), convert_options=convert)


def _parquet(path: Path, _: str) -> Any:
    with opened(path) as file:
        return file.read(use_threads=False)


def _table(read: Callable[[Path, str], Any]) -> Callable[[Path, str], Rows]:
    """A reader of ids and rows of what `read` gives as a table of pyarrow."""

    def rows_of(path: Path, item: str) -> Rows:
        import_pyarrow(path)
        with explained(path):
            table = read(path, item)
        names = table.column_names
        if names.count(item) != 1 or len(names) < 2 or not len(table):
            raise DataError(
                f"{path}: got the columns {quoted(names)} and {len(table):,} rows; expected {quoted(item)} once, as in "
                "the log, columns of numbers, and some rows"
            )
        columns = {name: table.column(name).combine_chunks() for name in names}
        try:
            ids = ids_of(columns.pop(item), item)
            blocks = [_numbers(column, name) for name, column in columns.items()]
        except ValueError as error:
            raise DataError(f"{path}: {error}") from error
        if (bad := np.flatnonzero(ids.missing | ids.unreadable)).size:
            raise DataError(f"{path}, row {bad[0] + 1}: got no id in {quoted(item)}; expected one in each row")
        return ids.values, np.concatenate(blocks, axis=1)

    return rows_of


def _numbers(column: Any, name: str) -> np.ndarray:
    """A column of numbers or of lists of them as a matrix; what is no number is NaN, which is refused by row."""
    import pyarrow as pa

    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return numbers_of(column, name).values[:, None]
    values = numbers_of(column.flatten(), name).values
    if column.null_count or len({*column.value_lengths().to_pylist()} - {None}) != 1:
        raise DataError(f"the column {quoted(name)} has lists of different lengths, or none; expected one length")
    return values.reshape(len(column), -1)


READERS: dict[str, Callable[[Path, str], Rows]] = {".npy": _npy, ".csv": _table(_csv), ".parquet": _table(_parquet)}
