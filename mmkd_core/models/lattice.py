"""LATTICE: Zhang et al., Mining Latent Structures for Multimedia Recommendation, ACM MM 2021.

    S^m    = Lap(knn(cos(X^m)))      R^m = Lap(knn(cos(X^m W^m + b^m)))      Lap(A) = D^-1/2 A D^-1/2
    S      = sum over m of a_m (raw_weight S^m + (1 - raw_weight) R^m)       a = softmax of a weight per modality
    h_i    = (S^item_layers E_items)_i                                       knn keeps `neighbours` entries per row
    e_u, e_i = LightGCN(E)_u, LightGCN(E)_i + h_i / ||h_i||                  L = BPR + l2 term

S^m is frozen; R^m is mined again once per epoch. An item is its own first neighbour; negative cosines become 0, since a
negative degree has no root; an item without a modality has no neighbour there.

Differs from the paper: 1. R^m is mined and the projections and a are trained at the first step of each epoch, where the
paper's text does so at each step; R^m is constant in between. 2. An item's features are scaled to unit length before
they are projected. 3. Of the paper's three backends LightGCN alone, its best.
Differs from the public code: 1. The raw features are constants: there they are trained too, so its count of parameters
is ours and the features' numbers. 2. It takes Lap of the weighted sum of the R^m; the paper of each. 3. Its LightGCN is
D^-1 (A + I). 4. No matrix of items by items is ever held. 5. The tables that serve use the R^m of the current weights,
mined once per evaluation. 6. L2 takes the batch's rows of E, layer 0; there of the tables that serve. 7. The learning
rate is constant; there it decays by 4 % in 50 epochs. 8. Projections start Xavier-uniform with a zero bias; there as
PyTorch makes them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.graph import AtRows, bipartite, item_knn, layers_at, propagate, propagate_at
from mmkd_core.layers import Features, linear, unit_features, unit_rows
from mmkd_core.models.base import IdModel, rows_of
from mmkd_core.sparse import Graph


class Entries(NamedTuple):
    """A sparse item-item matrix with as many entries per row; one column may come more than once and then adds up."""

    cols: Int[Tensor, "item list"]
    values: Float[Tensor, "item list"]

    def __call__(self, x: Tensor) -> Tensor:
        """The product with a dense matrix; differentiable in the values too."""
        return F.embedding_bag(self.cols, x, mode="sum", per_sample_weights=self.values)

    def graph(self) -> Graph:
        """The same as a constant, with repeated entries added up."""
        items, length = self.cols.shape
        rows = torch.arange(items, device=self.cols.device).repeat_interleave(length)
        cells, order = (rows * items + self.cols.reshape(-1)).sort(stable=True)  # added up in a fixed order
        cells, counts = cells.unique_consecutive(return_counts=True)
        start = counts.cumsum(0) - counts
        values = F.embedding_bag(order, self.values.detach().reshape(-1, 1), start, mode="sum").squeeze(1)
        return Graph(cells // items, cells % items, values, (items, items))


class LATTICE(IdModel):
    title, citation = "LATTICE", "zhang2021lattice"
    reads_content = True

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        item_layers: int = 1,
        neighbours: int = 10,
        raw_weight: float = 0.9,
        l2: float = 5e-3,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers, self.item_layers, self.neighbours, self.raw_weight = layers, item_layers, neighbours, raw_weight
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        self.features = Features(data, unit_features)
        self.projections = nn.ModuleList(linear(width, dim) for width in self.features.widths)
        self.importance = nn.Parameter(torch.zeros(len(self.features)))  # softmax of it is a
        raw = [normalised(*item_knn(x, neighbours)) for x in self.features]
        self.register_buffer("raw_cols", torch.stack([entries.cols for entries in raw]), persistent=False)
        self.register_buffer("raw_values", torch.stack([entries.values for entries in raw]), persistent=False)
        self.item_graph: Graph | None = None  # S between the first step of an epoch and the next refresh

    def refresh(self) -> None:
        self.item_graph = None

    def mine(self) -> Entries:
        """S of the current weights."""
        cols, values = [*self.get_buffer("raw_cols")], [*self.get_buffer("raw_values")]
        shares = self.importance.softmax(0)
        values = [self.raw_weight * share * x for share, x in zip(shares, values, strict=True)]
        if self.raw_weight < 1:
            for share, x, project in zip(shares, self.features, self.projections, strict=True):
                projected = unit_rows(project(x) * x.any(1, keepdim=True))
                items = item_knn(projected, self.neighbours).items
                cosines = (rows_of(projected, items) @ projected[:, :, None]).squeeze(-1)  # again, with a gradient
                mined = normalised(items, cosines)
                cols.append(mined.cols)
                values.append((1 - self.raw_weight) * share * mined.values)
        return Entries(torch.cat(cols, 1), torch.cat(values, 1))

    def fuse(self, structure: Entries | Graph) -> Embeddings:
        """The tables under a given S."""
        users, items = self.split(propagate(self.graph, self.nodes.weight, self.layers))
        return Embeddings(users, items + unit_rows(self._smoothed(self.split(self.nodes.weight).items, structure)))

    def _smoothed(self, h: Tensor, structure: Entries | Graph) -> Tensor:
        for _ in range(self.item_layers):
            h = structure(h)
        return h

    def embed(self) -> Embeddings:
        return self.fuse(self.structure())

    def structure(self) -> Entries | Graph:
        """S: mined anew when the model serves; in training mined with a gradient once an epoch, and then a constant."""
        if not self.training:
            return self.mine().graph()
        if self.item_graph is None:
            mined = self.mine()
            self.item_graph = mined.graph()
            return mined
        return self.item_graph

    def at(self, nodes: Int[Tensor, "batch row"]) -> AtRows:
        served, ids = propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
        users, items = served.split([1, nodes.shape[1] - 1], dim=1)
        h, structure, rows = self.split(self.nodes.weight).items, self.structure(), nodes[:, 1:] - self.num_users
        if isinstance(structure, Graph) and self.item_layers:
            h = layers_at(structure, h, self.item_layers, rows)[-1]
        else:
            h = rows_of(self._smoothed(h, structure), rows)
        return AtRows(torch.cat([users, items + unit_rows(h)], dim=1), ids)


def normalised(cols: Int[Tensor, "item list"], cosines: Float[Tensor, "item list"]) -> Entries:
    """Lap of a sparse matrix of cosines, each at least 0; differentiable in them, its degrees included."""
    values = cosines.relu()
    degree = values.sum(1)
    scale = torch.where(degree > 0, degree, 1).rsqrt()
    return Entries(cols, scale[:, None] * values * scale[cols])
