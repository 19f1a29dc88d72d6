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
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.graph import both_directions
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
        self.edges = Pattern(users, items, (data.num_users, data.num_items))
        self.graph = Pattern(*both_directions(users, items, data.num_users), (nodes, nodes))

    def route(self, preferences: Float[Tensor, "user dim"], items: Float[Tensor, "item dim"]) -> Tensor:
        """c_u after neighbour routing: a prototype of what the user's items have in common, (user, dim)."""
        users = unit_rows(preferences)
        for _ in range(self.routing):
            affinity = self.edges.softmax(self.edges.scores(users, items))
            users = unit_rows(users + self.edges.product(affinity, items))
        return users

    def contents(self) -> tuple[list[Tensor], list[Tensor]]:
        """y^m, (node, dim), and a^m, one an entry of the graph, of each modality."""
        contents, affinities = [], []
        preferences = self.preferences.weight.chunk(len(self.projections), dim=1)
        for project, preference, x in zip(self.projections, preferences, self.features, strict=True):
            items = unit_rows(F.leaky_relu(project(x)))
            users = self.route(preference, items)
            scores = self.edges.scores(users, items)  # the same in both directions: by user, then by item
            both = torch.cat([scores, scores.index_select(0, self.edges.transposed_order)])
            affinities.append(self.graph.softmax(both))
            nodes = torch.cat([users, items])
            contents.append(nodes + self.graph.product(affinities[-1], nodes))
        return contents, affinities

    def refine(self, affinities: list[Tensor]) -> Float[Tensor, " edge"]:
        """w, the weights of the refined graph: an edge that no modality trusts is cut."""
        confidence = rows_of(self.confidence, self.graph.col)
        return (torch.stack(affinities, dim=1) * confidence).amax(1).relu()

    def embed(self) -> Embeddings:
        contents, affinities = self.contents()
        weights = self.refine(affinities)
        total = x = self.nodes.weight
        for _ in range(self.layers):
            x = self.graph.product(weights, x)
            total = total + x
        return self.split(torch.cat([total, *contents], dim=1))
