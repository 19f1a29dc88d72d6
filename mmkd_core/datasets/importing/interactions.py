"""The rows of a log as numbers, block by block, with an account of those that say nothing; and the steps on them.

50 million rows are three arrays here; of the log itself there is a block at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from mmkd_core.datasets.importing.logs import Log
from mmkd_core.datasets.importing.values import Values, ids_of, numbers_of, times_of
from mmkd_core.errors import DataError
from mmkd_core.settings import quoted

NAMED = 5  # rows that a fault names
READERS: dict[str, Callable[[Any, str], Values]] = {
    "user": ids_of,
    "item": ids_of,
    "rating": numbers_of,
    "time": times_of,
}


@dataclass
class Interactions:
    """Rows of users and items as numbers, and times in microseconds; `ids` has what the log calls each number."""

    users: Int32[np.ndarray, " edge"]
    items: Int32[np.ndarray, " edge"]
    times: Int64[np.ndarray, " edge"] | None
    ids: dict[str, Any]

    def only(self, kept: Bool[np.ndarray, " edge"] | Int64[np.ndarray, " kept"]) -> "Interactions":
        """The rows that the mask keeps, or these rows."""
        times = None if self.times is None else self.times[kept]
        return replace(self, users=self.users[kept], items=self.items[kept], times=times)

    def compact(self) -> "Interactions":
        """Users and items numbered from 0, those alone that occur, in the order in which the log names them."""
        import pyarrow as pa

        ids, numbers = {}, {}
        for what, codes in (("user", self.users), ("item", self.items)):
            there = np.bincount(codes, minlength=len(self.ids[what])) > 0
            numbers[what] = (np.cumsum(there, dtype=np.int32) - 1)[codes]
            ids[what] = self.ids[what].filter(pa.array(there))
        return Interactions(numbers["user"], numbers["item"], self.times, ids)

    def counts(self, after: str) -> dict[str, Any]:
        """How many interactions, users and items there are, for the card."""
        users, items = (int(np.count_nonzero(np.bincount(codes))) for codes in (self.users, self.items))
        return {"after": after, "interactions": len(self.users), "users": users, "items": items}

    def earliest(self) -> "Interactions":
        """Each pair of a user and an item once: where its time is the earliest or, of equal ones, where it is first."""
        from mmkd_core.datasets.assemble import repeated  # which needs torch, and reading a log does not

        rows = repeated(self.users, self.items)
        if self.times is not None:
            rows = rows[np.lexsort((self.times[rows], self.items[rows], self.users[rows]))]
        kept = np.ones(len(self.users), dtype=bool)
        kept[rows[1:][(np.diff(self.users[rows]) == 0) & (np.diff(self.items[rows]) == 0)]] = False
        return self.only(kept)


@dataclass
class Tally:
    """How many rows had which fault, and the first of them; a row counts for the first fault that it has."""

    log: Log
    rows: int = 0
    faults: dict[str, dict[str, Any]] = field(default_factory=dict)

    def kept(
        self, columns: Mapping[str, Any], values: Mapping[str, Values], min_rating: float | None
    ) -> Bool[np.ndarray, " row"]:
        """Which rows of a block have no fault; the others are added to the count."""
        kept = np.ones(len(next(iter(columns.values()))), dtype=bool)
        for what, read in values.items():
            self._add(f"no {what}", read.missing & kept)
            self._add(f"an unreadable {what}", read.unreadable & kept & ~read.missing, columns[what])
            kept &= ~(read.missing | read.unreadable)
        if "rating" in values:
            low = values["rating"].values < min_rating
            self._add(f"a rating below {min_rating:g}", low & kept)
            kept &= ~low
        self.rows += len(kept)
        return kept

    def _add(self, fault: str, rows: Bool[np.ndarray, " row"], shown: Any = None) -> None:
        if not rows.any():
            return
        told = self.faults.setdefault(fault, {"rows": 0, "first": []})
        for row in np.flatnonzero(rows)[: max(NAMED - told["rows"], 0)].tolist():
            value = "" if shown is None else f": {quoted(shown[row].as_py())}"
            told["first"].append(f"row {self.log.row(self.rows + row)}{value}")
        told["rows"] += int(rows.sum())

    def end(self) -> None:
        """Adds what the log's reader left out, and refuses a log of which nothing is left."""
        if ragged := self.log.ragged:
            told = {"rows": len(ragged), "first": [f"row {row}" for row in ragged[:NAMED]]}
            self.faults["more or fewer fields than the header"] = told
            self.rows += len(ragged)
        left = self.rows - sum(told["rows"] for told in self.faults.values())
        if not left:
            why = "; ".join(f"{told['rows']:,} with {fault}" for fault, told in self.faults.items())
            raise DataError(f"{self.log.path}: no row is left of {self.rows:,} ({why or 'the table is empty'})")


def columns_of(options: Mapping[str, Any]) -> dict[str, str]:
    """The columns of the user, the item, the rating and the time that `options` name.

    Raises `DataError` for one column that is to say two things, and for a rating without `min_rating` or the reverse.
    """
    named = {what: options.get(what) for what in ("user", "item", "rating", "time")}
    columns = {what: column for what, column in named.items() if column is not None}
    if len({*columns.values()}) < len(columns):
        raise DataError(f"got the columns {quoted([*columns.values()])} for what a row says; expected different ones")
    if (named["rating"] is None) != (options["min_rating"] is None):
        raise DataError(
            f"got rating={quoted(named['rating'])} and min_rating={options['min_rating']}; expected both "
            "(`--rating COLUMN --min-rating 4`), or neither, and then each row is a choice"
        )
    return columns


def read(path: Path, options: Mapping[str, Any], on_rows: Callable[[int], Any]) -> tuple[Interactions, Tally]:
    """The rows of the log at `path` without a fault, by the columns of `options`, their `min_rating`, and for a text
    the names of all its `columns` and the `separator` of its fields, each None where it is not given.
    """
    columns, min_rating = columns_of(options), options["min_rating"]
    names = None if options["columns"] is None else [name.strip() for name in options["columns"].split(",")]
    ids, numbers = [columns["user"], columns["item"]], [*columns.values()][2:]
    log = Log(path, ids, numbers, names=names, separator=options["separator"])
    import pyarrow as pa

    tally = Tally(log)
    parts: dict[str, list[Any]] = {"user": [], "item": [], "time": []}
    for block in log.blocks():
        own = {what: block[column] for what, column in columns.items()}
        try:
            values = {what: READERS[what](column, columns[what]) for what, column in own.items()}
        except ValueError as error:  # pyarrow's are ValueErrors, too
            raise DataError(f"{log.path}, after row {tally.rows}: {error}") from error
        kept = tally.kept(own, values, min_rating)
        for what in ("user", "item"):
            parts[what].append(values[what].values.filter(pa.array(kept)).dictionary_encode())
        if "time" in values:
            parts["time"].append(values["time"].values[kept])
        on_rows(len(kept))
    tally.end()
    codes, ids = {}, {}
    for what in ("user", "item"):
        coded = pa.chunked_array(parts.pop(what)).unify_dictionaries()
        ids[what] = coded.chunk(0).dictionary
        codes[what] = np.concatenate([chunk.indices.to_numpy() for chunk in coded.chunks])
    times = np.concatenate(parts["time"]) if parts["time"] else None
    return Interactions(codes["user"], codes["item"], times, ids), tally
