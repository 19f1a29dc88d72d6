"""BPR-MF: Rendle et al., BPR: Bayesian Personalized Ranking from Implicit Feedback, UAI 2009.

    s(u, i) = e_u . e_i                      L = -log sigmoid(s(u, i+) - s(u, i-)) + l2 term

Differs from the paper: 1. AdamW on mini-batches of uniformly drawn pairs in place of bootstrap SGD. 2. No item bias.
"""

from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.graph import AtRows
from mmkd_core.models.base import IdModel, rows_of


class BPRMF(IdModel):
    title, citation = "BPR-MF", "rendle2009bpr"

    def __init__(self, data: Dataset, *, dim: int = 64, l2: float = 1e-4) -> None:
        super().__init__(data, dim=dim, l2=l2)

    def embed(self) -> Embeddings:
        return self.split(self.nodes.weight)

    def at(self, nodes: Int[Tensor, "*rows"]) -> AtRows:
        rows = rows_of(self.nodes.weight, nodes)
        return AtRows(rows, rows)
