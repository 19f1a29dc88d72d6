"""How a claim is judged: the same few rules for all, fixed before the runs that they judge.

A comparison on one data set comes out as

    "+"  better: p < 0.05 over users after Holm's correction within the claim, and better in every common seed
    "-"  worse, by the same two conditions
    "0"  neither: the test finds nothing, and the smallest difference that it would find four times in five is stated,
         or it finds one that is not of one sign in all seeds, and in how many it is better is stated
    None not run, or in one seed alone so far

and a claim that should hold on every data set as: reproduced (all "+"), partly (some "+"), not reproduced (a "-" and
no "+"), inconclusive (all "0"), not run (nothing yet).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import recipes
from mmkd_core.datasets import title_of
from mmkd_core.experiment import Record
from mmkd_core.recipes import Case
from mmkd_core.results import (
    Comparison,
    common_seeds,
    compare,
    compare_all,
    fill,
    measurements,
    read_records,
    signed,
)

ALPHA, LEAST_SEEDS = 0.05, 2
REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly reproduced", "not reproduced"
INCONCLUSIVE, UNTESTABLE, NOT_RUN = "inconclusive", "cannot be tested", "not run"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, INCONCLUSIVE, UNTESTABLE, NOT_RUN)


@dataclass(frozen=True)
class Finding:
    """A verdict, what was measured in words with its numbers, and the records that it comes from."""

    verdict: str
    measured: str
    records: tuple[str, ...] = ()


class Evidence:
    """The records of a store as the rows of each recipe, each collected once."""

    def __init__(self, store: str | Path) -> None:
        self.store = Path(store)
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
    """One comparison of a claim: where, the sign of the rule above, and the numbers behind it.

    `margin` is there where an interval decides, not p: what the difference must be above or below. `by_seed` holds the
    difference in each seed.
    """

    where: str
    sign: str | None
    comparison: Comparison | None
    against: str = ""
    margin: float | None = None
    by_seed: tuple[float, ...] = ()

    @property
    def seeds_disagree(self) -> bool:
        """Users tell the two apart, but not the same way in every seed."""
        return self.sign == "0" and self.comparison is not None and self.comparison.p_users < ALPHA

    def __str__(self) -> str:
        if self.comparison is None:
            return f"{self.where}: {NOT_RUN}"
        c = self.comparison
        if self.sign is None:
            return f"{self.where}: {signed(c.difference)} in one seed so far"
        difference = f"{self.where}{f' against {self.against}' if self.against else ''}: {signed(c.difference)}"
        if self.margin is not None:
            return f"{difference} (95 % interval {signed(c.low)} to {signed(c.high)}, limit {signed(self.margin)})"
        unsure = ""
        if self.sign == "0":
            better = f"better in {sum(d > 0 for d in self.by_seed)} of {len(self.by_seed)} seeds"
            unsure = f", {better}" if self.seeds_disagree else f", detectable {c.detectable:.4f}"
        p = f"p = {c.p_users:.3f}" if c.p_users >= 0.001 else "p < .001"
        return f"{difference} ({p}{unsure})"


Pair = tuple[str, str, pd.DataFrame, pd.DataFrame]  # where, name of the other, rows of the one and of the other


def outcomes(pairs: Sequence[Pair], metric: str = "recall@20") -> list[Outcome]:
    """Each pair's outcome, p corrected over all of them."""
    known = compare_all({place: pair[2:] for place, pair in enumerate(pairs)}, metric)
    result = []
    for place, (where, name, one, other) in enumerate(pairs):
        comparison, differences, signed = known.get(place), by_seed(one, other, metric), None
        if comparison is not None and len(differences) >= LEAST_SEEDS:
            signed = sign(comparison, differences)
        result.append(Outcome(where, signed, comparison, name, by_seed=tuple(differences)))
    return result


