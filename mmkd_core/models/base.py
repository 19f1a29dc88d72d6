"""The one protocol of all models: `embed()` and `loss(batch)`; `refresh()` and `monitor()` for those that need them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core import losses, memory, settings
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.evaluation import Ranking, Scorer, checked_users, rank
from mmkd_core.graph import AtRows
from mmkd_core.kernels import own_scores
from mmkd_core.layers import embedding


def rows_of(table: Float[Tensor, "rows dim"], ids: Tensor) -> Tensor:
    """The rows of a table that `ids`, of any shape, name; the backward pass is much faster than that of indexing."""
    return F.embedding(ids, table)


def nodes_of(batch: Batch, num_users: int) -> Int[Tensor, "batch row"]:
    """Each row's user, positive and negatives as nodes of the stack of users and items."""
    return torch.cat([batch.users[:, None], num_users + batch.lists], dim=1)


def scores_of(rows: Float[Tensor, "batch row dim"]) -> Float[Tensor, "batch list"]:
    """Inner products of each user, the first row, with its list, the others."""
    user, items = rows.split([1, rows.shape[1] - 1], dim=1)
    return own_scores(user.squeeze(1), items)


def infonce(
    scores: Float[Tensor, " batch"], others: Float[Tensor, " anchor"], row: Int[Tensor, " batch"], weight: float = 1.0
) -> Float[Tensor, ""]:
    """`weight` times the mean of InfoNCE over the pairs of a batch, whose anchors share their candidates.

    `scores` are the pairs' own, `others` the `losses.log_sum_exp` of each anchor's candidates, both divided by the
    temperature; `row` is the anchor of a pair.
    """
    values = F.softplus(rows_of(others[:, None], row).squeeze(1) - scores)
    return values.mean() if weight == 1 else values.sum() * (weight / len(values))


def row_l2(table: Float[Tensor, "node dim"], num_users: int, batch: Batch, weight: float) -> dict[str, Tensor]:
    """The term "l2": `weight` x 1/2 squared norm of the rows of the batch's (user, positive, first negative) / batch.

    `table` stacks users and items. Empty when the weight is zero. LightGCN regularises layer-0 rows in this way.
    """
    if not weight:
        return {}
    items = num_users + torch.stack([batch.pos, batch.neg[:, 0]])
    rows = rows_of(table, torch.cat([batch.users[None], items]))  # (3, batch, dim)
    return {"l2": weight * losses.l2(rows)}


class Recommender(nn.Module):
    """Base of all models. A model's keyword arguments are its settings; `negatives` is what a batch must hold."""

    title: str  # what tables call it
    citation: str  # its key in book/references.bib
    reads_content: bool = False
    deterministic: bool = False  # the same with every seed
    trained: bool = True  # False where nothing is
    teachers: tuple[str, ...] = ()  # the models that it learns from, as they are planned unless others are given
    any_teacher: bool = False  # whether others may be of another kind
    negatives: int = 1
    candidates: int = 0  # items that all rows of a batch share
    joint: bool = False  # its loss compares the rows of a batch with each other
    distinct: tuple[str, ...] = ()  # fields of a batch whose distinct ids it asks for
    squares: int = 0  # matrices of dim x dim that it trains, at least
    usual_fit: Mapping[str, Any] = {}  # how it is trained where no file says it, beside `FitConfig`
    settings: dict[str, Any]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        """Checks the settings before anything is allocated; raises `ValueError` as `settings.checked` does.

        `build` has checked them already, but the classes are public. All of them are then `.settings`, by which a
        checkpoint knows its model. `copy` and `pickle` call it without arguments.
        """
        described = settings.of_model(cls)
        chosen = {name: value for name, value in keywords.items() if name in described}
        chosen = settings.checked(chosen, described, cls.__name__)
        for data in (part for part in (*arguments, keywords.get("data")) if isinstance(part, Dataset)):
            memory.check_sizes(chosen, data, cls.__name__, squares=cls.squares)
        model = super().__new__(cls)
        model.settings = {name: setting.default for name, setting in described.items()} | chosen
        return model

    def __init__(self, data: Dataset) -> None:
        super().__init__()
        self.num_users, self.num_items = data.num_users, data.num_items

    def embed(self) -> Scorer:
        """The tables that serve: `Embeddings(users, items)` but for ItemKNN."""
        raise NotImplementedError

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms by name; training minimises their sum."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self.loss(batch)

    def split(self, nodes: Float[Tensor, "node dim"]) -> Embeddings:
        """The stack of users and items as a pair of tables."""
        return Embeddings(*nodes.split([self.num_users, self.num_items]))

    def refresh(self) -> None:
        """Brings cached values up to date: called before each epoch and after the best state is restored."""

    def monitor(self, score: Callable[[Scorer], float]) -> dict[str, float]:
        """Values worth a line in the history at each evaluation; `score` gives tables' validation Recall."""
        return {}


@torch.no_grad()
def recommend(model: Recommender, users: Sequence[int] | Int[Tensor, " user"], data: Dataset, k: int) -> Ranking:
    """The best `k` items for each of `users`, ids of `data`, without those that the user has in training.

    The model serves as in evaluation mode, and is left in the mode that it is in. Raises `ValueError` for what is no
    user of `data`, and as `rank` does.
    """
    ids = checked_users(users, data)
    training = model.training
    try:
        tables = model.eval().embed()
    finally:
        model.train(training)
    return rank(tables, ids.to(tables.device), data, k)


class IdModel(Recommender):
    """A model whose own table holds one row per user and per item, trained with BPR and L2 of the rows it uses."""

    def __init__(self, data: Dataset, *, dim: int, l2: float) -> None:
        super().__init__(data)
        self.l2 = l2
        self.nodes = embedding(data.num_users + data.num_items, dim)  # users first

    def embed(self) -> Embeddings:
        raise NotImplementedError

    def at(self, nodes: Int[Tensor, "batch row"]) -> AtRows:
        """Rows of the tables that serve and of the model's own; `nodes` holds a user in column 0, then items.

        A model that need not compute whole tables for these rows says how.
        """
        tables = self.embed()
        users, items = nodes.split([1, nodes.shape[1] - 1], dim=1)
        served = [rows_of(tables.users, users), rows_of(tables.items, items - self.num_users)]
        return AtRows(torch.cat(served, dim=1), rows_of(self.nodes.weight, nodes))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        nodes = nodes_of(batch, self.num_users)
        served, ids = self.at(nodes)
        terms = {"bpr": losses.list_bpr(scores_of(served))}
        return terms | ({"l2": self.l2 * losses.l2(ids[:, :3].transpose(0, 1))} if self.l2 else {})
