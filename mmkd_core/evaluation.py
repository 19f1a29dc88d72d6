"""All-ranking evaluation and top-K lists, in blocks of users, without a user-by-item mask in memory."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mmkd_core.data import Dataset, Embeddings
from mmkd_core.kernels import dense, ranges
from mmkd_core.metrics import ndcg, recall
from mmkd_core.settings import quoted

KS = (20, 50)  # the cut-offs of records and tables
SELECTED_AT = 20  # that by which training keeps its best epoch, on validation
BLOCK = 256  # users ranked at once: 256 x 20,000 scores are 20 MB
CACHED = 64  # the same where only the processor's cache holds the scores
NARROW = 192  # up to this width a product has the same bits in blocks of either size, by torch and by oneDNN
GROUP = 8  # items that compete as one, by the best of them, until the best groups are known


@runtime_checkable
class Scorer(Protocol):
    """Tables that score all items for some users: `Embeddings`, or ItemKNN's sparse neighbourhood."""

    @property
    def device(self) -> torch.device: ...

    def scores(self, users: Int[Tensor, " batch"]) -> Float[Tensor, "batch item"]: ...


class ScoreError(ValueError, FloatingPointError):
    """Scores that are NaN or infinite, so that no list is right: wrong tables, or a training that diverged."""


class Ranking(NamedTuple):
    """The best items of some users, best first; an id of -1 fills a list that has fewer candidates."""

    items: Int[Tensor, "user list"]
    scores: Float[Tensor, "user list"]


@torch.no_grad()
def rank(
    tables: Scorer,
    users: Int[Tensor, " user"],
    data: Dataset,
    k: int,
    *,
    seen: Int[Tensor, "edge 2"] | None = None,
    left_out: Bool[Tensor, " item"] | None = None,
) -> Ranking:
    """The best `k` items for each of `users`, without those that the user has in `data.train`.

    `seen`, rows of (user, item), are left out in place of `data.train`, and so are for all users the items at which
    `left_out` is True. The lists are exact; equal scores come in the order that `topk` of the whole row gives them.
    Raises `ValueError` when `k` is not between 1 and the number of items, and `ScoreError` where a score is NaN or
    infinite: NaN would come first.
    """
    check_cut_off(k, data)
    seen = (data.train if seen is None else seen).to(users.device)
    seen = seen[seen[:, 0].argsort(stable=True)]
    owners = seen[:, 0].contiguous()
    bounded = isinstance(tables, Embeddings) and _bounded(tables)
    # one table for all blocks: a small result per block would keep the memory that they free in pieces
    items, values = users.new_empty(len(users), k), torch.empty(len(users), k, device=users.device)
    score, step = _scoring(tables)

    @torch.no_grad()
    def fill(start: int) -> None:
        block = users[start : start + step]
        scores = score(block)
        if not bounded:
            _check_finite(scores, block)
        row, position = ranges(torch.searchsorted(owners, block), torch.searchsorted(owners, block, right=True))
        scores[row, seen[position, 1]] = -torch.inf
        if left_out is not None:
            scores.masked_fill_(left_out.to(scores.device), -torch.inf)
        values[start : start + step], items[start : start + step] = _top(scores, k)

    _on_all_threads(fill, range(0, len(users), step), users.device)
    return Ranking(items.masked_fill(values == -torch.inf, -1), values)


