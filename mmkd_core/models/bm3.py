"""BM3: Zhou et al., Bootstrap Latent Representations for Multi-modal Recommendation, WWW 2023.

    h_u = LightGCN(E)_u      h_i = LightGCN(E)_i + e_i      f^m = X^m W^m + b^m
    P(h) = h W + b           h~ = sg(dropout(h))            d(a, b) = 1 - cos(a, b)
    L = d(P(h_u), h~_i) + d(P(h_i), h~_u)                   reconstruct: no negative item
      + content_weight * sum over m of d(P(f^m), h~_i)      align
      + content_weight * sum over m of d(P(f^m), f~^m)      mask
      + l2 term of h_u and h_i                              s(u, i) = P(h_u) . P(h_i)

Differs from the paper: 1. 1 - cos in place of -cos, so that no term is negative. 2. The content terms have a weight; it
is 1 in the paper. 3. AdamW in place of Adam.
Differs from the public code: 1. The raw features are constants: there they are trained too, so its count of parameters
is ours and the features' numbers. 2. They are standardised. 3. The l2 term is half the squared norm of the batch's
rows, as in the paper; there it is the norm of whole tables. 4. P and the projections work on the batch's rows alone.
5. The content terms weigh `content_weight`; there 2.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import bipartite, propagate, propagate_at
from mmkd_core.layers import Features, embedding, linear, unit_rows
from mmkd_core.models.base import Recommender, rows_of


class BM3(Recommender):
    title, citation = "BM3", "zhou2023bm3"
    reads_content = True
    squares = 1

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        dropout: float = 0.5,
        content_weight: float = 0.1,
        l2: float = 1e-2,
    ) -> None:
        super().__init__(data)
        self.layers, self.dropout, self.content_weight, self.l2 = layers, dropout, content_weight, l2
        self.features = Features(data)
        self.nodes = embedding(data.num_users + data.num_items, dim)  # users first
        self.projections = nn.ModuleList(linear(width, dim) for width in self.features.widths)
        self.predictor = linear(dim, dim)
        self.graph = bipartite(data.train, data.num_users, data.num_items)

    def collaborate(self) -> Embeddings:
        """h_u and h_i of all users and items."""
        users, items = self.split(propagate(self.graph, self.nodes.weight, self.layers))
        return Embeddings(users, items + self.split(self.nodes.weight).items)

    def embed(self) -> Embeddings:
        users, items = self.collaborate()
        return Embeddings(self.predictor(users), self.predictor(items))

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        nodes = torch.stack([batch.users, self.num_users + batch.pos])
        (users, items), ids = propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
        contents = [project(rows_of(x, batch.pos)) for project, x in zip(self.projections, self.features, strict=True)]
        collaborative = torch.stack([users, items + ids[1]])
        views = torch.cat([collaborative, torch.stack(contents)])  # (2 + modalities, batch, dim)
        targets = unit_rows(F.dropout(views.detach(), self.dropout, self.training))
        both, content = unit_rows(self.predictor(views)).split([2, len(contents)])
        terms = {
            "reconstruct": _distance(both, targets[:2].flip(0)),
            "align": _distance(content, targets[1], self.content_weight),
            "mask": _distance(content, targets[2:], self.content_weight),
        }
        return terms | ({"l2": self.l2 * losses.l2(collaborative)} if self.l2 else {})


def _distance(predicted: Tensor, targets: Tensor, weight: float = 1.0) -> Tensor:
    """`weight` times 1 - cos of rows of unit length: mean over the batch, sum over the views in front of it."""
    cosines = (predicted * targets).sum()
    return torch.rsub(cosines, weight * len(predicted), alpha=weight / predicted.shape[1])
