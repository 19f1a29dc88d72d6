"""Two teachers as one: the sum of their scores, each in units of its own spread; nothing is trained.

    s(u, i) = (1 - share) s_A(u, i) / sigma_A + share s_B(u, i) / sigma_B

sigma is the mean over the users of the standard deviation of a user's scores of all items. The sum is served as one
pair of tables, both teachers' side by side, and is the better the more unlike they err. `share` is chosen on validation
unless it is given; 0 and 1, one teacher alone, are among the choices.

Rank fusion by normalised scores: Fox & Shaw, Combination of Multiple Searches, TREC-2 1994 (CombSUM). Differs from it:
1. Scores are divided by their spread, not mapped to [0, 1]. 2. A weight.
"""

from collections.abc import Callable

import torch

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.evaluation import SELECTED_AT, Scorer, evaluate
from mmkd_core.models.base import Recommender
from mmkd_core.models.softmax import SoftmaxFactors, SoftmaxTeacher

SHARES = (1 / 2, 1 / 3, 2 / 3, 0.0, 1.0)  # of equally good ones the first


class Ensemble(Recommender):
    """The sum of two trained recommenders; without them untrained ones of default settings are made."""

    title, citation = "Two teachers", "fox1994combination"
    reads_content = True
    teachers = ("softmax-teacher", "softmax-factors")
    any_teacher = True
    trained = False

    def __init__(
        self,
        data: Dataset,
        *,
        teacher: Recommender | None = None,
        second: Recommender | None = None,
        share: float | None = None,
    ) -> None:
        super().__init__(data)
        pair = (teacher or SoftmaxTeacher(data), second or SoftmaxFactors(data))
        first, other = (standardised(tables_of(model)) for model in pair)
        share = best_share(first, other, data) if share is None else share
        self.register_buffer("share", torch.tensor(share))
        mixed = weighted(first, other, share)
        self.register_buffer("users", mixed.users)
        self.register_buffer("items", mixed.items)

    def embed(self) -> Embeddings:
        return Embeddings(self.get_buffer("users"), self.get_buffer("items"))

    def monitor(self, score: Callable[[Scorer], float]) -> dict[str, float]:
        """The second teacher's share, which validation may have chosen."""
        return {"share": float(self.get_buffer("share"))}


@torch.no_grad()
def tables_of(model: Recommender) -> Embeddings:
    """What a teacher serves, in evaluation mode; raises `ValueError` for one that is no pair of tables (ItemKNN)."""
    tables = model.eval().embed()
    if not isinstance(tables, Embeddings):
        raise ValueError(f"{type(model).__name__} serves {type(tables).__name__}; expected a teacher with two tables")
    return Embeddings(tables.users.detach(), tables.items.detach())


@torch.no_grad()
def standardised(tables: Embeddings) -> Embeddings:
    """The same scores in units of their spread: the mean over the users of the standard deviation over all items.

    From the second moments of the items, in float64; the scores themselves are never there. Scores that are all equal
    stay as they are.
    """
    users, items = (table.double() for table in tables)
    centred = items - items.mean(0)
    covariance = centred.T @ centred / len(items)
    spread = float(((users @ covariance) * users).sum(1).clamp_min(0).sqrt().mean())
    return Embeddings((users / (spread or 1)).float(), tables.items.float())


def weighted(first: Embeddings, second: Embeddings, share: float) -> Embeddings:
    """Tables, side by side, of (1 - `share`) times the scores of the first and `share` times those of the second."""
    users = torch.cat([(1 - share) * first.users, share * second.users], dim=1)
    return Embeddings(users, torch.cat([first.items, second.items], dim=1))


def best_share(first: Embeddings, second: Embeddings, data: Dataset) -> float:
    """The one of `SHARES` with the best validation Recall@20, and of these NDCG@20; the first without validation."""
    k = min(SELECTED_AT, data.num_items)

    def merit(share: float) -> tuple[float, ...]:
        return tuple(float(x.mean()) for x in evaluate(weighted(first, second, share), data, "val", (k,)).values())

    return max(SHARES, key=merit) if len(data.val) else SHARES[0]
