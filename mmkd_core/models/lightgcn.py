"""LightGCN: He et al., LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation, SIGIR 2020.

    E^(l+1) = D^-1/2 A D^-1/2 E^(l)          E = mean over l = 0..L of E^(l)

Differs from the paper: 1. An epoch visits each training pair once, where the authors draw as many users at random.
2. Xavier-uniform start (the MMKD paper's choice) in place of a normal distribution of deviation 0.1.
"""

from jaxtyping import Int
from torch import Tensor

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.graph import AtRows, bipartite, propagate, propagate_at
from mmkd_core.models.base import IdModel


class LightGCN(IdModel):
    title, citation = "LightGCN", "he2020lightgcn"

    def __init__(self, data: Dataset, *, dim: int = 64, layers: int = 2, l2: float = 1e-4) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers = layers
        self.graph = bipartite(data.train, data.num_users, data.num_items)

    def embed(self) -> Embeddings:
        return self.split(propagate(self.graph, self.nodes.weight, self.layers))

    def at(self, nodes: Int[Tensor, "*rows"]) -> AtRows:
        return propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
