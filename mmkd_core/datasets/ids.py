"""The caller's own ids of users and items: the file `ids.parquet` in a folder of data, and in an export.

A row of it says which id a number stands for: `kind` is "user" or "item", `number` a whole number, `id` a text or a
whole number. pyarrow is imported when ids are read or written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from mmkd_core.datasets.files import opened
from mmkd_core.errors import DataError
from mmkd_core.settings import WHOLE, quoted

if TYPE_CHECKING:
    from mmkd_core.data import Dataset

COLUMNS = ("kind", "number", "id")


class Ids(NamedTuple):
    """The id of each user and of each item in the order of their numbers: Arrow arrays of texts or of whole numbers."""

    users: Any
    items: Any


def read_ids(path: Path, data: Dataset) -> Ids:
    """The ids in a file of the users and items of `data`; where these were renumbered, by their numbers in the files.

    Raises `DataError` as `ids_for` does.
    """
    sizes = ((data.num_users, data.user_ids), (data.num_items, data.item_ids))
    return ids_for(path, *(np.arange(count) if own is None else own.numpy() for count, own in sizes))


def ids_for(path: Path, users: Int64[np.ndarray, " user"], items: Int64[np.ndarray, " item"]) -> Ids:
    """The ids in a file of the users and items that have these numbers in it, which are ascending.

    Raises `DataError` naming the file: one that cannot be read or has other columns, a user or an item without an id or
    with two, an id that stands for two.
    """
    with opened(path, "ids") as file:
        names = file.schema_arrow.names
        if sorted(names) != sorted(COLUMNS):
            raise DataError(f"{path}: got columns {quoted(names)}; expected {list(COLUMNS)}, in any order")
        table = file.read(list(COLUMNS), use_threads=False)
    _check_columns(path, table)
    return Ids(_of(path, table, "user", users), _of(path, table, "item", items))


def renumbered_ids(data: Dataset) -> Ids | None:
    """The numbers that users and items had in the files, where they were renumbered; else None.

    Raises `DataError` where pyarrow is not installed.
    """
    if data.user_ids is None or data.item_ids is None:
        return None
    try:
        import pyarrow as pa
    except ImportError:
        raise DataError(f"{data.name}: the ids of its files need pyarrow; pip install 'mmkd-book[parquet]'") from None
    return Ids(pa.array(data.user_ids.numpy()), pa.array(data.item_ids.numpy()))


def write_ids(path: Path, ids: Ids) -> None:
    """Writes `ids` as `read_ids` reads them, as texts if one of the two kinds is of texts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [pa.string() if ids.users.type != ids.items.type else ids.users.type] * 2
    columns = {
        "kind": pa.concat_arrays([pa.repeat("user", len(ids.users)), pa.repeat("item", len(ids.items))]),
        "number": np.concatenate([np.arange(len(own)) for own in ids]),
        "id": pa.chunked_array([own.cast(kind) for own, kind in zip(ids, kinds, strict=True)]),
    }
    pq.write_table(pa.table(columns), path)


def numbers_of(texts: Sequence[str], ids: Any | None, size: int) -> Int64[np.ndarray, " text"]:
    """The number that each text stands for, or -1: the place of an id where there are `ids`, else one below `size`."""
    if ids is None:
        numbers = (int(text) if WHOLE.fullmatch(text) else -1 for text in texts)
        return np.array([number if 0 <= number < size else -1 for number in numbers], np.int64)
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.call_function("index_in", [pa.array(texts, pa.string())], pc.SetLookupOptions(ids.cast(pa.string())))
    return places.fill_null(-1).to_numpy().astype(np.int64)


def _check_columns(path: Path, table: Any) -> None:
    import pyarrow as pa

    def is_text(kind: Any) -> bool:
        return pa.types.is_string(kind) or pa.types.is_large_string(kind)

    fits = {
        "kind": (is_text, "texts"),
        "number": (pa.types.is_signed_integer, "whole numbers"),
        "id": (lambda kind: is_text(kind) or pa.types.is_integer(kind), "texts or whole numbers"),
    }
    for name, (fit, expected) in fits.items():
        column = table.column(name)
        if not fit(column.type):
            raise DataError(f"{path}: the column {name!r} is of type {quoted(str(column.type))}; expected {expected}")
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise DataError(f"{path}, row {row}: the column {name!r} has no value there; expected {expected}")


def _of(path: Path, table: Any, kind: str, wanted: Int64[np.ndarray, " own"]) -> Any:
    """The ids of a kind for the `wanted` numbers, which are ascending.

    Arrow's own buffers are read: its ways from and to NumPy import pandas where it is installed, which a service that
    starts need not wait for.
    """
    import pyarrow as pa

    rows = table.filter(_equal(table.column("kind"), kind))
    numbers = np.from_dlpack(rows.column("number").cast(pa.int64()).combine_chunks())
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    if len(twice := ordered[1:][ordered[1:] == ordered[:-1]]):
        raise DataError(f"{path}: {kind} {twice[0]} has two ids; expected one each")
    lacking = np.setdiff1d(wanted, ordered, assume_unique=True)
    if len(lacking):
        raise DataError(f"{path}: no id of {kind} {lacking[0]}; expected one for each of the {len(wanted):,} {kind}s")
    taken = np.ascontiguousarray(order[np.searchsorted(ordered, wanted)], np.int64)
    places = pa.Array.from_buffers(pa.int64(), len(taken), [None, pa.py_buffer(taken)])
    ids = rows.column("id").combine_chunks().take(places)
    values, counts = ids.value_counts().flatten()
    if len(values) < len(ids):
        shared = values[int(counts.to_numpy().argmax())].as_py()
        raise DataError(f"{path}: the id {quoted(shared)} stands for two {kind}s; expected one each")
    return ids


def _equal(column: Any, text: str) -> Any:
    """Which rows of a column of texts hold this one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    bounds = np.array([0, len(text)], np.int32)
    (one,) = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(bounds), pa.py_buffer(text.encode())])
    return pc.call_function("equal", [column, one])
