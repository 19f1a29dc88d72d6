"""VBPR: He & McAuley, VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback, AAAI 2016.

    s(u, i) = b_i + gamma_u . gamma_i + theta_u . (W f_i) + beta . f_i
    L       = -log sigmoid(s(u, i+) - s(u, i-)) + l2 terms

f_i holds the raw features of all modalities of item i side by side, so an item that has none scores as in matrix
factorisation with a bias. The biases serve as one more column, against which each user has a one.

Differs from the paper: 1. Any number of modalities where it has one, the picture's. 2. Columns of f are standardised,
and a row is divided by the root of its width, so that one step of Adam means the same at any width. 3. The offset and
the user's bias, which change no ranking, are left out. 4. AdamW on mini-batches in place of bootstrap SGD.
Differs from the public code (DevilEEE/VBPR): 1. Xavier-uniform starts (biases: zero) in place of uniform ones in
[0, 1). 2. The negative item's rows are regularised as the positive's, not a tenth as much.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.layers import Features, Linear, embedding
from mmkd_core.models.base import Recommender, rows_of


class VBPR(Recommender):
    title, citation = "VBPR", "he2016vbpr"
    reads_content = True

    def __init__(
        self, data: Dataset, *, dim: int = 64, content_dim: int = 64, l2: float = 1e-4, content_l2: float = 0.0
    ) -> None:
        super().__init__(data)
        self.dim, self.l2, self.content_l2 = dim, l2, content_l2
        content = torch.cat(list(Features(data)), dim=1)
        self.register_buffer("content", content / content.shape[1] ** 0.5, persistent=False)
        self.users = embedding(data.num_users, dim + content_dim)  # gamma_u | theta_u
        self.items = embedding(data.num_items, dim + 1)  # gamma_i | b_i
        self.projection = Linear(content.shape[1], content_dim + 1, bias=False)  # W, and beta as its last row
        nn.init.xavier_uniform_(self.projection.weight)
        with torch.no_grad():
            self.items.weight[:, -1] = 0
            self.projection.weight[-1] = 0

    def embed(self) -> Embeddings:
        items, content = self.items.weight, self.projection(self.get_buffer("content"))
        bias = items[:, -1:] + content[:, -1:]
        ones = torch.ones_like(self.users.weight[:, :1])
        return Embeddings(
            torch.cat([self.users.weight, ones], dim=1), torch.cat([items[:, :-1], content[:, :-1], bias], dim=1)
        )

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        users, pos, neg = self.users(batch.users), self.items(batch.pos), self.items(batch.neg)
        margin = self._margin(users, pos, neg, batch)
        terms = {"bpr": losses.bpr_of_margins(margin)}
        if self.l2:
            terms["l2"] = self.l2 * (losses.l2(users) + losses.l2(pos, neg[:, 0]))
        return terms | self._content_term()

    def _content_term(self) -> dict[str, Float[Tensor, ""]]:
        """The term "content_l2": its weight x 1/2 squared norm of W. Empty when the weight is zero."""
        weight = self.projection.weight
        return {"content_l2": self.content_l2 * 0.5 * weight.square().sum()} if self.content_l2 else {}

    def _margin(self, users: Tensor, pos: Tensor, neg: Tensor, batch: Batch) -> Tensor:
        """s(u, i+) - s(u, i-), (batch, negatives); W is linear, so only the difference of the features meets it."""
        features = self.get_buffer("content")
        items = pos[:, None] - neg
        content = self.projection(rows_of(features, batch.pos)[:, None] - rows_of(features, batch.neg))
        gamma, theta = users[:, None].split([self.dim, users.shape[1] - self.dim], dim=-1)
        factors = (gamma * items[..., :-1]).sum(-1) + (theta * content[..., :-1]).sum(-1)
        return factors + items[..., -1] + content[..., -1]
