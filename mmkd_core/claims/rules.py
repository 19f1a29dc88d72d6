"""How a claim is judged: the same few rules for all, fixed before the runs that they judge.

A comparison on one data set comes out as "+", "-", "0" or "capped", or as None where it is not run or in one seed alone
so far: `compare` says by which rule. A claim that should hold on every data set is reproduced (all "+"), partly (some
"+"), not reproduced (a "-" and no "+"), inconclusive (none of them; "(capped)" if a run at its cap of epochs leaves a
data set undecided), or not run (nothing yet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import recipes
from mmkd_core.compare import CAPPED, Comparison, compare_all
from mmkd_core.datasets import title_of
from mmkd_core.experiment import Record
from mmkd_core.recipes import Case
from mmkd_core.results import fill, measurements, read_records, records_folder, signed

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly reproduced", "not reproduced"
INCONCLUSIVE, UNDECIDED, UNTESTABLE, NOT_RUN = "inconclusive", "inconclusive (capped)", "cannot be tested", "not run"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, INCONCLUSIVE, UNDECIDED, UNTESTABLE, NOT_RUN)


@dataclass(frozen=True)
class Finding:
    """A verdict, what was measured in words with its numbers, and the records that it comes from."""

    verdict: str
    measured: str
    records: tuple[str, ...] = ()


class Evidence:
    """The records of a store as the rows of each recipe, each collected once.

    Raises `ValueError` when there is no such folder.
    """

    def __init__(self, store: str | Path) -> None:
        self.store = records_folder(store)
        self._cases: dict[str, list[Case]] = {}
        self._rows: dict[str, pd.DataFrame] = {}
        self._measured: dict[str, list[tuple[dict[str, Any], dict[str, Any] | None]]] = {}

    def cases(self, recipe: str) -> list[Case]:
        """The cases of a recipe, named as `recipes.TABLES` and `recipes.FIGURES` do: "table 4", "figure 4"."""
        if recipe not in self._cases:
            kind, name = recipe.split(" ", 1)
            self._cases[recipe] = {"table": recipes.TABLES, "figure": recipes.FIGURES}[kind][name]()
        return self._cases[recipe]

    def rows(self, recipe: str) -> pd.DataFrame:
        """What `collect` finds of a recipe."""
        if recipe not in self._rows:
            self._rows[recipe] = fill(self.cases(recipe), self.records)
        return self._rows[recipe]

    def measured(self, recipe: str) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
        """What `measurements` finds of a recipe."""
        if recipe not in self._measured:
            self._measured[recipe] = measurements(self.cases(recipe), self.store)
        return self._measured[recipe]

    @cached_property
    def records(self) -> dict[Path, Record]:
        """All records of the store, read once."""
        return read_records(self.store)


@dataclass(frozen=True)
class Outcome:
    """One comparison of a claim: where, the sign that it comes to, and the numbers behind it (None: not run)."""

    where: str
    sign: str | None
    comparison: Comparison | None
    against: str = ""

    def __str__(self) -> str:
        where, c = f"{self.where}{f' against {self.against}' if self.against else ''}", self.comparison
        if c is None:
            return f"{self.where}: {NOT_RUN}"
        if self.sign is None:
            return f"{self.where}: {signed(c.difference)} in one seed so far"
        shown = f"{where}: {signed(c.difference)}"
        if c.limit:
            interval = f"95 % interval {signed(c.low)} to {signed(c.high)}"
            shown += f" or {signed(100 * c.relative, 1)} % ({interval}, limit {signed(c.limit)}, "
        else:
            shown += " ("
        unsure = ""
        if c.sign == "0":
            above = f"{'above the limit' if c.limit else 'better'} in {sum(d > c.limit for d in c.by_seed)}"
            seeds = f", {above} of {len(c.by_seed)} seeds"
            unsure = seeds if c.seeds_disagree else f", detectable {c.detectable:.4f}"
        return f"{shown}{c.p_said}{unsure})"


Pair = tuple[str, str, pd.DataFrame, pd.DataFrame]  # where, name of the other, rows of the one and of the other


def outcomes(pairs: Sequence[Pair], metric: str = "recall@20", share: float = 0.0) -> list[Outcome]:
    """Each pair's outcome, all of them one family; `share`: better by that share of what the other has, or worse."""
    known = compare_all({place: pair[2:] for place, pair in enumerate(pairs)}, metric, share)
    return [
        Outcome(where, c.sign if c else None, c, name)
        for (where, name, *_), c in zip(pairs, known.values(), strict=True)
    ]


