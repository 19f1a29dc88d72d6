"""Lists of large catalogues without scoring every item: faiss' inverted file, whose recall is measured, not hoped for.

Items are grouped by k-means; a user's list is made from the groups whose centres score highest for that user, and from
all groups it is the exact one. How many are read is not for the caller to guess: as few as find the share of the exact
lists' items that was asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.evaluation import Ranking, ScoreError, Scorer, check_cut_off, rank, seen_by
from mmkd_core.kernels import ranges

DRAWN = 1000  # users whose exact lists tell how many groups to read; those of as many others are what is reported
PER_GROUP = 40  # items, on average, at least: by fewer k-means places no centre well
GROUPS = 4  # times the square root of the items are groups at most, about as faiss' guide has it
ROUNDS, SAMPLED = 10, 64  # of k-means: its steps, and by how many items each centre is placed at most


class Measured(NamedTuple):
    """How good the lists are: the mean share of the exact list's items, over `users` by whom nothing was chosen."""

    recall: float
    users: int
    read: int
    groups: int

    def __str__(self) -> str:
        return (
            f"{self.recall:.4f} of the exact lists' items for {self.users:,} users, by {self.read:,} of "
            f"{self.groups:,} groups of items"
        )


class Approximate:
    """An index of `tables.items` without those at which `left_out` is True; `rank` is that of `evaluation` by it.

    After `tune` it reads as few groups of items as are needed. The groups are the same on every call.
    Raises `ValueError` where faiss is not installed, for a `Scorer` that is no pair of tables or lies on a GPU, and
    `ScoreError` for tables that are not finite.
    """

    def __init__(self, tables: Scorer, *, left_out: Bool[Tensor, " item"] | None = None) -> None:
        try:
            import faiss
        except ImportError:
            raise ValueError("approximate lists need faiss; pip install 'mmkd-book[faiss]'") from None
        if not isinstance(tables, Embeddings) or tables.device.type != "cpu":
            raise ValueError(
                f"approximate lists of {type(tables).__name__} on {tables.device}; expected two tables on the CPU, "
                "whose scores are inner products: leave --approximate out"
            )
        for name, table in zip(tables._fields, tables, strict=True):
            wrong = (~table.isfinite()).any(1).nonzero()[:, 0]
            if len(wrong):
                raise ScoreError(f"row {int(wrong[0])} of the {name}' table: got numbers that are not finite")
        self.tables, self.left_out = tables, left_out
        kept = torch.arange(len(tables.items)) if left_out is None else (~left_out).nonzero()[:, 0]
        rows = tables.items.detach()[kept].float().contiguous().numpy()
        self.groups = max(1, min(len(rows) // PER_GROUP, int(GROUPS * len(rows) ** 0.5)))
        faiss.omp_set_num_threads(torch.get_num_threads())
        self.index: Any = faiss.index_factory(rows.shape[1], f"IVF{self.groups},Flat", faiss.METRIC_INNER_PRODUCT)
        self.index.cp.niter, self.index.cp.max_points_per_centroid = ROUNDS, SAMPLED
        self.index.cp.min_points_per_centroid = 1  # a warning below that; the number of groups sees to it
        self.index.train(rows)
        self.index.add_with_ids(rows, kept.numpy())
        self.index.nprobe = self.groups

    def rank(
        self, users: Int[Tensor, " user"], data: Dataset, k: int, *, seen: Int[Tensor, "edge 2"] | None = None
    ) -> Ranking:
        """The best `k` items that the groups read hold for each of `users`, without those `seen`, as `rank` has them.

        A list may be shorter than the exact one; -1 fills it, with a score of minus infinity. Raises `ValueError` as
        `rank` does.
        """
        check_cut_off(k, data)
        seen = data.train if seen is None else seen
        seen = seen[seen[:, 0].argsort(stable=True)]
        owners = seen[:, 0].contiguous()
        first, last = torch.searchsorted(owners, users), torch.searchsorted(owners, users, right=True)
        items = torch.full((len(users), k), -1)
        scores = torch.full((len(users), k), -torch.inf)
        # As many places as the seen might take, up to the next power of two: users of like histories are asked at once.
        places = (2 ** (k + last - first).double().log2().ceil()).long()
        for width in places.unique().tolist():
            of = (places == width).nonzero()[:, 0]
            row, position = ranges(first[of], last[of])
            found, values = self._found(self.tables.users[users[of]], width)
            items[of], scores[of] = _without(found, values, row, seen[position, 1], data.num_items, k)
        return Ranking(items, scores)

    def tune(self, users: Int[Tensor, " user"], data: Dataset, k: int, recall: float) -> Measured:
        """Reads as few groups, a power of two, as find `recall` of the exact lists' items for users that are drawn.

        Returns what is found for others, drawn beside them; for the same where `users` are too few for two draws.
        """
        order = torch.randperm(len(users), generator=torch.Generator().manual_seed(0))[: 2 * DRAWN]
        halves = [users[part].sort().values for part in (order[::2], order[1::2])] if len(users) > 1 else [users] * 2
        seen = [seen_by(half, data) for half in halves]
        exact = [
            rank(self.tables, half, data, k, seen=own, left_out=self.left_out)
            for half, own in zip(halves, seen, strict=True)
        ]
        for read in [*(2**power for power in range(self.groups.bit_length()) if 2**power < self.groups), self.groups]:
            self.index.nprobe = read
            if share_found(self.rank(halves[0], data, k, seen=seen[0]), exact[0]) >= recall:
                break
        share = share_found(self.rank(halves[1], data, k, seen=seen[1]), exact[1])
        return Measured(share, len(halves[1]), self.index.nprobe, self.groups)

    def _found(self, rows: Float[Tensor, "user dim"], width: int) -> tuple[Tensor, Tensor]:
        """Items and scores, best first, -1 where the groups that are read hold no more."""
        values, found = self.index.search(np.ascontiguousarray(rows.detach().float().numpy()), width)
        return torch.from_numpy(found), torch.from_numpy(values)


def share_found(found: Ranking, exact: Ranking) -> float:
    """The mean over users of the share of an exact list's items that the other list has; empty lists are left out."""
    wanted = exact.items >= 0
    hit = (exact.items[:, :, None] == found.items[:, None, :]).any(2) & wanted
    some = wanted.any(1)
    return float((hit.sum(1)[some] / wanted.sum(1)[some]).mean()) if some.any() else 1.0


def _without(
    found: Int[Tensor, "user place"],
    values: Float[Tensor, "user place"],
    row: Int[Tensor, " edge"],
    item: Int[Tensor, " edge"],
    num_items: int,
    k: int,
) -> tuple[Tensor, Tensor]:
    """The first `k` of each row that are not among its seen items, `item` at `row`."""
    keys = found + num_items * torch.arange(len(found))[:, None]
    out = torch.isin(keys, num_items * row + item) | (found < 0)
    order = out.to(torch.uint8).argsort(dim=1, stable=True)[:, :k]  # what is out goes to the end
    gone = out.gather(1, order)
    return found.gather(1, order).masked_fill(gone, -1), values.gather(1, order).masked_fill(gone, -torch.inf)
