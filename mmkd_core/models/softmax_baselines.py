"""Baselines with the teachers' loss, sampled softmax, in place of BPR: is it only the loss?

All else is the base model's: its equations, its content, its L2, which takes the candidates' rows as well.
"""

from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.models.base import IdModel, Recommender, rows_of
from mmkd_core.models.bpr_mf import BPRMF
from mmkd_core.models.lightgcn import LightGCN
from mmkd_core.models.softmax import shared, softmax_term, softmax_terms, stacked, unit_if
from mmkd_core.models.vbpr import VBPR


class ServesForSoftmax(Recommender):
    """In front of a base model: its tables, of unit length where scores are cosines."""

    negatives = 0
    cosine: bool

    def embed(self) -> Embeddings:
        users, items = cast("Embeddings", super().embed())
        return Embeddings(unit_if(self.cosine, users), unit_if(self.cosine, items))


class LearnsBySoftmax(ServesForSoftmax, IdModel):
    """The same, and sampled softmax of its rows in place of its loss."""

    temperature: float

    def loss(self, batch: Batch) -> dict[str, Float[torch.Tensor, ""]]:
        rows = self.at(stacked(batch, self.num_users))
        return softmax_terms(rows, batch, cosine=self.cosine, temperature=self.temperature, l2=self.l2)


class SoftmaxLightGCN(LearnsBySoftmax, LightGCN):
    """LightGCN with sampled softmax; `cosine`, `temperature` and `candidates` are those of the softmax teacher."""

    title = "LightGCN, softmax"
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 2e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        l2: float = 0.01,
        cosine: bool = True,
        temperature: float = 0.2,
        candidates: int = 1024,
    ) -> None:
        super().__init__(data, dim=dim, layers=layers, l2=l2)
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates


class SoftmaxMF(LearnsBySoftmax, BPRMF):
    """Matrix factorisation with sampled softmax."""

    title = "BPR-MF, softmax"
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 5e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        l2: float = 0.3,
        cosine: bool = False,
        temperature: float = 1.0,
        candidates: int = 1024,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates


class SoftmaxVBPR(ServesForSoftmax, VBPR):
    """VBPR with sampled softmax; a cosine is of whole rows, the biases' column among them."""

    title = "VBPR, softmax"
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 5e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        content_dim: int = 64,
        l2: float = 0.3,
        content_l2: float = 1.0,
        cosine: bool = False,
        temperature: float = 1.0,
        candidates: int = 1024,
    ) -> None:
        super().__init__(data, dim=dim, content_dim=content_dim, l2=l2, content_l2=content_l2)
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates

    def loss(self, batch: Batch) -> dict[str, Float[torch.Tensor, ""]]:
        tables, candidates = self.embed(), shared(batch)
        items = torch.cat([batch.pos, candidates])
        rows = torch.cat([rows_of(tables.users, batch.users), rows_of(tables.items, items)])
        terms = {"softmax": softmax_term(rows, batch, self.temperature)}
        if self.l2:
            pairs = losses.l2(self.users(batch.users), self.items(batch.pos))
            terms["l2"] = self.l2 * (pairs + losses.l2(self.items(candidates)))
        return terms | self._content_term()


SOFTMAX_BASELINES: dict[str, type[Recommender]] = {
    "lightgcn+softmax": SoftmaxLightGCN,
    "bpr-mf+softmax": SoftmaxMF,
    "vbpr+softmax": SoftmaxVBPR,
}
