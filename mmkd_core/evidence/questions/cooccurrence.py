"""Do choices made together tell a user's taste? Why ItemKNN can fall behind Popularity (no table of the paper's).

A validation pair (u, i) asks whether i comes before each of the items of exactly as many training interactions that u
has neither in training nor in validation, so that popularity has no say. With I_v the training items of user v, the
scores are

    votes     sum over the users v who chose i of |I_u and I_v|, that is, over the items j of I_u, of |U_i and U_j|
    divided   the same, each user's vote divided by |I_v|
    active    how many of those who chose i are among the most active hundredth of the users; the same for all u

AUC: share of these items that i beats, ties counting half; mean over the user's pairs, then over the users. A pair asks
nothing whose item nobody trained on, or has its number to itself. Nothing is drawn, and the test split plays no part.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from mmkd_core.data import Dataset
from mmkd_core.datasets import load
from mmkd_core.evidence.cases import REAL, Asked, Case, Names, Seeds, title_of_place
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, as_table

SCORES = {"votes": "AUC: votes", "divided": "AUC: divided votes", "active": "AUC: active choosers"}
Pairs = dict[int, list[tuple[int, np.ndarray]]]  # by user: a held-out item, and the items that it is compared with
BLOCK = 256  # users whose scores of all items are held at once
DIGITS = 9  # sums of the same terms in another order are ties


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """What co-occurrence says of taste, by data set. Seeds play no part."""
    named = Asked(datasets, seeds, budget).datasets_or(REAL)
    return [Case({"dataset": dataset}, Measurement.of(cooccurrence, dataset=dataset)) for dataset in named]


def cooccurrence(store: Path, *, dataset: str) -> dict[str, Any]:
    """The `auc` of each score, `half` its 95 % interval over the users, and how unevenly users choose.

    `users` were asked, about the share `pairs` of the validation pairs; their median has `median` training items, the
    most active of all users `most`. Of the pairs of items in users' histories, `together` is the share of the most
    active hundredth of the users.
    """
    data = load(dataset)
    users, items = data.train.numpy().T
    chose = sp.csr_array((np.ones(len(users)), (users, items)), shape=(data.num_users, data.num_items))
    lengths = np.bincount(users, minlength=data.num_users)
    active = np.zeros(data.num_users)
    active[np.argsort(-lengths, kind="stable")[: max(1, data.num_users // 100)]] = 1
    held = lengths * (lengths - 1)
    asked = questions(data)
    names = np.array([*asked])
    scores = {
        "votes": votes(chose, names, np.ones(data.num_users)),
        "divided": votes(chose, names, 1 / lengths.clip(1)),
        "active": [active @ chose] * len(names),
    }
    return {
        "users": len(asked),
        "pairs": sum(map(len, asked.values())) / len(data.val),
        "median": float(np.median(lengths[names])),
        "most": int(lengths.max()),
        "together": float(held @ active / held.sum()),
        "auc": {name: auc(asked, rows) for name, rows in scores.items()},
    }


def questions(data: Dataset) -> Pairs:
    """What is asked of each user of whom something can be."""
    counts = np.bincount(data.train[:, 1], minlength=data.num_items)
    equal = {count: np.flatnonzero(counts == count) for count in set(counts.tolist()) - {0}}
    own: dict[int, list[int]] = {}
    for user, item in [*data.train.tolist(), *data.val.tolist()]:
        own.setdefault(user, []).append(item)
    asked: Pairs = {}
    for user, item in data.val.tolist():
        others = np.setdiff1d(equal.get(int(counts[item]), []), own[user])
        if len(others):
            asked.setdefault(user, []).append((item, others))
    return asked


def votes(chose: sp.csr_array, users: np.ndarray, weight: np.ndarray) -> Iterator[np.ndarray]:
    """For each of `users` the votes for every item, those of user v times `weight[v]`."""
    weighted = sp.diags_array(weight) @ chose
    for start in range(0, len(users), BLOCK):
        common = chose[users[start : start + BLOCK]] @ chose.T
        yield from (common @ weighted).toarray().round(DIGITS)


def auc(asked: Pairs, scores: Iterable[np.ndarray]) -> dict[str, float]:
    """Its mean over the users, and half its interval; `scores` has a row of all items for each user in turn."""
    values = np.array(
        [
            np.mean([np.mean((row[i] > row[others]) + 0.5 * (row[i] == row[others])) for i, others in pairs])
            for pairs, row in zip(asked.values(), scores, strict=True)
        ]
    )
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5
    return {"mean": round(float(values.mean()), DIGITS), "half": round(float(half), DIGITS)}


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """A line per data set: how unevenly its users choose, and what each score is worth."""
    lines = {title_of_place(labels["dataset"]): _cells(values) for labels, values in store.taken(cases)}
    spread = ("training items, median user", "most active user", "pairs of the most active 1 %")
    return {"Does co-occurrence tell taste?": as_table(lines, "data set", *spread, *SCORES.values())}


def _cells(values: dict[str, Any] | None) -> list[str]:
    if values is None:
        return [NOT_RUN] * (3 + len(SCORES))
    found = [f"{values['auc'][name]['mean']:.3f} ± {values['auc'][name]['half']:.3f}" for name in SCORES]
    return [f"{values['median']:g}", f"{values['most']:,}", f"{100 * values['together']:.0f} %", *found]


QUESTION = Question(cases, table="cooccurrence", measure=cooccurrence, frames=frames, notes=notes("cooccurrence"))
