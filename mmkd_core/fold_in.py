"""A row for who was not trained: of a user from the items that he or she chose, of an item from its users.

The trained rows of a table say how a row follows from what was chosen. With x the mean of the chosen rows of the other
table, n their number and s the root mean square of that table's entries, a row is

    e = [x, s, x log(1 + n), s log(1 + n)] W
    W = argmin over W of the sum over u of |e_u - f_u W|^2 + l2 tr(F^T F) / p |W|^2

e_u being the trained rows and f_u their p features, F's rows: a ridge regression, solved once for each pair of tables.
The count is there because what many chose lies elsewhere than what few did. NumPy alone is needed. Least squares of
choices on fixed items, as in alternating least squares (Hu, Koren and Volinsky, ICDM 2008), keeps 75 to 85 % of
the Recall of rows that were trained by another loss; this keeps 97 % and more.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64

EDGES = 2**15  # whose rows are in memory at once


class Folding(NamedTuple):
    """How a row follows from what was chosen: `weights` is W, `unit` s; `fewest` and `most` bound n."""

    weights: Float[np.ndarray, "feature dim"]
    unit: float
    fewest: int
    most: int


def learned(
    rows: Float[np.ndarray, "user dim"],
    items: Float[np.ndarray, "item dim"],
    indptr: Int64[np.ndarray, " user_and_1"],
    chosen: Int[np.ndarray, " edge"],
    *,
    l2: float = 0.01,
) -> Folding:
    """How the trained `rows` of users follow from the items that each chose, `chosen[indptr[u] : indptr[u + 1]]`.

    Learned from the users with a choice; a repeated one counts once. For items the two tables change places (see
    `by_item`). Float64 inside. Raises `ValueError` where nobody chose anything.
    """
    indptr, chosen = distinct(indptr, chosen, len(items))
    counts = np.diff(indptr)
    if not len(chosen):
        raise ValueError("nobody has chosen anything, so how rows follow from choices cannot be learned; got no edge")
    unit = float(np.sqrt(np.mean(np.square(items, dtype=np.float64))))
    folding = Folding(np.empty((0, 0)), unit, int(counts[counts > 0].min()), int(counts.max()))
    return _fitted(folding, ((own, rows[users]) for users, own in _features(items, indptr, chosen, folding)), l2)


def _fitted(folding: Folding, blocks: Iterable[tuple[np.ndarray, np.ndarray]], l2: float) -> Folding:
    """`folding` with the weights that lead from the features of all blocks to the rows beside them; itself by none."""
    gram, target = np.zeros((0, 0)), np.zeros((0, 0))
    for features, rows in blocks:
        squares, products = features.T @ features, features.T @ rows
        gram, target = (gram + squares, target + products) if len(gram) else (squares, products)
    if not len(gram):
        return folding
    return folding._replace(weights=ridge(gram, target, l2))


def ridge(
    gram: Float[np.ndarray, "feature feature"], target: Float[np.ndarray, "feature dim"], l2: float
) -> Float[np.ndarray, "feature dim"]:
    """The weights of a ridge regression with F^T F = `gram` and F^T E = `target`; `l2` is in means of the diagonal."""
    weight = l2 * np.trace(gram) / len(gram) or 1.0  # 1 where all is zero
    return np.linalg.solve(gram + weight * np.eye(len(gram)), target)


def fold_in(
    items: Float[np.ndarray, "item dim"],
    indptr: Int64[np.ndarray, " user_and_1"],
    chosen: Int[np.ndarray, " edge"],
    folding: Folding,
) -> Float32[np.ndarray, "user dim"]:
    """The row of each user who chose `chosen[indptr[u] : indptr[u + 1]]` of `items`, zeros without a choice.

    `folding` is what `learned` gives for the tables. A repeated choice counts once, and their order does not matter.
    """
    indptr, chosen = distinct(indptr, chosen, len(items))
    rows = np.zeros((len(indptr) - 1, folding.weights.shape[1]), np.float32)
    for users, features in _features(items, indptr, chosen, folding):
        rows[users] = features @ folding.weights
    return rows


class Choices(NamedTuple):
    """What each user chose, `chosen[indptr[u] : indptr[u + 1]]`, of `number` items."""

    indptr: Int64[np.ndarray, " user_and_1"]
    chosen: Int[np.ndarray, " edge"]
    number: int

    def turned(self) -> "Choices":
        """By whom each item was chosen."""
        return Choices(*by_item(*self), len(self.indptr) - 1)

    def of(self, known: Bool[np.ndarray, " item"]) -> "Choices":
        """Those of some items alone."""
        kept = known[self.chosen]
        users = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))[kept]
        return Choices(starts(users, len(self.indptr) - 1), self.chosen[kept], self.number)


def grown(
    users: Float[np.ndarray, "user dim"], items: Float[np.ndarray, "item dim"], before: Choices, now: Choices
) -> tuple[Float32[np.ndarray, "_ dim"], Float32[np.ndarray, "_ dim"]]:
    """The tables of users and items once `before`, the choices that they were trained on, has grown to `now`.

    New users and items are numbered after those with a trained row. That moves by what folding in `now` gives more than
    folding in `before`; who had chosen nothing then, and who is new, gets what folding in gives, items by way of
    `learned_apart`. It is of the trained rows of the other table and of the new ones that these alone give. A new row
    that nothing links to the trained ones is their mean: a user's of what all like, an item's in the middle. Since all
    follows from the trained tables and `now`, choices may come in any portions. Raises `ValueError` where nobody had
    chosen anything.
    """
    sides = _Side(users, items, before, now), _Side(items, users, before.turned(), now.turned())
    sides[1].fresh = learned_apart(users, items, before, sides[0].folding, sides[1].folding)
    (more_users, has_user), (more_items, has_item) = (side.extended() for side in sides)
    return sides[0].moved(more_items, has_item), sides[1].moved(more_users, has_user)


def learned_apart(
    users: Float[np.ndarray, "user dim"],
    items: Float[np.ndarray, "item dim"],
    before: Choices,
    of_users: Folding,
    of_items: Folding,
    *,
    parts: int = 10,
    l2: float = 0.01,
) -> Folding:
    """How an item's row follows from the rows of users who were trained without it, as it is with an item that is new.

    A trained row knows the items that its user chose, so `of_items` expects more of users than a new item finds in
    them, and places it too low. Here the items are dealt out to `parts`, and the rows of a part are learned from users
    whose rows have been moved by what folding in `before` gives without the items of that part.
    """
    folded = fold_in(items, before.indptr, before.chosen, of_users)
    part = np.arange(len(items)) % parts

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for place in range(parts):
            others = before.of(part != place)
            moved = users + fold_in(items, others.indptr, others.chosen, of_users) - folded
            own = before.of(part == place).turned().of(np.diff(others.indptr) > 0)
            for block, features in _features(moved, own.indptr, own.chosen, of_items):
                yield features, items[block]

    return _fitted(of_items, blocks(), l2)


class _Side:
    """One of two tables: its trained `rows`, the trained `others` that were chosen, choices then and now.

    `folding` leads from `others` to `rows`, and `fresh` to new rows.
    """

    def __init__(self, rows: np.ndarray, others: np.ndarray, before: Choices, now: Choices) -> None:
        self.rows, self.others, self.before, self.now = rows, others, before, now
        self.folding = self.fresh = learned(rows, others, before.indptr, before.chosen)

    def extended(self) -> tuple[np.ndarray, np.ndarray]:
        """The trained rows and those that the trained others give to new ones; which rows there are."""
        linked = self.now.of(np.arange(self.now.number) < len(self.others))
        new = linked.indptr[len(self.rows) :]
        more = fold_in(self.others, new - new[0], linked.chosen[new[0] :], self.fresh)
        return np.concatenate([self.rows, more]), np.concatenate([np.ones(len(self.rows), bool), np.diff(new) > 0])

    def moved(self, others: np.ndarray, has_row: np.ndarray) -> Float32[np.ndarray, "_ dim"]:
        """All rows, as `grown` says, by those of `others` that there are."""
        linked = self.now.of(has_row)
        mean = self.rows.mean(axis=0, dtype=np.float32)
        table = np.concatenate([self.rows, np.tile(mean, (len(linked.indptr) - 1 - len(self.rows), 1))]).astype(
            np.float32
        )
        has = np.diff(linked.indptr) > 0
        table[has] = fold_in(others, linked.indptr, linked.chosen, self.fresh)[has]
        had = np.flatnonzero(np.diff(self.before.indptr))
        after = fold_in(others, linked.indptr, linked.chosen, self.folding)
        old = fold_in(self.others, self.before.indptr, self.before.chosen, self.folding)
        table[had] = self.rows[had] + after[had] - old[had]
        return table


def by_item(
    indptr: Int64[np.ndarray, " user_and_1"], chosen: Int[np.ndarray, " edge"], num_items: int
) -> tuple[Int64[np.ndarray, " item_and_1"], Int64[np.ndarray, " edge"]]:
    """The same choices the other way round: who chose each item, users ascending."""
    users = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return starts(chosen, num_items), users[np.argsort(chosen, kind="stable")]


def distinct(
    indptr: Int64[np.ndarray, " user_and_1"], chosen: Int[np.ndarray, " edge"], num_items: int
) -> tuple[Int64[np.ndarray, " user_and_1"], Int64[np.ndarray, " kept"]]:
    """Each user's choices once and ascending."""
    keys = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)) * num_items + chosen
    keys = np.unique(keys) if (keys[1:] <= keys[:-1]).any() else keys
    users, items = np.divmod(keys, num_items)
    return starts(users, len(indptr) - 1), items


def starts(owners: Int[np.ndarray, " edge"], number: int) -> Int64[np.ndarray, " owner_and_1"]:
    """Where the edges of each owner begin once they are sorted by owner."""
    return np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=number))]).astype(np.int64)


def _features(
    items: np.ndarray, indptr: np.ndarray, chosen: np.ndarray, folding: Folding
) -> Iterator[tuple[Int64[np.ndarray, " block"], Float[np.ndarray, "block feature"]]]:
    """Blocks of the users who chose something, and their features in float64."""
    users = np.flatnonzero(np.diff(indptr))
    ends = indptr[users + 1]
    start = 0
    while start < len(users):
        edge = indptr[users[start]]
        end = max(start + 1, int(np.searchsorted(ends, edge + EDGES, side="right")))
        block = users[start:end]
        taken = items[chosen[edge : ends[end - 1]]].astype(np.float64)
        counts = (ends[start:end] - indptr[block])[:, None]
        means = np.add.reduceat(taken, indptr[block] - edge) / counts
        own = np.concatenate([means, np.full_like(means[:, :1], folding.unit)], axis=1)
        yield block, np.concatenate([own, own * np.log1p(np.clip(counts, folding.fewest, folding.most))], axis=1)
        start = end
