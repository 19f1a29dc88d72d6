"""Softmax over sampled items in place of BPR: teachers that know the items' content, and baselines with this loss.

    L = -log(exp(s(u, i+) / t) / (exp(s(u, i+) / t) + sum over c of exp(s(u, c) / t))) + l2 term

with `candidates` uniform items c that a batch shares, those aside that the user is known to like. With `cosine` the
tables that serve are unit vectors, and s is the cosine. The teacher is LightGCN (He et al., SIGIR 2020) whose items
also get half of what their neighbours by content are:

    E^(l+1) = D^-1/2 A D^-1/2 E^(l)     e_u = (mean over l of E^(l))_u     e_i = (mean over l of E^(l))_i + w (C E^(0))_i

C (`graph.content_graph`) is the mean over the modalities of the mean over an item's nearest by each; nothing is learned
of the content, so no reduction layer can overfit. Without a modality, or with w = 0, it is LightGCN with softmax.

Loss: Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, TOIS 2024.
Differs from that paper: 1. Uniform candidates of their own, shared by a batch; there other positives of the batch or
items per row. 2. Known positives are no candidates.
Differs from MMKD's teacher (Eq. 1, 4, 13): 1. This loss in place of BPR. 2. The content graph in place of Eq. 1 to 4.
"""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.graph import AtRows, bipartite, content_graph, propagate, propagate_at
from mmkd_core.layers import unit_rows
from mmkd_core.models.base import IdModel, rows_of


class SoftmaxTeacher(IdModel):
    """The teacher; `layers=0` is factorisation with the content of neighbours. `l2` keeps rows of layer 0 small."""

    title, citation = "Softmax teacher", "wu2024samplesoftmax"
    reads_content = True
    negatives = 0
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 2e-3, "evaluate_every": 2}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 64,
        layers: int = 2,
        content_weight: float = 0.5,
        neighbours: int = 10,
        cosine: bool = True,
        temperature: float = 0.2,
        candidates: int = 1024,
        l2: float = 0.01,
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.layers, self.content_weight = layers, content_weight
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        self.content = content_graph(data, neighbours)

    def embed(self) -> Embeddings:
        users, items = self.split(propagate(self.graph, self.nodes.weight, self.layers))
        if self.content_weight:
            items = items + self.content_weight * self.content(self.split(self.nodes.weight).items)
        return Embeddings(*(self.served(table) for table in (users, items)))

    def served(self, rows: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Rows as they serve: of unit length where scores are cosines."""
        return unit_rows(rows) if self.cosine else rows

    def at(self, nodes: Int[Tensor, " row"], users: int = 0) -> AtRows:
        """Rows of the tables that serve and of layer 0; the first `users` of `nodes` are users, the others items."""
        served, ids = propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
        if self.content_weight:
            items = self.split(self.nodes.weight).items
            near = self.content(items, nodes[users:] - self.num_users)
            served = torch.cat([served[:users], served[users:].add(near, alpha=self.content_weight)])
        return AtRows(self.served(served), ids)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        assert batch.candidates is not None
        rows = len(batch.users)
        items = self.num_users + torch.cat([batch.pos, batch.candidates.items])
        served, ids = self.at(torch.cat([batch.users, items]), rows)
        users, pos, others = served.tensor_split((rows, 2 * rows))
        terms = {"softmax": losses.sampled_softmax(users, pos, others, batch.candidates.known, self.temperature)}
        return terms | ({"l2": self.l2 * losses.l2(ids[:rows], ids[rows : 2 * rows])} if self.l2 else {})
