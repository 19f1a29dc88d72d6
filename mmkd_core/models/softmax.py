"""Softmax over sampled items in place of BPR: teachers that know the items' content, and baselines with this loss.

    L = -log(exp(s(u, i+) / t) / (exp(s(u, i+) / t) + sum over c of exp(s(u, c) / t))) + l2 term

with `candidates` uniform items c that a batch shares, i+ aside. With `cosine` the tables that serve are unit vectors,
and s is the cosine. The teacher is LightGCN (He et al., SIGIR 2020), to whose items some of what their neighbours by
content are is added, with w = `content_weight`:

    E^(l+1) = D^-1/2 A D^-1/2 E^(l)          E = mean over l = 0..L of E^(l)
    e_u = E_u                                e_i = E_i + w (C E^(0))_i

C (`graph.content_graph`) is the mean over the modalities of the mean over an item's nearest by each; nothing is learned
of the content, so no reduction layer can overfit. Without a modality, or with w = 0, it is LightGCN with softmax.

Loss: Wu et al., On the Effectiveness of Sampled Softmax Loss for Item Recommendation, 2022 (arXiv:2201.02327).
Differs from that paper: 1. Uniform candidates of their own, shared by a batch; there other positives of the batch or
items per row. 2. All rows that a batch uses are regularised, those of the candidates too.
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
from mmkd_core.models.base import IdModel


def shared(batch: Batch) -> Int[Tensor, " candidate"]:
    """The candidates of a batch; raises `ValueError` for one that was drawn without."""
    if batch.candidates is None:
        raise ValueError("a batch without candidates; expected one of a `Sampler` that was asked for some")
    return batch.candidates


def softmax_term(served: Float[Tensor, "row dim"], batch: Batch, temperature: float) -> Float[Tensor, ""]:
    """Sampled softmax of a batch from the rows that serve: of its users, its positives and its candidates, stacked."""
    users, pos, others = served.tensor_split((len(batch.users), 2 * len(batch.users)))
    return losses.sampled_softmax(users, pos, others, batch.pos[:, None] == shared(batch), temperature)


def stacked(batch: Batch, num_users: int) -> Int[Tensor, " row"]:
    """The users, the positives and the candidates of a batch as nodes of the stack of users and items."""
    return torch.cat([batch.users, num_users + batch.pos, num_users + shared(batch)])


def softmax_terms(
    rows: AtRows, batch: Batch, *, cosine: bool, temperature: float, l2: float
) -> dict[str, Float[Tensor, ""]]:
    """The loss of the rows of `stacked` nodes: softmax, and L2 of the same rows of layer 0.

    L2 is a mean over the batch's pairs and one over the candidates, so that every item counts as if it were as popular
    as the mean, and once more as it is; no part of the loss depends on how a batch is divided.
    """
    terms = {"softmax": softmax_term(unit_if(cosine, rows.served), batch, temperature)}
    pairs, candidates = rows.ids.tensor_split((2 * len(batch.users),))
    return terms | ({"l2": l2 * (losses.l2(*pairs.chunk(2)) + losses.l2(candidates))} if l2 else {})


def interactions_per_user(data: Dataset) -> float:
    """The mean number of training interactions of the users who have any."""
    return len(data.train) / len(data.train[:, 0].unique())


def unit_if(cosine: bool, rows: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """Rows as they serve: of unit length where scores are cosines."""
    return unit_rows(rows) if cosine else rows


class SoftmaxTeacher(IdModel):
    """The teacher; `layers=0` is factorisation with the content of neighbours.

    `prior` is the weight of L2 in interactions: it is divided by how many a user has in training, on average, so that
    it means the same on sparse and on dense data.
    """

    title, citation = "Softmax teacher", "wu2022softmax"
    reads_content = True
    negatives = 0
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 2e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 128,
        layers: int = 2,
        content_weight: float = 0.5,
        neighbours: int = 10,
        cosine: bool = True,
        temperature: float = 0.2,
        candidates: int = 1024,
        prior: float = 0.1,
    ) -> None:
        super().__init__(data, dim=dim, l2=prior / interactions_per_user(data))
        self.layers, self.content_weight = layers, content_weight
        self.cosine, self.temperature, self.candidates = cosine, temperature, candidates
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        self.content = content_graph(data, neighbours) if content_weight and data.features else None

    def embed(self) -> Embeddings:
        users, items = self.split(propagate(self.graph, self.nodes.weight, self.layers))
        if self.content is not None:
            items = items.add(self.content(self.split(self.nodes.weight).items), alpha=self.content_weight)
        return Embeddings(unit_if(self.cosine, users), unit_if(self.cosine, items))

    def at(self, nodes: Int[Tensor, " row"], users: int = 0) -> AtRows:
        """Rows, not yet of unit length, and those of layer 0; the first `users` of `nodes` are users, others items."""
        served, ids = propagate_at(self.graph, self.nodes.weight, self.layers, nodes)
        if self.content is None:
            return AtRows(served, ids)
        near = self.content(self.split(self.nodes.weight).items, nodes[users:] - self.num_users)
        items = served[users:].add(near, alpha=self.content_weight)
        return AtRows(torch.cat([served[:users], items]), ids)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        rows = self.at(stacked(batch, self.num_users), len(batch.users))
        return softmax_terms(rows, batch, cosine=self.cosine, temperature=self.temperature, l2=self.l2)


class SoftmaxFactors(SoftmaxTeacher):
    """The same without a graph of users, on inner products: it errs elsewhere, so that both together teach better."""

    title = "Softmax factors"
    usual_fit: ClassVar[dict[str, Any]] = {"lr": 5e-3, "evaluate_every": 2, "patience": 8}

    def __init__(
        self,
        data: Dataset,
        *,
        dim: int = 128,
        layers: int = 0,
        content_weight: float = 0.5,
        neighbours: int = 10,
        cosine: bool = False,
        temperature: float = 1.0,
        candidates: int = 1024,
        prior: float = 2.0,
    ) -> None:
        settings = {"layers": layers, "content_weight": content_weight, "neighbours": neighbours, "cosine": cosine}
        super().__init__(data, dim=dim, temperature=temperature, candidates=candidates, prior=prior, **settings)
