"""From what is read out of files to a `Dataset`; what is wrong is named by file and line, not by tensor row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int, Int64
from torch import Tensor

from mmkd_core.data import SPLITS, DataError, Dataset
from mmkd_core.memory import of_machine
from mmkd_core.settings import quoted

ID_BYTES = 4 * 64  # what every model keeps of a user or an item: 64 numbers in float32
COMPACT = "compact=True (`mmkd data check --compact`, `mmkd run --set data.compact=True`)"
DROP = "overlap='drop' (`mmkd run --set data.overlap=drop`)"


@dataclass(frozen=True)
class Pairs:
    """(user, item) pairs of one split, and where in `file` each stands: `unit` ("line", "row", "user") and number.

    Ids are int64, or int32 where a reader of many pairs found that they fit.
    """

    users: Int[np.ndarray, " edge"]
    items: Int[np.ndarray, " edge"]
    file: Path
    places: Sequence[int] | np.ndarray
    unit: str = "line"

    def where(self, row: int) -> str:
        return f"{self.file}, {self.unit} {quoted(int(self.places[row]))}"

    def only(self, kept: Bool[np.ndarray, " edge"] | Int64[np.ndarray, " kept"] | list[int]) -> Self:
        """The pairs that the mask keeps, or those of these rows."""
        return replace(self, users=self.users[kept], items=self.items[kept], places=np.asarray(self.places)[kept])


Splits = Mapping[str, Pairs]


class Content(NamedTuple):
    """What a reader finds: `splits` (train, val, test), `features`, the file of each modality and notes on all of it.

    `shape` is (num_users, num_items) where the files state it; else users are counted by the largest id, items by
    the rows of the features or, without any, by the largest id. `renumbered` says that the layout numbers users and
    items by the rank of their ids, and that the rows of the features are already in that order.
    """

    splits: Splits
    features: Mapping[str, Float32[Tensor, "item feat"]]
    files: Mapping[str, Path]
    notes: Sequence[str] = ()
    shape: tuple[int, int] | None = None
    renumbered: bool = False


def assemble(name: str, content: Content, *, overlap: str = "error", compact: bool = False) -> Dataset:
    """The `Dataset` of a reader's `content`, with notes on users and items without interactions and pairs left out.

    `overlap`: "drop" keeps a pair that stands more than once where it stands first, in the order train, val, test;
    "error" refuses it. `compact` leaves out the users and items without any interaction and renumbers the others.

    Raises `DataError` with file and line or entry for an id out of range, for a pair that stands twice, in one split or
    in two, for ids whose tables this machine cannot hold, and whatever `Dataset` refuses.
    """
    splits, features, files, notes, shape, renumbered = content
    if not len(splits["train"].users):
        raise DataError(f"{name}, train ({splits['train'].file}): no training interaction; expected at least one")
    num_users, num_items = shape or _count(name, content)
    by = f" (one row an item in {', '.join(path.name for path in files.values())})" if files else ""
    for split in SPLITS:
        _check_range(splits[split], "user", splits[split].users, num_users)
        _check_range(splits[split], "item", splits[split].items, num_items, by)
    splits, dropped = _once(splits, overlap)
    users, items = occurring(splits)
    ids: dict[str, Tensor] = {}
    if compact or renumbered:
        splits = {
            split: replace(pairs, users=np.searchsorted(users, pairs.users), items=np.searchsorted(items, pairs.items))
            for split, pairs in splits.items()
        }
        ids = {"user_ids": torch.from_numpy(users), "item_ids": torch.from_numpy(items)}
        features = features if renumbered else {modality: x[ids["item_ids"]] for modality, x in features.items()}
        num_users, num_items = len(users), len(items)
    _check_memory(name, num_users, num_items)
    holes = []
    if (len(users), len(items)) != (num_users, num_items):
        missing = f"{num_users - len(users):,} of {num_users:,} users and {num_items - len(items):,} of {num_items:,}"
        holes.append(
            f"{name}: {missing} items have no interaction in any split; such items are drawn as negatives and ranked "
            f"like the others; {COMPACT} leaves them out and renumbers"
        )
    edges = {split: torch.from_numpy(np.stack([splits[split].users, splits[split].items], axis=1)) for split in SPLITS}
    sources = {split: str(splits[split].file) for split in SPLITS}
    sources |= {modality: str(path) for modality, path in files.items()}
    said = (*notes, *dropped, *holes)
    return Dataset(name, num_users, num_items, **edges, features=dict(features), sources=sources, notes=said, **ids)


def _count(name: str, content: Content) -> tuple[int, int]:
    num_users, num_items = counted(content.splits)
    if content.renumbered or not content.features:
        return num_users, num_items
    rows = {str(content.files[modality]): len(x) for modality, x in content.features.items()}
    if len(set(rows.values())) > 1:
        raise DataError(f"{name}: got rows {rows}; expected one row an item, so as many in each file")
    return num_users, next(iter(rows.values()))


def counted(splits: Splits) -> tuple[int, int]:
    """1 + the largest id of the users and of the items, 0 where there is none."""
    users, items = (max((1 + int(ids.max()) for ids in axis if len(ids)), default=0) for axis in _axes(splits))
    return users, items


def occurring(splits: Splits) -> tuple[Int64[np.ndarray, " user"], Int64[np.ndarray, " item"]]:
    """The ids of the users and of the items that occur in any split, each once, ascending."""
    users, items = (_distinct(np.concatenate([_distinct(ids) for ids in axis])) for axis in _axes(splits))
    return users, items


def _distinct(ids: Int[np.ndarray, " edge"]) -> Int64[np.ndarray, " distinct"]:
    """What `np.unique` gives, by a sort: numpy's table of hashes takes ten times as long."""
    ascending = np.sort(ids)
    return ascending[np.append(True, ascending[1:] != ascending[:-1])[: len(ids)]].astype(np.int64)