def by_seed(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> list[float]:
    """The difference of the means in each seed that both have; a system without chance is compared with each seed."""
    ours, theirs = (rows.set_index("seed")[metric] for rows in common_seeds(one, other))
    for free, chance, side in ((theirs, ours, 1), (ours, theirs, -1)):
        if len(free) == 1 < len(chance):
            return (side * (chance - free.iloc[0])).tolist()
    return (ours - theirs).dropna().tolist()


def sign(comparison: Comparison, differences: Iterable[float]) -> str:
    """The rule at the head of this file."""
    differences = list(differences)
    if comparison.p_users < ALPHA:
        if comparison.difference > 0 and all(d > 0 for d in differences):
            return "+"
        if comparison.difference < 0 and all(d < 0 for d in differences):
            return "-"
    return "0"


def verdict(signs: Sequence[str | None]) -> str:
    """The verdict on a claim that should hold everywhere, from its outcomes."""
    known = [s for s in signs if s is not None]
    if not known:
        return NOT_RUN
    if "+" in known:
        return REPRODUCED if set(signs) == {"+"} else PARTLY
    return NOT_REPRODUCED if "-" in known else INCONCLUSIVE


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


def better_than_all(one: str, others: Sequence[str], metric: str = "recall@20") -> Judge:
    """In Table 4 `one` is better than each of `others`; a data set counts as its worst comparison."""

    def judge(evidence: Evidence) -> Finding:
        rows = row_in(evidence.rows("table 4"), "system", [one, *others])
        pairs = [
            (name, other, row(own, "system", one), row(own, "system", other))
            for name, own in per_dataset(rows)
            for other in others
        ]
        found = outcomes(pairs, metric)
        worst = [_worst([o for o in found if o.where == name]) for name, _ in per_dataset(rows)]
        return finding(worst, records_of(rows))

    return judge


def _worst(found: Sequence[Outcome]) -> Outcome:
    order: Mapping[Any, int] = {"-": 0, "0": 1, None: 2, "+": 3}
    return min(found, key=lambda o: (order[o.sign], o.comparison.difference if o.comparison else 0.0))


def row_in(rows: pd.DataFrame, by: str, names: Sequence[str]) -> pd.DataFrame:
    """The rows whose column `by` is one of `names`."""
    return rows[rows[by].isin(names)]


def not_worse(recipe: str, by: str, one: str, other: str, margin: float, metric: str = "recall@20") -> Judge:
    """`one` loses at most the share `margin` of `other`'s mean: the interval's lower end decides, on every data set."""

    def judge(evidence: Evidence) -> Finding:
        found, used = [], []
        for name, own in per_dataset(evidence.rows(recipe)):
            ours, theirs = row(own, by, one), row(own, by, other)
            comparison = compare(ours, theirs, metric)
            used += [ours, theirs]
            if comparison is None or len(by_seed(ours, theirs, metric)) < LEAST_SEEDS:
                found.append(Outcome(name, None, comparison))
                continue
            allowed = -margin * float(theirs[metric].mean())
            result = "+" if comparison.low > allowed else "-" if comparison.high < allowed else "0"
            found.append(Outcome(name, result, comparison, margin=allowed))
        return finding(found, records_of(*used))

    return judge


def untestable(why: str) -> Judge:
    """A claim that nothing obtainable can decide."""
    return lambda evidence: Finding(UNTESTABLE, why)


def gain(metric: str, least: float) -> Judge:
    """MMKD's relative gain over the best of the paper's baselines in Table 4 is at least `least` everywhere."""

    def judge(evidence: Evidence) -> Finding:
        signs, texts, used = [], [], []
        for name, own in per_dataset(evidence.rows("table 4")):
            means = own.groupby("system", sort=False)[metric].mean()
            ours, others = means[recipes.NAMES["mmkd"]], means[list(BASELINES)].dropna()
            used.append(row_in(own, "system", [recipes.NAMES["mmkd"], *BASELINES]))
            if pd.isna(ours) or others.empty:
                signs.append(None)
                texts.append(f"{name}: {NOT_RUN}")
                continue
            share = float(ours / others.max() - 1)
            signs.append("+" if share >= least else "-")
            texts.append(f"{name}: {100 * share:+.1f} % over {others.idxmax()}")
        return Finding(verdict(signs), "; ".join(texts), records_of(*used))

    return judge


GENERAL = tuple(recipes.NAMES[m] for m in ("bpr-mf", "ngcf", "lightgcn"))
MULTIMODAL = tuple(recipes.NAMES[m] for m in ("vbpr", "mmgcn", "grcn", "lattice", "clcrec", "slmrec", "bm3"))
BASELINES = (*GENERAL, *MULTIMODAL)
