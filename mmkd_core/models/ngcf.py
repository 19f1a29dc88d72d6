"""NGCF: Wang et al., Neural Graph Collaborative Filtering, SIGIR 2019.

    E^(l+1) = LeakyReLU((L + I) E^(l) W1 + (L E^(l) * E^(l)) W2)          L = D^-1/2 A D^-1/2
    e       = e^(0) || e^(1) / |e^(1)| || ... || e^(layers) / |e^(layers)|

* is the element-wise product. L has no self loop, so a node's message to itself is W1 e alone, and p_ui W1 e_i +
p_ui W2 (e_i * e_u) comes from each neighbour; one dropout per layer stands for message dropout.

Differs from the paper: 1. Each layer's output has unit norm in the concatenation, as in the public code; the next layer
reads it as it is. 2. Message dropout acts on the entries of a layer's output, as in the public code, not on whole
messages; there is no node dropout. 3. L2 is of the batch's rows of E^(0), not of all parameters.
Differs from the public code (huangtinglin/NGCF-PyTorch): 1. L is the paper's, not D^-1 (A + I) in both terms. 2. No
biases. 3. Dropout is off when the model serves. 4. L2 is of rows of E^(0), not of the concatenation.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import bipartite
from mmkd_core.kernels import affine
from mmkd_core.layers import unit_rows
from mmkd_core.models.base import IdModel, rows_of


class NGCF(IdModel):
    title, citation = "NGCF", "wang2019ngcf"
    squares = 2
    distinct = ("users", "lists")

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 3,
        dropout: float = 0.1,
        slope: float = 0.2,
        l2: float = 1e-4,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.dropout, self.slope = dropout, slope
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(2, dim, dim)) for _ in range(layers))  # W1, W2
        for pair in self.weights:
            for weight in pair:
                nn.init.xavier_uniform_(weight)

    def embed(self) -> Embeddings:
        return self.split(self._concatenate(self._blocks()))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        users, items = batch.distinct("users"), batch.distinct("lists")
        blocks = self._blocks(torch.cat([users.ids, self.num_users + items.ids]))
        place = torch.cat([users.place[:, None], len(users.ids) + items.place], dim=1)
        rows = rows_of(self._concatenate(blocks), place)  # (batch, 2 + negatives, width)
        of_users, of_items = rows.split([1, rows.shape[1] - 1], dim=1)
        terms = {"bpr": losses.list_bpr((of_items @ of_users.mT).squeeze(-1))}
        if self.l2:
            terms["l2"] = self.l2 * losses.l2(rows_of(blocks[0], place[:, :3]).transpose(0, 1))
        return terms

    def _blocks(self, nodes: Tensor | None = None) -> list[Tensor]:
        """E^(0) .. E^(layers), rows `nodes` of each or all; the last layer is computed for those rows alone."""
        x = self.nodes.weight
        blocks = [_rows(x, nodes)]
        for weights in self.weights:
            if weights is self.weights[-1]:
                blocks.append(self._layer(blocks[-1], self.graph(x, nodes), weights))
            else:
                x = self._layer(x, self.graph(x), weights)
                blocks.append(_rows(x, nodes))
        return blocks

    def _layer(self, x: Tensor, neighbours: Tensor, weights: Tensor) -> Tensor:
        first, second = weights.unbind()
        message = affine(neighbours * x, second.T, affine(neighbours + x, first.T))
        return F.dropout(F.leaky_relu(message, self.slope), self.dropout, self.training)

    def _concatenate(self, blocks: list[Tensor]) -> Tensor:
        if len(blocks) == 1:
            return blocks[0]
        layers = unit_rows(torch.stack(blocks[1:], dim=1))
        return torch.cat([blocks[0], layers.flatten(1)], dim=1)


def _rows(table: Tensor, nodes: Tensor | None) -> Tensor:
    return table if nodes is None else rows_of(table, nodes)
