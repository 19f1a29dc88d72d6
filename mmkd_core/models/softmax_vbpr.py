"""VBPR with the softmax teachers' loss in place of BPR: is it only the loss?

All else is VBPR's: its equations and its content. L2 is the teachers', `prior` in interactions per user, of all rows
that a batch uses. (LightGCN and BPR-MF with this loss are those teachers with `content_weight=0`.)
"""

from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.models.base import rows_of
from mmkd_core.models.softmax import interactions_per_user, shared, softmax_term, unit_if
from mmkd_core.models.vbpr import VBPR


class SoftmaxVBPR(VBPR):
    """VBPR with sampled softmax; a cosine is of whole rows, the biases' column among them."""

    title = "VBPR, softmax"
    negatives = 0
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 5e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        content_dim: int = 64,
        content_l2: float = 1.0,
        cosine: bool = False,
        temperature: float = 1.0,
        candidates: int = 1024,
        prior: float = 2.0,
    ) -> None:
        l2 = prior / interactions_per_user(data)
        super().__init__(data, dim=dim, content_dim=content_dim, l2=l2, content_l2=content_l2)
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates

    def embed(self) -> Embeddings:
        users, items = cast("Embeddings", super().embed())
        return Embeddings(unit_if(self.cosine, users), unit_if(self.cosine, items))

    def loss(self, batch: Batch) -> dict[str, Float[torch.Tensor, ""]]:
        tables, candidates = self.embed(), shared(batch)
        items = torch.cat([batch.pos, candidates])
        rows = torch.cat([rows_of(tables.users, batch.users), rows_of(tables.items, items)])
        terms = {"softmax": softmax_term(rows, batch, self.temperature)}
        if self.l2:
            pairs = losses.l2(self.users(batch.users), self.items(batch.pos))
            terms["l2"] = self.l2 * (pairs + losses.l2(self.items(candidates)))
        return terms | self._content_term()
