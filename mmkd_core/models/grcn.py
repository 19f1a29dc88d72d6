"""GRCN: Wei et al., Graph-Refined Convolutional Network for Multimedia Recommendation with Implicit Feedback, MM 2020.

In each modality m, N(.) being the neighbours in the graph of users and items and norm() scaling to unit length:

    x_i = norm(LeakyReLU(X_i^m W^m + b^m))         x_u = norm(p_u^m)
    x_u <- norm(x_u + sum over i in N(u) of a_ui x_i)      a_ui = softmax over N(u) of x_u . x_i      `routing` times
    y_n = x_n + sum over j in N(n) of a_nj x_j             a_nj = softmax over N(n) of x_n . x_j      users and items

These affinities refine the graph through which the ID embeddings e = e^(0) pass:

    w_nj = relu(max over m of k_j^m a_nj^m)                 k_j^m: the confidence of node j in modality m
    e_n^(l+1) = sum over j in N(n) of w_nj e_j^(l)          E = [sum over l = 0..L of e^(l) | y^1 | .. | y^M]
    L = BPR(E) + l2 term of e

Differs from the paper: 1. Raw features are standardised. 2. k starts at 1, so that at first no edge is cut. 3. L2 takes
the batch's rows of e alone; p is normalised, so that its length does not matter. 4. ReLU is the only pruning.
Differs from the public code: 1. Routing changes the users' preferences; there its sums arrive at the items, and the
preferences stay as they were. 2. k starts at 1, not at Xavier's random values, half of them negative. 3. No L2 of p.
4. e enters the refined graph as it is; there each row is first scaled to unit length. 5. No dropout of edges. 6. The
tables that serve are those of the current weights, not of the last training step.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.graph import AtRows, both_directions
from mmkd_core.layers import Features, embedding, linear, unit_rows
from mmkd_core.models.base import IdModel, rows_of
from mmkd_core.sparse import Pattern


class GRCN(IdModel):
    title, citation = "GRCN", "wei2020grcn"
    reads_content = True

    def __init__(self, data: Dataset, *, dim: int = 64, layers: int = 2, routing: int = 3, l2: float = 1e-3) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers, self.routing = layers, routing
        self.features = Features(data)
        self.preferences = embedding(data.num_users, len(self.features) * dim)  # p of all modalities side by side
        self.projections = nn.ModuleList(linear(width, dim) for width in self.features.widths)
        users, items = data.train.T
        nodes = data.num_users + data.num_items
        self.confidence = nn.Parameter(torch.ones(nodes, len(self.features)))
        both = both_directions(users, items, data.num_users)
        self.graph = Pattern(*both, (nodes, nodes))
        # all modalities at once: a block of the diagonal each
        self.edges = _blocks(users, items, (data.num_users, data.num_items), len(self.features))
        self.content_graph = _blocks(*both, (nodes, nodes), len(self.features))

    def route(
        self, preferences: Float[Tensor, "modality user dim"], items: Float[Tensor, "modality item dim"]
    ) -> Float[Tensor, "modality user dim"]:
        """x_u after neighbour routing: a prototype of what the user's items have in common, in each modality."""
        users, items = unit_rows(preferences), items.flatten(0, 1)
        for _ in range(self.routing):
            affinity = self.edges.softmax(self.edges.scores(users.flatten(0, 1), items))
            users = unit_rows(users + self.edges.product(affinity, items).view_as(users))
        return users

    def contents(self, rows: Int[Tensor, " row"] | None = None) -> tuple[Tensor, Tensor]:
        """y^m, (modality, node, dim), of all nodes or of `rows`, and a^m, (modality, entry of the graph)."""
        parts = [project(x) for project, x in zip(self.projections, self.features, strict=True)]
        items = unit_rows(F.leaky_relu(torch.stack(parts)))
        users = self.route(torch.stack(self.preferences.weight.chunk(len(parts), dim=1)), items)
        scores = self.edges.scores(users.flatten(0, 1), items.flatten(0, 1))
        by_item = self.edges.by_column(scores)  # the same in both directions
        both = torch.cat([scores.view(len(parts), -1), by_item.view(len(parts), -1)], dim=1)
        affinities = self.content_graph.softmax(both.flatten())
        nodes = torch.cat([users, items], dim=1)
        stacked = own = nodes.flatten(0, 1)
        if rows is not None:
            first = torch.arange(0, len(stacked), nodes.shape[1], device=rows.device)
            rows = (first[:, None] + rows).flatten()
            own = rows_of(stacked, rows)
        contents = own + self.content_graph.product(affinities, stacked, rows)
        return contents.unflatten(0, (len(parts), -1)), affinities.view_as(both)

    def refine(self, affinities: Float[Tensor, "modality edge"]) -> Float[Tensor, " edge"]:
        """w, the weights of the refined graph: an edge that no modality trusts is cut."""
        confidence = self.graph.of_columns(self.confidence)
        return (affinities * confidence.T).amax(0).relu()

    def embed(self) -> Embeddings:
        contents, affinities = self.contents()
        weights = self.refine(affinities)
        total = x = self.nodes.weight
        for _ in range(self.layers):
            x = self.graph.product(weights, x)
            total = total + x
        return self.split(torch.cat([total, *contents], dim=1))

    def at(self, nodes: Int[Tensor, "batch row"]) -> AtRows:
        rows, x = nodes.flatten(), self.nodes.weight
        contents, affinities = self.contents(rows)
        weights = self.refine(affinities)
        total = ids = rows_of(x, rows)
        for layer in range(1, self.layers + 1):
            if layer == self.layers:
                total = total + self.graph.product(weights, x, rows)
            else:
                x = self.graph.product(weights, x)
                total = total + rows_of(x, rows)
        served = torch.cat([total, *contents], dim=1)
        return AtRows(*(part.unflatten(0, nodes.shape) for part in (served, ids)))


def _blocks(rows: Tensor, cols: Tensor, shape: tuple[int, int], count: int) -> Pattern:
    """A pattern `count` times along the diagonal: entries of block b have rows and columns b times `shape` further."""
    block = torch.arange(count, device=rows.device)[:, None]
    rows, cols = ((ids + size * block).flatten() for ids, size in zip((rows, cols), shape, strict=True))
    return Pattern(rows, cols, (count * shape[0], count * shape[1]))
