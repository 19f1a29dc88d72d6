"""MMKD with long lists: a student of two small tables that starts at its teacher and learns whole lists of it.

    e_u . e_i  starts at the best approximation of rank `dim` of s_T(u, i) / sigma_T               (in place of E^T)
    L = KL(softmax(s_T(u, c) / (sigma_T t)) || softmax(e_u . e_c / t)) + l2 term

over `candidates` uniform items c that a batch shares, mean over its users, who come as often as they have training
pairs. sigma_T is the spread of the teacher's scores (`ensemble.standardised`), so a temperature t means the same for
every teacher. The teacher is any recommender that is a pair of tables; by default two that know the items' content, as
one. The student has no graph and reads no content.

Lists: Wei et al., PromptMM, WWW 2024, Eq. 6 to 10; the start: Eckart & Young, 1936.
Differs from MMKD: 1. No positive is singled out, and nothing is disentangled. 2. Lists are of a thousand items, of all
scores and not those of each modality. 3. Neither BPR of the data nor PairKD nor EmbKD; l2 is 0. 4. The start is the
best for all scores, not the teacher's tables. 5. The student is a factorisation. 6. No prompt is tuned.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.evaluation import Scorer
from mmkd_core.kernels import affine
from mmkd_core.models.base import IdModel, Recommender, rows_of
from mmkd_core.models.ensemble import Ensemble, standardised, tables_of
from mmkd_core.models.softmax import shared


class ListMMKD(IdModel):
    """The student; `teacher` hands on its tables and is not kept. Without one an untrained `Ensemble` is made."""

    title, citation = "MMKD, long lists", "wei2024promptmm"
    reads_content = True
    negatives = 0
    teachers = ("ensemble",)
    any_teacher = True
    usual_fit: ClassVar[dict[str, Any]] = {"evaluate_every": 1, "patience": 5}

    def __init__(
        self,
        data: Dataset,
        *,
        teacher: Recommender | None = None,
        dim: int = 64,
        temperature: float = 0.3,
        candidates: int = 1024,
        l2: float = 0.0,
        init: Literal["teacher", "random"] = "teacher",
    ) -> None:
        super().__init__(data, dim=dim, l2=l2)
        self.temperature, self.candidates = temperature, candidates
        tables = standardised(tables_of(Ensemble(data) if teacher is None else teacher))
        self.register_buffer("teacher_users", tables.users)
        self.register_buffer("teacher_items", tables.items)
        if init == "teacher":
            with torch.no_grad():
                self.nodes.weight.copy_(torch.cat(of_rank(tables, dim)))

    @property
    def taught(self) -> Embeddings:
        """The teacher's tables, whose scores have spread 1."""
        return Embeddings(self.get_buffer("teacher_users"), self.get_buffer("teacher_items"))

    def embed(self) -> Embeddings:
        return self.split(self.nodes.weight)

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        users, items = batch.users, shared(batch)
        ids = rows_of(self.nodes.weight, torch.cat([users, self.num_users + items]))
        own, others = ids.tensor_split((len(users),))
        known = affine(rows_of(self.taught.users, users), rows_of(self.taught.items, items))
        terms = {"softmax_kd": losses.softmax_kd(known, affine(own, others), self.temperature)}
        return terms | ({"l2": self.l2 * (losses.l2(own) + losses.l2(others))} if self.l2 else {})

    @torch.no_grad()
    def monitor(self, score: Callable[[Scorer], float]) -> dict[str, float]:
        """The teacher's own validation Recall."""
        return {"teacher_recall": score(self.taught)}


@torch.no_grad()
def of_rank(tables: Embeddings, dim: int) -> Embeddings:
    """The tables of width `dim` whose scores have the least squared distance from those of `tables`; float64 inside.

    The singular value decomposition of the scores, through QR of both tables: the scores themselves are never there. A
    column of either table has the root of a singular value as its norm; columns beyond the rank are zero.
    """
    (q, r), (p, s) = (torch.linalg.qr(table.double()) for table in tables)
    left, values, right = torch.linalg.svd(r @ s.T, full_matrices=False)
    width = min(dim, len(values))
    roots = values[:width].sqrt()
    found = (q @ left[:, :width] * roots, p @ right[:width].T * roots)
    return Embeddings(*(torch.nn.functional.pad(table.float(), (0, dim - width)) for table in found))