def _on_all_threads(work: Callable[[int], None], starts: Sequence[int], device: torch.device) -> None:
    """Calls `work` for each start; on a CPU as many at once as torch has threads, of which each then takes one.

    Blocks are too small to divide each of them: two threads so are 1.75 times as fast as one, the other way 1.2 times.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    if threads == 1 or len(starts) < threads:
        for start in starts:
            work(start)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, starts))
    finally:
        torch.set_num_threads(threads)


def _scoring(tables: Scorer) -> tuple[Callable[[Tensor], Tensor], int]:
    """What gives the `tables.scores` of users, and of how many at once. oneDNN's product is up to twice torch's own."""
    if not isinstance(tables, Embeddings) or not 1 <= tables.users.shape[1] <= NARROW:
        return tables.scores, BLOCK
    if any(table.dtype != torch.float32 or table.device.type != "cpu" for table in tables):
        return tables.scores, BLOCK
    return lambda users: dense(tables.users[users], tables.items.T, traced=False), CACHED


def _top(scores: Float[Tensor, "batch item"], k: int) -> tuple[Tensor, Tensor]:
    """What `scores.topk(k, dim=1)` gives, values and columns, also among equal scores; sooner on a CPU."""
    if scores.device.type != "cpu" or scores.shape[1] <= 2 * GROUP * (k + 1):
        return scores.topk(k, dim=1)
    values, items = _largest(scores, k + 1)
    tied = (values[:, 1:] == values[:, :-1]).any(1).nonzero()[:, 0]  # in all other rows only one order is right
    values, items = values[:, :k], items[:, :k]
    if len(tied):
        values[tied], items[tied] = scores[tied].topk(k, dim=1)
    return values, items


def _largest(scores: Float[Tensor, "batch item"], k: int, *, ordered: bool = True) -> tuple[Tensor, Tensor]:
    """`topk` up to the order of equal scores: the k largest lie in the k groups of items with the largest maxima."""
    groups = scores.shape[1] // GROUP  # item i is in group i % groups; the last few items are in none
    if groups <= 2 * k:
        return scores.topk(k, dim=1, sorted=ordered)
    grouped = groups * GROUP
    _, best = _largest(scores[:, :grouped].unflatten(1, (GROUP, groups)).amax(1), k, ordered=False)
    members = best[:, None] + torch.arange(0, grouped, groups)[:, None]
    rest = torch.arange(grouped, scores.shape[1]).expand(len(scores), -1)
    candidates = torch.cat([members.flatten(1), rest], dim=1)
    values, place = scores.gather(1, candidates).topk(k, dim=1, sorted=ordered)
    return values, candidates.gather(1, place)


def checked_users(users: Sequence[int] | Int[Tensor, " user"], data: Dataset) -> Int[Tensor, " user"]:
    """`users` as a tensor; raises `ValueError` for what is no user of `data`."""
    try:
        ids = torch.as_tensor(users)
    except ValueError:  # beyond 64 bits, or lists of several lengths
        last = data.num_users - 1
        raise ValueError(f"users={quoted(users)} of {data.name}; expected whole numbers from 0 to {last}") from None
    if ids.dim() != 1 or (len(ids) and (ids.is_floating_point() or ids.dtype == torch.bool)):
        raise ValueError(f"users={quoted(users)}; expected a sequence of whole numbers, such as [0, 1]")
    for user in ids.tolist():
        if not 0 <= user < data.num_users:
            raise ValueError(f"user {user} of {data.name}; expected 0 to {data.num_users - 1}")
    return ids.to(torch.int64)


def seen_by(users: Int[Tensor, " user"], data: Dataset) -> Int[Tensor, "edge 2"]:
    """The training interactions of some users alone, in the order of `users`."""
    owners = data.train[:, 0].contiguous()
    _, position = ranges(torch.searchsorted(owners, users), torch.searchsorted(owners, users, right=True))
    return data.train[position]


def check_cut_off(k: int, data: Dataset) -> None:
    """Raises `ValueError` for a `k` that is no length of a list of items of `data`."""
    if not 1 <= k <= data.num_items:
        raise ValueError(f"k={k} for a catalogue of {data.num_items} items; expected 1 to {data.num_items}")


def _bounded(tables: Embeddings) -> bool:
    """Whether the largest numbers of both tables rule out a score that is NaN or infinite: none need be looked at."""
    # NaN where there is one, and then no bound
    users, items = (float(table.detach().abs().amax()) if table.numel() else 0.0 for table in tables)
    return users * items * tables.users.shape[1] < torch.finfo(tables.users.dtype).max


def _check_finite(scores: Float[Tensor, "batch item"], users: Int[Tensor, " batch"]) -> None:
    """Raises `ScoreError` naming the first row, of a user or of an item, that makes a score NaN or infinite."""
    if scores.sum().isfinite():  # one number that is not spoils the sum, and a sum is soon done
        return
    wrong = ~scores.isfinite()
    if not wrong.any():  # only their sum is too large
        return
    row, item = wrong.nonzero()[0].tolist()
    user = int(users[row])
    whose = (
        f"all scores of user {user} (row {user} of the users' table)" if wrong[row].all()
        else f"all scores of item {item} (row {item} of the items' table)" if wrong[:, item].all()
        else f"the score of user {user} and item {item}"
    )  # fmt: skip
    raise ScoreError(
        f"{whose}: got {float(scores[row, item])}; expected finite numbers. If the model was trained, try a lower lr"
    )


def means(metrics: Mapping[str, Float[Tensor, " user"]]) -> dict[str, float]:
    """The mean over users of each metric, as `evaluate` gives them."""
    return {name: float(values.mean()) for name, values in metrics.items()}


@torch.no_grad()
def evaluate(
    tables: Scorer,
    data: Dataset,
    split: str = "test",
    ks: Sequence[int] = KS,
    *,
    mask_validation: bool = False,
) -> dict[str, Float[Tensor, " user"]]:
    """Recall@K and NDCG@K of every user with at least one item in `split`, in ascending user id.

    All items are ranked but the user's training items; with `mask_validation=True` the validation items are left out
    too when `split` is "test" (published protocols differ). Returns {"recall@20": tensor, "ndcg@20": ..., ...},
    float64, one value per user, on the CPU. Raises `ValueError` for an unknown split, an empty one, a K outside 1 to
    the number of items, and `ScoreError` for a score that is NaN or infinite.
    """
    if not ks:
        raise ValueError(f"ks is empty; expected cut-offs such as {KS}")
    check_cut_off(min(ks), data)
    places = hit_places(tables, data, split, max(ks), mask_validation=mask_validation)
    return metrics_at(places, getattr(data, split)[:, 0], ks)


@torch.no_grad()
def hit_places(
    tables: Scorer, data: Dataset, split: str = "test", k: int = max(KS), *, mask_validation: bool = False
) -> Int[Tensor, " edge"]:
    """Where each interaction of `split` stands in its user's list, 1 for the top; 0 where it is not among the first k.

    int64, on the CPU, in the order of the split. Candidates and errors are those of `evaluate`.
    """
    if split not in ("val", "test"):
        raise ValueError(f"unknown split {split!r}; one of ['val', 'test']")
    edges = getattr(data, split)
    if len(edges) == 0:
        raise ValueError(f"{data.name}: no interaction in split {split!r}, so nothing can be measured")
    edges = edges.to(tables.device)
    users = edges[:, 0].unique()
    seen = torch.cat([data.train, data.val]) if mask_validation and split == "test" else data.train
    ranking = rank(tables, users, data, k, seen=seen)
    keys = edges[:, 0] * data.num_items + edges[:, 1]  # sorted, as the data set's edges are
    ranked = users[:, None] * data.num_items + ranking.items
    edge = torch.searchsorted(keys, ranked).clamp_max(len(keys) - 1)
    user, place = ((keys[edge] == ranked) & (ranking.items >= 0)).nonzero().T
    places = torch.zeros(len(keys), dtype=torch.int64, device=keys.device)
    places[edge[user, place]] = place + 1
    return places.cpu()


def metrics_at(
    places: Int[Tensor, " edge"], users: Int[Tensor, " edge"], ks: Sequence[int]
) -> dict[str, Float[Tensor, " user"]]:
    """Recall@K and NDCG@K as `evaluate` gives them, from the places of `hit_places` and the users of the split.

    No K may be greater than the k that the places were taken with.
    """
    owners, positives = users.unique(return_counts=True)
    hits = torch.zeros(len(owners), max(ks), dtype=torch.bool)
    within = (places > 0) & (places <= max(ks))
    hits[torch.searchsorted(owners, users[within]), places[within] - 1] = True
    return {
        f"{name}@{k}": metric(hits, positives, k) for k in ks for name, metric in (("recall", recall), ("ndcg", ndcg))
    }
