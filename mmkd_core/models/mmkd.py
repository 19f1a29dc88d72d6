"""MMKD: the student's stage of the paper, Sec. 3.2, Eq. 12, with the prompt tuned through the frozen teacher.

    L = BPR(E^S) + l2 term
        + pair  * PairKD(margins of E^T || margins of E^S)                                  Eq. 5
        + list  * mean over m of ListKD(F_u^m . F_i^m || e_u^S . e_i^S)                     Eq. 10
        + embed * mean over m of mean over i of (1 - cos(F_i^m, e_i^S))^gamma               Eq. 11

The student is LightGCN (the paper's) or a GCN over the teacher's final embeddings (its Table 8), which needs the
teacher's tables to serve.

Differs from the paper: 1. Errata B1-B12 in the losses. 2. The start from E^T (Algorithm 1 alone says so) is a switch,
`init`. 3. "Updated by the student's recommendation loss": BPR of E^S does not depend on the prompt, so its gradient
comes through the teacher's side of the distillation losses (`prompt_mode="kd"`).
Differs from the released code: 1. The prompt gets that gradient at all. 2. List distillation is Eq. 10. 3. One student
table, not two that share storage. 4. The teacher stays in evaluation mode. 5. Negatives belong to their user. 6. PairKD
is a KL divergence, and the student's graph sends items to users (`variants.py` has the released forms of 2, 3 and 6).
7. ListKD and EmbKD are means over the modalities, not sums. 8. L2 takes rows of layer 0, not of the output, and there
is no decay beside it; there AdamW's own of 0.01. 9. The GCN student propagates; there it is two linear layers.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core import losses
from mmkd_core.data import Batch, Dataset, Embeddings
from mmkd_core.evaluation import Scorer
from mmkd_core.graph import bipartite, propagate
from mmkd_core.kernels import listed_scores
from mmkd_core.layers import embedding
from mmkd_core.models.base import Recommender, row_l2
from mmkd_core.models.teacher import Knowledge, Teacher


class LightGCNStudent(nn.Module):
    """LightGCN over its own table, which starts at `start` (node, dim) or at random."""

    usual_layers = 1

    def __init__(self, data: Dataset, start: Float[Tensor, "node dim"], dim: int, layers: int, init: str) -> None:
        super().__init__()
        self.layers = layers
        self.nodes = embedding(len(start), dim)
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        if init == "teacher":
            with torch.no_grad():
                width = min(dim, start.shape[1])
                self.nodes.weight[:, :width] = start if width == dim == start.shape[1] else _compress(start, width)

    def regularised(self, output: Tensor) -> Float[Tensor, "node dim"]:
        """The table whose rows L2 keeps small: layer 0, as in LightGCN."""
        return self.nodes.weight

    def forward(self) -> Float[Tensor, "node dim"]:
        return propagate(self.graph, self.nodes.weight, self.layers)


class GCNStudent(nn.Module):
    """Graph convolutions with bias-free d x d weights over the teacher's embeddings, which it keeps.

    H^(l+1) = leaky_relu(D^-1/2 A D^-1/2 H^(l) W^(l)), the last one linear. `init="teacher"` starts at W = 1; where the
    student is narrower than the teacher, the first W holds the principal directions of the teacher's tables.
    """

    usual_layers = 2  # as many numbers as Table 8: there it is one layer, a matrix for users and one for items

    def __init__(self, data: Dataset, start: Float[Tensor, "node dim"], dim: int, layers: int, init: str) -> None:
        super().__init__()
        self.register_buffer("start", start.clone())
        self.graph = bipartite(data.train, data.num_users, data.num_items)
        widths = [start.shape[1]] + [dim] * layers
        set_weight = nn.init.eye_ if init == "teacher" else nn.init.xavier_uniform_
        self.weights = nn.ParameterList(
            nn.Parameter(set_weight(torch.empty(rows, cols))) for rows, cols in pairwise(widths)
        )
        if init == "teacher" and layers and dim < widths[0]:
            with torch.no_grad():
                self.weights[0].copy_(_directions(start, dim))

    def regularised(self, output: Tensor) -> Float[Tensor, "node dim"]:
        """The table whose rows L2 keeps small: the output, since layer 0 is constant."""
        return output

    def forward(self) -> Float[Tensor, "node dim"]:
        hidden = self.get_buffer("start")
        for index, weight in enumerate(self.weights):
            hidden = self.graph(hidden @ weight)
            if index + 1 < len(self.weights):
                hidden = F.leaky_relu(hidden)
        return hidden


def _directions(x: Float[Tensor, "node teacher_dim"], width: int) -> Float[Tensor, "teacher_dim width"]:
    """The first `width` principal directions of the rows as columns, float64.

    Not centred: inner products are what scores are made of.
    """
    _, _, directions = torch.linalg.svd(x.double().T @ x.double())
    return directions[:width].T


def _compress(x: Float[Tensor, "node teacher_dim"], width: int) -> Float[Tensor, "node width"]:
    """The rows in their first `width` principal directions."""
    return (x.double() @ _directions(x, width)).to(x.dtype)


class Lesson(NamedTuple):
    """What the distillation terms of a step share: both sides and the student's scores of the batch."""

    know: Knowledge
    batch: Batch  # its users are rows of `know`
    student: Embeddings
    scores: Float[Tensor, "batch list"]  # the student's, each row's positive in column 0
    margins: Float[Tensor, " batch"]  # of these, the positive's over the first negative's