def verdict(signs: Sequence[str | None]) -> str:
    """The verdict on a claim that should hold everywhere, from its outcomes."""
    known = [s for s in signs if s is not None]
    if not known:
        return NOT_RUN
    if "+" in known:
        return REPRODUCED if set(signs) == {"+"} else PARTLY
    return NOT_REPRODUCED if "-" in known else UNDECIDED if CAPPED in known else INCONCLUSIVE


def finding(found: Sequence[Outcome], records: Iterable[str]) -> Finding:
    """The finding of a claim that one outcome a data set decides."""
    return Finding(verdict([o.sign for o in found]), "; ".join(map(str, found)), tuple(records))


def records_of(*frames: pd.DataFrame) -> tuple[str, ...]:
    """The record files behind some rows, each once."""
    files = pd.concat([frame["record"] for frame in frames]).dropna()
    return tuple(dict.fromkeys(str(file) for file in files))


def per_dataset(rows: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of each data set."""
    return ((title_of(str(name)), own) for name, own in rows.groupby("dataset", sort=False))


def row(rows: pd.DataFrame, by: str, name: str) -> pd.DataFrame:
    """The rows whose column `by` is `name`."""
    return rows[rows[by] == name]


Judge = Callable[[Evidence], Finding]


def better(recipe: str, by: str, one: str, other: str, metric: str = "recall@20") -> Judge:
    """`one` is better than `other` on every data set of a recipe; both are values of its column `by`."""

    def judge(evidence: Evidence) -> Finding:
        rows = evidence.rows(recipe)
        pairs = [(name, "", row(own, by, one), row(own, by, other)) for name, own in per_dataset(rows)]
        pairs = [pair for pair in pairs if len(pair[2]) and len(pair[3])]
        return finding(outcomes(pairs, metric), records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def better_than_all(one: str, others: Sequence[str], metric: str = "recall@20", share: float = 0.0) -> Judge:
    """In Table 4 `one` is better than each of `others`, by the share `share` at least; the worst comparison counts."""

    def judge(evidence: Evidence) -> Finding:
        rows = row_in(evidence.rows("table 4"), "system", [one, *others])
        pairs = [
            (name, other, row(own, "system", one), row(own, "system", other))
            for name, own in per_dataset(rows)
            for other in others
        ]
        return finding(worst_of_each(outcomes(pairs, metric, share)), records_of(rows))

    return judge


def worst_of_each(found: Sequence[Outcome]) -> list[Outcome]:
    """Of the outcomes of each data set the worst: by sign, then by the difference as a share of the other's metric."""
    order: Mapping[Any, int] = {"-": 0, "0": 1, CAPPED: 2, None: 3, "+": 4}
    places = dict.fromkeys(o.where for o in found)
    return [
        min(
            (o for o in found if o.where == place),
            key=lambda o: (order[o.sign], o.comparison.relative if o.comparison else 0.0),
        )
        for place in places
    ]


def row_in(rows: pd.DataFrame, by: str, names: Sequence[str]) -> pd.DataFrame:
    """The rows whose column `by` is one of `names`."""
    return rows[rows[by].isin(names)]


def not_worse(recipe: str, by: str, one: str, other: str, margin: float, metric: str = "recall@20") -> Judge:
    """`one` loses at most the share `margin` of what `other` has, on every data set."""

    def judge(evidence: Evidence) -> Finding:
        pairs = [(name, "", row(own, by, one), row(own, by, other)) for name, own in per_dataset(evidence.rows(recipe))]
        return finding(outcomes(pairs, metric, -margin), records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def untestable(why: str) -> Judge:
    """A claim that nothing obtainable can decide."""
    return lambda evidence: Finding(UNTESTABLE, why)


GENERAL = tuple(recipes.NAMES[m] for m in ("bpr-mf", "ngcf", "lightgcn"))
MULTIMODAL = tuple(recipes.NAMES[m] for m in ("vbpr", "mmgcn", "grcn", "lattice", "clcrec", "slmrec", "bm3"))
BASELINES = (*GENERAL, *MULTIMODAL)
