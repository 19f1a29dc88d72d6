"""BPR-MF: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    s(u, i) = e_u . e_i                      L = -log sigmoid(s(u, i+) - s(u, i-)) + l2 term

Differs from the paper: 1. AdamW on mini-batches of uniformly drawn pairs in place of bootstrap SGD. 2. No item bias.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.models.base import IdModel, rows_of


class BPRMF(IdModel):
    title, citation = "BPR-MF", "rendle2009bpr"

    def __init__(self, data: Dataset, *, dim: int = 64, l2: float = 1e-4) -> None:
        super().__init__(data, dim=dim, l2=l2)

    def embed(self) -> Embeddings:
        return self.split(self.nodes.weight)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """As `IdModel.loss`; the rows of a triple are taken from the table once, for the scores and for L2."""
        users, pos, neg = batch.users[:, None], self.num_users + batch.pos[:, None], self.num_users + batch.neg
        rows = rows_of(self.nodes.weight, torch.cat([users, pos, neg], dim=1))  # (batch, 2 + negatives, dim)
        of_users, of_items = rows.split([1, rows.shape[1] - 1], dim=1)
        terms = {"bpr": losses.list_bpr((of_items @ of_users.mT).squeeze(-1))}
        return terms | ({"l2": self.l2 * losses.l2(rows[:, :3].transpose(0, 1))} if self.l2 else {})