STUDENTS = {"lightgcn": LightGCNStudent, "gcn": GCNStudent}
TABLES = ("users", "items", "user_content", "item_content")


class MMKD(Recommender):
    """A frozen teacher, a live prompt and a student; `embed()` is the student's and `loss()` is Eq. 12.

    `teacher` is kept as `.teacher`, its weights frozen and its prompt tuned in place when `prompt_mode="kd"`; without
    one an untrained teacher of default settings is made. `prompt_mode="off"` leaves the prompt out of the teacher in
    this stage. `layers` is 1 for the LightGCN student and 2 for the GCN unless given. `negatives` is the number of
    unobserved items of a list; BPR and PairKD use the first. With `dim` other than the teacher's, the start is the
    teacher's tables in their principal directions and EmbKD goes through one learned linear map.
    """

    title, citation = "MMKD", "wei2024promptmm"
    reads_content = True
    teachers = ("teacher",)
    students = STUDENTS

    def __init__(
        self,
        data: Dataset,
        *,
        teacher: Teacher | None = None,
        student: Literal["lightgcn", "gcn"] = "lightgcn",
        init: Literal["teacher", "random"] = "teacher",
        prompt_mode: Literal["kd", "frozen", "off"] = "kd",
        dim: int = 64,
        layers: int | None = None,
        l2: float = 1e-4,
        pair: float = 1.0,
        list: float = 0.03,
        embed: float = 0.03,
        alpha: float = 1.0,
        beta: float = 4.0,
        temperature: float = 1.0,
        gamma: float = 2.0,
        negatives: int = 10,
    ) -> None:
        super().__init__(data)
        self.negatives = negatives
        self.l2, self.prompt_mode = l2, prompt_mode
        self.weights = {"pair_kd": pair, "list_kd": list, "embed_kd": embed}
        self.alpha, self.beta, self.temperature, self.gamma = alpha, beta, temperature, gamma
        self.teacher = teacher if teacher is not None else Teacher(data)
        self._freeze_teacher()
        with torch.no_grad():
            know = self._compute_knowledge()
            start = torch.cat(know.embeddings())
        kind = self.students[student]
        self.student = kind(data, start, dim, kind.usual_layers if layers is None else layers, init)
        teacher_dim = know.users.shape[1]
        self.map = nn.Linear(dim, teacher_dim, bias=False) if embed and dim != teacher_dim else None
        self._store(*((know, "initial_") if self.prompt_is_live else (know.fused(), "known_")))

    @property
    def prompt_is_live(self) -> bool:
        """Whether a gradient can reach the prompt: it is there, it is to be tuned, and some distillation is on."""
        live = self.teacher.prompt is not None and self.prompt_mode == "kd"
        return live and any(self.weights.values())

    def _freeze_teacher(self) -> None:
        self.teacher.freeze()
        self.teacher.eval()
        if self.teacher.prompt is not None:
            self.teacher.prompt.requires_grad_(self.prompt_is_live)

    def _compute_knowledge(self) -> Knowledge:
        return self.teacher.know(with_prompt=self.prompt_mode != "off")

    def _store(self, know: Knowledge, prefix: str) -> None:
        for name in TABLES:
            self.register_buffer(prefix + name, getattr(know, name).detach(), persistent=False)

    def _stored(self, prefix: str) -> Knowledge:
        tables = {name: self.get_buffer(prefix + name) for name in TABLES}
        weight = 0.0 if prefix == "known_" else self.teacher.content_weight  # what is known is stored fused
        return Knowledge(**tables, content_weight=weight)

    def knowledge(self) -> Knowledge:
        """What the teacher hands on now: computed afresh while the prompt is live, else the stored constants."""
        return self._compute_knowledge() if self.prompt_is_live else self._stored("known_")

    def _knowledge_at(self, batch: Batch) -> tuple[Knowledge, Batch]:
        """The same for a step: while the prompt is live of the batch's users alone, who are numbered as its rows."""
        if not self.prompt_is_live:
            return self._stored("known_"), batch
        rows = torch.arange(len(batch.users), device=batch.users.device)
        return self.teacher.know(batch.users), batch._replace(users=rows)

    def train(self, mode: bool = True) -> "MMKD":
        """Sets the student's mode; the teacher stays in evaluation mode, or dropout would blur its targets."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def refresh(self) -> None:
        self._freeze_teacher()
        if not self.prompt_is_live:
            self._store(self._compute_knowledge().fused(), "known_")

    def embed(self) -> Embeddings:
        return self.split(self.student())

    def loss(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        nodes = self.student()
        student = self.split(nodes)
        scores = listed_scores(student.users, student.items, batch.users, batch.lists).squeeze(-1)
        margins = _margins(scores)
        terms = {"bpr": losses.bpr_of_margins(margins)}
        terms |= row_l2(self.student.regularised(nodes), self.num_users, batch, self.l2)
        weights = {name: weight for name, weight in self.weights.items() if weight}
        if weights:
            lesson = Lesson(*self._knowledge_at(batch), student, scores, margins)
            distillation = {"pair_kd": self.pair_kd, "list_kd": self.list_kd, "embed_kd": self.embed_kd}
            terms |= {name: weight * distillation[name](lesson) for name, weight in weights.items()}
        return terms

    def pair_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        """Eq. 5 of the batch's margins."""
        return losses.pair_kd(self.teacher_margins(lesson), lesson.margins, self.temperature)

    def list_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        """Eq. 10 of the batch's lists, mean over the modalities."""
        by_modality = lesson.know.content_logits(lesson.batch).permute(2, 0, 1)
        return losses.list_kd(by_modality, lesson.scores, self.alpha, self.beta, self.temperature)

    def embed_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        """Eq. 11 of all items, mean over the modalities."""
        return losses.scaled_cosine_error(*self.content_and_items(lesson), self.gamma)

    def teacher_margins(self, lesson: Lesson) -> Float[Tensor, " batch"]:
        """The teacher's scores of the positives less those of the first negatives."""
        batch = lesson.batch
        return _margins(lesson.know.logits(batch._replace(neg=batch.neg[:, :1])))

    def content_and_items(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """F_i^m, (item, modality, dim), and the student's items in the teacher's width, (item, 1, dim)."""
        items = lesson.student.items
        return lesson.know.content_of_items(), (items if self.map is None else self.map(items))[:, None]

    @torch.no_grad()
    def monitor(self, score: Callable[[Scorer], float]) -> dict[str, float]:
        """The teacher's own validation Recall, and how far its embeddings have moved: the watch for target collapse."""
        if not self.prompt_is_live:
            return {}
        now, before = self.knowledge().embeddings(), self._stored("initial_").embeddings()
        return {
            "teacher_recall": score(now),
            "target_change": float((torch.cat(now) - torch.cat(before)).norm() / torch.cat(before).norm()),
        }


def _margins(scores: Float[Tensor, "batch list"]) -> Float[Tensor, " batch"]:
    """Scores of the positives, column 0, less those of the first negatives."""
    pos, first, _ = scores.split([1, 1, scores.shape[1] - 2], dim=1)
    return (pos - first).squeeze(1)
