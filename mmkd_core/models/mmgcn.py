"""MMGCN: Wei et al., Multi-modal Graph Convolution Network for Personalized Recommendation of Micro-video, ACM MM 2019.

In each modality m, over the graph of users and items (W and b are a layer's own in each modality, sigma is LeakyReLU):

    x^(0)   = p_u^m for a user, X_i^m W^m + b^m for an item, each scaled to unit length
    h       = sigma(mean over neighbours of x^(l) W_1)                                     aggregation
    xhat    = sigma(x^(l) W_2 + b_2) + e               e: the ID embedding, shared by all modalities
    x^(l+1) = sigma([h | xhat] W_3 + b_3)                                                  combination
    E       = sum over m of x^(L)                      L = BPR(E) + l2 term of e and p

Differs from the paper: 1. Raw features are standardised and projected to `latent` columns in every modality. 2. The
rows of x^(0) have unit length and 3. W_2 and W_3 have biases, both as in the public code. 4. L2 takes the batch's rows
of e and p, not all parameters. 5. Mean aggregation and the combination by concatenation are the only ones.
Differs from the public code: 1. e and p are trained; there neither is registered, so both stay at their random start.
2. Every modality is projected; there one is, to 256, and the others enter at their raw width. 3. The number of layers
is a setting. 4. The sum over the modalities, as in the paper, not the mean. 5. Serves the tables of the current
weights, not those of the last training step.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import both_directions, neighbour_mean
from mmkd_core.kernels import affine_each
from mmkd_core.layers import Features, Linear, embedding, unit_rows
from mmkd_core.models.base import IdModel, row_l2, rows_of, scores_of
from mmkd_core.sparse import Graph


class Layer(nn.Module):
    """The weights of one layer of one modality: aggregation and combination."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.aggregate = nn.Linear(width, width, bias=False)
        self.own = nn.Linear(width, dim)
        self.combine = nn.Linear(width + dim, dim)


def combined(
    layers: Sequence[Layer],
    means: Float[Tensor, "modality row width"],
    x: Float[Tensor, "modality row width"],
    ids: Float[Tensor, "row dim"],
) -> Float[Tensor, "modality row dim"]:
    """x^(l+1) of each modality, whose layers stand in order; rows of the three tables belong to the same nodes."""
    aggregate = torch.stack([layer.aggregate.weight for layer in layers])
    own, combine = (_stacked([getattr(layer, name) for layer in layers]) for name in ("own", "combine"))
    h = F.leaky_relu(affine_each(means, aggregate), inplace=True)  # the mean of the products is the product of the mean
    xhat = F.leaky_relu(affine_each(x, *own), inplace=True) + ids
    left, right = combine[0].split([h.shape[2], xhat.shape[2]], dim=2)  # spares [h | xhat]
    return F.leaky_relu(affine_each(h, left, affine_each(xhat, right, combine[1])), inplace=True)


def _stacked(linears: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """Weights, (modality, dim, width), and biases, (modality, dim)."""
    weights, biases = (torch.stack([getattr(linear, name) for linear in linears]) for name in ("weight", "bias"))
    return weights, biases


class Branch(nn.Module):
    """One modality: the projection of its features and its layers."""

    def __init__(self, width: int, latent: int, dim: int, layers: int) -> None:
        super().__init__()
        self.project = Linear(width, latent)
        self.layers = nn.ModuleList(Layer(dim if index else latent, dim) for index in range(layers))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self,
        preferences: Float[Tensor, "user latent"],
        features: Float[Tensor, "item feat"],
        ids: Float[Tensor, "node dim"],
        graph: Graph,
        rows: Int[Tensor, " row"] | None,
    ) -> Float[Tensor, "row dim"]:
        """x^(L) of the nodes named by `rows`, or of all."""
        return propagated([self], preferences, [features], ids, graph, rows)[0]


def propagated(
    branches: Sequence[Branch],
    preferences: Float[Tensor, "user feat"],
    features: Sequence[Tensor],
    ids: Float[Tensor, "node dim"],
    graph: Graph,
    rows: Int[Tensor, " row"] | None,
) -> Float[Tensor, "modality row dim"]:
    """x^(L) of each modality, of the nodes named by `rows` or of all: the last layer is done for these alone.

    One product passes the rows of all modalities, side by side, through the graph.
    """
    count = len(branches)
    projected = [branch.project(x) for branch, x in zip(branches, features, strict=True)]
    nodes = torch.cat([preferences, torch.cat(projected, dim=1)])
    x = unit_rows(nodes.unflatten(1, (count, -1))).flatten(1)
    *inner, last = zip(*(branch.layers for branch in branches), strict=True)
    for layers in inner:
        x = combined(layers, _apart(graph(x), count), _apart(x, count), ids).transpose(0, 1).flatten(1)
    means = _apart(graph(x, rows), count)
    if rows is None:
        return combined(last, means, _apart(x, count), ids)
    return combined(last, means, _apart(rows_of(x, rows), count), rows_of(ids, rows))


def _apart(x: Float[Tensor, "row feat"], modalities: int) -> Float[Tensor, "modality row _"]:
    """Modalities that lie side by side, one after another."""
    return x.unflatten(1, (modalities, -1)).transpose(0, 1)


class MMGCN(IdModel):
    title, citation = "MMGCN", "wei2019mmgcn"
    reads_content = True
    squares = 1
    distinct = ("users", "lists")

    def __init__(self, data: Dataset, *, dim: int = 64, latent: int = 64, layers: int = 2, l2: float = 1e-3) -> None:
        super().__init__(data, dim=dim, l2=l2)
        if layers < 1:
            raise ValueError(f"layers={layers} of mmgcn; expected at least 1")
        self.features = Features(data)
        self.preferences = embedding(data.num_users, len(self.features) * latent)  # p of all modalities side by side
        self.branches = nn.ModuleList(Branch(width, latent, dim, layers) for width in self.features.widths)
        users, items = data.train.T
        nodes = data.num_users + data.num_items
        self.graph = neighbour_mean(*both_directions(users, items, data.num_users), (nodes, nodes))

    def represent(self, rows: Int[Tensor, " row"] | None = None) -> Float[Tensor, "row dim"]:
        """E of the nodes named by `rows`, or of all."""
        branches = cast("list[Branch]", [*self.branches])
        parts = propagated(branches, self.preferences.weight, [*self.features], self.nodes.weight, self.graph, rows)
        return parts.sum(0)

    def embed(self) -> Embeddings:
        return self.split(self.represent())

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        users, items = batch.distinct("users"), batch.distinct("lists")
        rows = self.represent(torch.cat([users.ids, self.num_users + items.ids]))
        place = torch.cat([users.place[:, None], len(users.ids) + items.place], dim=1)
        terms = {"bpr": losses.list_bpr(scores_of(rows_of(rows, place)))}
        if self.l2:
            preferences = self.l2 * losses.l2(rows_of(self.preferences.weight, batch.users))
            terms["l2"] = preferences + row_l2(self.nodes.weight, self.num_users, batch, self.l2)["l2"]
        return terms
