"""Variants of MMKD, each with one thing changed: what the paper argues against, and what its released code does.

They exist to be measured against MMKD (Table 5) and are nobody's default. A name is the model's, a plus, and what is
changed. Those of the released code (HKUDS/PromptMM at 70da100; `mmkd+released-...`):

1. graph: the column blocks of the student's adjacency are in the wrong order, so that a user's row reads the first
   nodes of the stack, which are users, and not the items.
2. pair, list: the KL divergences are fed losses, not logarithms of probabilities; they have no lower bound, and their
   gradient does not vanish where student and teacher agree.
3. tables: the student's two tables share one storage, so that it starts at 2 E^T and every step is taken twice.

That the prompt gets no gradient there is `prompt_mode="frozen"`, and that it selects on test is `load(..., swap=True)`.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mmkd_core.data import Dataset
from mmkd_core.graph import edge_weights, propagate
from mmkd_core.layers import embedding
from mmkd_core.models.base import Recommender
from mmkd_core.models.mmkd import MMKD, STUDENTS, Lesson, LightGCNStudent
from mmkd_core.models.teacher import Prompt, Teacher
from mmkd_core.sparse import Graph


class XavierPrompt(Prompt):
    """A prompt whose input is a trained table, Xavier-uniform at the start, in place of the content's PCA scores."""

    def __init__(self, data: Dataset, dim: int) -> None:
        nn.Module.__init__(self)
        self.table = embedding(data.num_items, dim)
        self.linear = nn.Linear(dim, dim)

    def forward(self) -> Float[Tensor, "item dim"]:
        return self.linear(self.table.weight)

    def inputs(self) -> None:
        return None


class XavierTeacher(Teacher):
    """The teacher with the plain start of a prompt that Sec. 3.1.2 argues against."""

    prompt_kind = XavierPrompt


class MSEDistillation(MMKD):
    """The mean squared error, over items, modalities and channels, in place of the scaled cosine error of Eq. 11."""

    def embed_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        content, items = self.content_and_items(lesson)
        return F.mse_loss(items.expand_as(content), content)


def _released_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean of t (log t - s), which is the KL divergence where s is a log-probability; here both are losses."""
    return torch.where(teacher > 0, teacher * (teacher.clamp_min(1e-12).log() - student), 0).mean()


class ReleasedPair(MMKD):
    """Pair-wise distillation as released: the gradient of BPR weighted by minus the teacher's loss."""

    def pair_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        margins = self.teacher_margins(lesson), lesson.margins
        return _released_kl(*(-F.logsigmoid(margin) for margin in margins))


class ReleasedList(MMKD):
    """List-wise distillation as released, without the disentangled loss of Eq. 10."""

    def list_kd(self, lesson: Lesson) -> Float[Tensor, ""]:
        loss = -(lesson.scores.softmax(1) + 1e-8).log()
        teachers = lesson.know.content_logits(lesson.batch).unbind(2)
        return torch.stack([_released_kl(-(logits.softmax(1) + 1e-8).log(), loss) for logits in teachers]).mean()


def misordered(data: Dataset) -> Graph:
    """LightGCN's operator with its column blocks in the released order: items first, then users."""
    users, items = data.train.T
    values = edge_weights(users, items)
    nodes = data.num_users + data.num_items
    rows, cols = torch.cat([users, data.num_users + items]), torch.cat([items, data.num_items + users])
    return Graph(rows, cols, torch.cat([values, values]), (nodes, nodes))


class MisorderedStudent(LightGCNStudent):
    """The student with blocks [[A, 0], [0, A^T]] of shape (U + I) x (I + U) on the stack of users and items."""

    def __init__(self, data: Dataset, start: Tensor, dim: int, layers: int, init: str) -> None:
        super().__init__(data, start, dim, layers, init)
        self.graph = misordered(data)


class ReleasedGraph(MMKD):
    """The student's graph with its column blocks in the released order; normalised as in MMKD."""

    students = STUDENTS | {"lightgcn": MisorderedStudent}


class DoubledStudent(LightGCNStudent):
    """Two tables with one storage: what is propagated is their sum, and the optimiser moves the storage twice."""

    def __init__(self, data: Dataset, start: Tensor, dim: int, layers: int, init: str) -> None:
        super().__init__(data, start, dim, layers, init)
        self.twin = nn.Parameter(self.nodes.weight.data)

    def tie(self) -> None:
        """Makes one storage of the two again, after a move to another device."""
        self.twin.data = self.nodes.weight.data

    def forward(self) -> Float[Tensor, "node dim"]:
        return propagate(self.graph, self.nodes.weight + self.twin, self.layers)


class ReleasedTables(MMKD):
    """Two student tables that share their storage. Raises `ValueError` on a GPU, whose optimiser moves both at once."""

    students = STUDENTS | {"lightgcn": DoubledStudent}

    def refresh(self) -> None:
        super().refresh()
        if isinstance(self.student, DoubledStudent):
            if self.student.twin.is_cuda:
                raise ValueError("mmkd+released-tables on a GPU: its tables share one storage; expected --device cpu")
            self.student.tie()


VARIANTS_OF_MMKD: dict[str, type[Recommender]] = {
    "teacher+xavier": XavierTeacher,
    "mmkd+mse": MSEDistillation,
    "mmkd+released-pair": ReleasedPair,
    "mmkd+released-list": ReleasedList,
    "mmkd+released-graph": ReleasedGraph,
    "mmkd+released-tables": ReleasedTables,
}