def _axes(splits: Splits) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The users of train, val and test, and the items."""
    return [splits[split].users for split in SPLITS], [splits[split].items for split in SPLITS]


def _check_range(pairs: Pairs, what: str, ids: np.ndarray, size: int, by: str = "") -> None:
    bad = np.flatnonzero((ids < 0) | (ids >= size))
    if len(bad):
        row = int(bad[0])
        expected = f"expected 0 to {size - 1}{by}" if size else "expected 0 or more"
        raise DataError(f"{pairs.where(row)}: {what} id {ids[row]} is out of range; {expected}")


def _once(splits: Splits, overlap: str) -> tuple[Splits, list[str]]:
    """Each pair where it stands first, and a note on those left out."""
    users, items = map(np.concatenate, _axes(splits))
    order = repeated(users, items)
    twice = np.flatnonzero((np.diff(users[order]) == 0) & (np.diff(items[order]) == 0))
    if not len(twice):
        return splits, []
    if overlap == "error":
        places = [(split, row) for split in SPLITS for row in range(len(splits[split].users))]
        (first, row), (second, again) = (places[order[twice[0] + step]] for step in (0, 1))
        raise DataError(
            f"{splits[second].where(again)}: user {users[order[twice[0]]]}, item {items[order[twice[0]]]} ({second}) "
            f"is also in {splits[first].where(row)} ({first}); expected each pair once, in one split alone; {DROP} "
            "keeps the first of train, validation, test"
        )
    kept = np.ones(len(users), dtype=bool)
    kept[order[twice + 1]] = False
    ends = np.cumsum([len(splits[split].users) for split in SPLITS])
    masks = dict(zip(SPLITS, np.split(kept, ends[:-1]), strict=True))
    counts = ", ".join(f"{(~mask).sum():,} of {len(mask):,} pairs of {split}" for split, mask in masks.items())
    return {split: splits[split].only(mask) for split, mask in masks.items()}, [
        f"{splits['train'].file.parent}: overlap='drop' left out {counts}: they stand in an earlier split or line"
    ]


def repeated(users: Int[np.ndarray, " edge"], items: Int[np.ndarray, " edge"]) -> Int64[np.ndarray, " row"]:
    """The rows of the pairs that stand more than once, by user and item, those of one pair in the order of the files.

    All rows where 64 bits cannot number the pairs. Else numbers are sorted, which is quick and needs no order of rows.
    """
    width = 1 + int(items.max())
    if (1 + int(users.max())) * width < 2**63:
        keys = users.astype(np.int64)
        keys *= width
        keys += items
        ascending = np.sort(keys)
        again = np.unique(ascending[1:][ascending[1:] == ascending[:-1]])
        del ascending
        rows = np.flatnonzero(np.isin(keys, again)) if len(again) else np.empty(0, dtype=np.int64)
    else:
        rows = np.arange(len(users))
    return rows[np.lexsort((items[rows], users[rows]))]  # stable: the earlier split comes first


def _check_memory(name: str, num_users: int, num_items: int) -> None:
    """Refuses more users and items than this machine can keep a row of numbers for."""
    memory = of_machine()
    needed = (num_users + num_items) * ID_BYTES
    if needed > memory:
        raise DataError(
            f"{name}: got ids for {num_users:,} users and {num_items:,} items; tables of 64 numbers each would take "
            f"{needed / 1e9:,.0f} GB, and this machine has {memory / 1e9:,.0f} GB, enough for {memory // ID_BYTES:,} "
            f"users and items; {COMPACT} numbers those that occur from 0"
        )
