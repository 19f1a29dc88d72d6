"""Popularity and ItemKNN: nothing is trained, and every table shows them.

ItemKNN: Sarwar et al., WWW 2001; cosine between the items' columns of the train matrix with a shrinkage term, as in
Ferrari Dacrema et al., RecSys 2019: s(i, j) = |U_i and U_j| / (sqrt(|U_i| |U_j|) + shrink), the `neighbours` largest
per item. A user's score of item i is the sum of s(i, j) over the items j of the user's training set.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.models.base import Recommender
from mmkd_core.sparse import Graph


class Popularity(Recommender):
    """Each item's score is its number of training interactions, the same for all users."""

    title, citation = "Popularity", "dacrema2019progress"
    deterministic = True
    trained = False

    def __init__(self, data: Dataset) -> None:
        super().__init__(data)
        counts = torch.bincount(data.train[:, 1], minlength=data.num_items)
        self.register_buffer("counts", counts.float()[:, None], persistent=False)

    def embed(self) -> Embeddings:
        counts = self.get_buffer("counts")
        return Embeddings(counts.new_ones(self.num_users, 1), counts)


class Neighbourhood(NamedTuple):
    """Sparse stand-in for `Embeddings`: `users @ items.T` with the train matrix and the item similarity."""

    history: Graph
    similarity: Graph

    @property
    def device(self) -> torch.device:
        """Where both graphs are."""
        return self.history.crow.device

    def scores(self, users: Int[Tensor, " batch"]) -> Float[Tensor, "batch item"]:
        return (self.similarity @ self.history.dense_rows(users).T).T.contiguous()


class ItemKNN(Recommender):
    """Sum of the similarities between an item and the user's training items."""

    title, citation = "ItemKNN", "sarwar2001itemknn"
    deterministic = True
    trained = False

    def __init__(self, data: Dataset, *, neighbours: int = 20, shrink: float = 10.0) -> None:
        super().__init__(data)
        users, items = data.train.T
        shape = (data.num_users, data.num_items)
        self.history = Graph(users, items, torch.ones(len(users)), shape)
        rows, cols, values = _top_similar(data, neighbours, shrink)
        self.similarity = Graph(rows, cols, values, (data.num_items, data.num_items))

    def embed(self) -> Neighbourhood:
        return Neighbourhood(self.history, self.similarity)


def _top_similar(data: Dataset, neighbours: int, shrink: float) -> tuple[Tensor, Tensor, Tensor]:
    users, items = data.train.numpy().T
    matrix = sp.csr_array((np.ones(len(users)), (users, items)), shape=(data.num_users, data.num_items))
    common = (matrix.T @ matrix).tocoo()
    degree = np.bincount(items, minlength=data.num_items)
    off_diagonal = common.row != common.col
    row, col, both = common.row[off_diagonal], common.col[off_diagonal], common.data[off_diagonal]
    similarity = both / (np.sqrt(degree[row] * degree[col]) + shrink)
    order = np.lexsort((col, -similarity, row))  # by item, most similar first, ties by id
    row, col, similarity = row[order], col[order], similarity[order]
    start = np.searchsorted(row, np.arange(data.num_items))
    keep = np.arange(len(row)) - start[row] < neighbours
    return torch.from_numpy(row[keep]).long(), torch.from_numpy(col[keep]).long(), torch.from_numpy(similarity[keep])
