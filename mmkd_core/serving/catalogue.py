"""An export in memory: what it takes to rank, in float32 and with NumPy alone."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from mmkd_core.datasets.ids import ids_for
from mmkd_core.exported import ARRAYS, current, read_files
from mmkd_core.files import IDS
from mmkd_core.fold_in import Folding, fold_in, learned
from mmkd_core.serving.names import Names

GROUP = 16


class Best(NamedTuple):
    """Items and their scores, the best first; equal scores in the order of the items' numbers."""

    items: Int64[np.ndarray, " place"]
    scores: Float32[np.ndarray, " place"]


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The tables of an export, the items' as columns: a product that runs along them takes four fifths of the time.

    `shorten` is 1 over the length of each item's row, 0 for a row of zeros.
    """

    users: Float32[np.ndarray, "user dim"]
    columns: Float32[np.ndarray, "dim item"]
    shorten: Float32[np.ndarray, " item"]
    seen_indptr: Int64[np.ndarray, " user_and_1"]
    seen_items: Int[np.ndarray, " edge"]
    user_names: Names
    item_names: Names
    card: dict[str, Any]

    @property
    def version(self) -> str:
        """What tells this export from another: the first digits of the sum of its tables."""
        return self.card["files"][ARRAYS][:16]

    @cached_property
    def folding(self) -> Folding | None:
        """How a row follows from choices, None where nobody has any: seconds for millions of them, when first asked."""
        if not len(self.seen_items):
            return None
        return learned(self.users, np.ascontiguousarray(self.columns.T), self.seen_indptr, self.seen_items)

    def seen(self, user: int) -> Int[np.ndarray, " seen"]:
        """The items of a user's training history."""
        return self.seen_items[self.seen_indptr[user] : self.seen_indptr[user + 1]]

    def for_user(self, user: int, k: int) -> Best:
        """The best `k` items for a user, without those of the history."""
        scores = self.users[user].dot(self.columns)
        scores[self.seen(user)] = -np.inf
        return top(scores, k)

    def for_items(self, chosen: Int64[np.ndarray, " item"], k: int, left_out: Any = ()) -> Best:
        """The best `k` items for somebody who chose these, without them and what is `left_out` (a mask or numbers)."""
        assert self.folding is not None
        bounds = np.array([0, len(chosen)])
        scores = fold_in(self.columns.T, bounds, chosen, self.folding)[0] @ self.columns
        scores[chosen] = -np.inf
        scores[left_out] = -np.inf
        return top(scores, k)

    def near(self, item: int, k: int) -> Best:
        """The `k` items whose rows have the largest cosine with an item's; 0 with a row of zeros."""
        scores = self.columns[:, item] * self.shorten[item] @ self.columns
        scores *= self.shorten
        scores[item] = -np.inf
        return top(scores, k)


def read_catalogue(folder: str | Path) -> Catalogue:
    """What serves of the export in a folder: one version, also where the next one comes while it is read.

    Raises `ValueError` as `read_export` and `ids_for` do, and for tables whose inner products may be no finite numbers.
    """
    folder = current(folder).resolve()
    users, items, indptr, seen, card = read_files(folder)
    users, columns = users.astype(np.float32, copy=False), np.ascontiguousarray(items.T, np.float32)
    lengths = _lengths(folder, users, columns)
    names = Names(range(len(users))), Names(range(len(items)))
    if IDS in card["files"]:
        ids = ids_for(folder / IDS, np.arange(len(users)), np.arange(len(items)))
        names = Names(ids.users.to_pylist()), Names(ids.items.to_pylist())
    shorten = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return Catalogue(users, columns, shorten, indptr, seen, *names, card)


def _lengths(folder: Path, users: np.ndarray, columns: np.ndarray) -> Float32[np.ndarray, " item"]:
    """The length of each item's row."""
    longest = np.sqrt(np.einsum("ud,ud->u", users, users, dtype=np.float64).max(initial=0))
    lengths = np.sqrt(np.einsum("di,di->i", columns, columns, dtype=np.float64))
    if not max(longest, lengths.max(initial=0)) * lengths.max(initial=0) < np.finfo(np.float32).max / 2:
        raise ValueError(
            f"{folder / ARRAYS}: holds NaN, infinity or numbers whose products are too large for float32; expected "
            "finite tables: export the record again"
        )
    return lengths.astype(np.float32)


def top(scores: Float[np.ndarray, " item"], k: int) -> Best:
    """The `k` largest scores, fewer where fewer are above -inf.

    The k-th largest of the maxima of groups is no more than the k-th largest score, so what is below it is in no list.
    """
    groups = len(scores) // GROUP
    if k <= groups:
        largest = scores[: groups * GROUP].reshape(GROUP, groups).max(axis=0)
        largest.partition(groups - k)
        items = (scores >= largest[groups - k]).nonzero()[0]
        scores = scores[items]
        order = (-scores).argsort(kind="stable")[:k]
        items, scores = items[order], scores[order]
    else:
        items = (-scores).argsort(kind="stable")[:k]
        scores = scores[items]
    if len(scores) and scores[-1] == -np.inf:
        there = int((scores > -np.inf).sum())
        items, scores = items[:there], scores[:there]
    return Best(items, scores)
