"""Which interactions are kept, and which are held out: on numbers alone, whatever they stand for."""

import numpy as np
from jaxtyping import Bool, Float64, Int, Int8, Int64

_SHARE = "rounded down and at least one; a user with fewer than three has all in train"
RULES = {
    "random": f"of each user's interactions a share drawn at random, {_SHARE}",
    "latest": f"of each user's interactions the last by time go to test, those before to validation: a share, {_SHARE}",
    "date": "interactions from a time on, whoever made them; users without a training interaction are left out",
}
TRAIN, VAL, TEST = 0, 1, 2  # x_label of MMRec
VAL_SHARE = 0.1


def core(users: Int[np.ndarray, " edge"], items: Int[np.ndarray, " edge"], k: int) -> Int64[np.ndarray, " kept"]:
    """The rows of the k-core, ascending: the most pairs of which each user and each item has at least k.

    Users and items with fewer are left out again and again, until none has.
    """
    rows = np.arange(len(users))
    while len(rows):
        kept = (np.bincount(users) >= k)[users] & (np.bincount(items) >= k)[items]
        if kept.all():
            break
        users, items, rows = users[kept], items[kept], rows[kept]
    return rows


def held_out(count: Int64[np.ndarray, " user"], val: float, test: float) -> tuple[np.ndarray, np.ndarray]:
    """How many of so many interactions go to validation and to test: their shares, rounded down, at least one each.

    All of fewer than three stay in train, where at least one always stays.
    """
    most = np.maximum(count - 2, 0)
    tests = np.minimum(np.maximum(np.floor(count * test + 1e-9), 1), most) if test else 0 * count
    vals = np.minimum(np.maximum(np.floor(count * val + 1e-9), 1), count - 1 - tests) if val else 0 * count
    few = count < 3
    return np.where(few, 0, vals).astype(np.int64), np.where(few, 0, tests).astype(np.int64)


def by_user(
    users: Int[np.ndarray, " edge"],
    rank: Float64[np.ndarray, " edge"] | Int64[np.ndarray, " edge"],
    val: float,
    test: float,
) -> Int8[np.ndarray, " edge"]:
    """Labels of a split within each user: those of the highest `rank` go to test, those before to validation.

    Of equal ranks the later row is the higher. How many go where, `held_out` says.
    """
    order = np.lexsort((rank, users))
    counts = np.bincount(users)
    vals, tests = held_out(counts, val, test)
    own = users[order]
    to_end = np.cumsum(counts)[own] - np.arange(len(users))  # 1 for a user's last
    labels = np.empty(len(users), dtype=np.int8)
    labels[order] = np.select([to_end <= tests[own], to_end <= (tests + vals)[own]], [TEST, VAL], TRAIN)
    return labels


def without_validation(
    users: Int64[np.ndarray, " edge"], items: Int64[np.ndarray, " edge"]
) -> Bool[np.ndarray, " edge"]:
    """Which training interactions go to validation where the files have none: `by_user` with a share of a tenth.

    Whoever reads these pairs, in whatever order and with whichever version of NumPy, holds out the same: the ranks are
    raw numbers of a generator, which NumPy promises never to change. A pair that stands twice is not parted.
    """
    order = np.lexsort((items, users))
    first = np.append(True, (np.diff(users[order]) != 0) | (np.diff(items[order]) != 0))[: len(order)]
    ranks = (np.random.PCG64(0).random_raw(int(first.sum())) >> np.uint64(1)).astype(np.int64)
    held = np.empty(len(order), dtype=bool)
    held[order] = (by_user(users[order][first], ranks, VAL_SHARE, 0) == VAL)[np.cumsum(first) - 1]
    return held


def by_date(times: Int64[np.ndarray, " edge"], val_from: int, test_from: int) -> Int8[np.ndarray, " edge"]:
    """Labels of a split by time: validation from `val_from` on, test from `test_from` on."""
    return (times >= val_from).astype(np.int8) + (times >= test_from)


def trained(users: Int[np.ndarray, " edge"], labels: Int8[np.ndarray, " edge"]) -> Bool[np.ndarray, " edge"]:
    """The rows of users who have an interaction in train."""
    return np.bincount(users, labels == TRAIN)[users] > 0
