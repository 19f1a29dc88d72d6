"""How a claim is judged: what the rules share that stand beside the questions, fixed before the runs that they judge.

A comparison on one data set comes out as `compare` says: "+", "-", "0", "capped", or None. A measurement has no users
to test over: one that was taken for several seeds is "+" where the one is better than the other in every seed, "-"
where it is worse in every seed, "0" otherwise; one that was taken once is judged by a margin that the claim states. A
claim that should hold on every data set is reproduced (all "+"), partly (some "+"), not reproduced (a "-" and no "+"),
inconclusive (none of them; "(capped)" if a run at its cap of epochs leaves a data set undecided), or not run (nothing).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmkd_core.evidence.cases import Cases, title_of_place
from mmkd_core.evidence.compare import CAPPED, LEAST_SEEDS, NOT_RUN, Comparison, compare_all, signed
from mmkd_core.evidence.store import Store

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly reproduced", "not reproduced"
INCONCLUSIVE, INCONCLUSIVE_CAPPED, UNTESTABLE = "inconclusive", "inconclusive (capped)", "cannot be tested"
VERDICTS = (REPRODUCED, PARTLY, NOT_REPRODUCED, INCONCLUSIVE, INCONCLUSIVE_CAPPED, UNTESTABLE, NOT_RUN)


@dataclass(frozen=True)
class Finding:
    """A verdict, what was measured in lines (one for each data set) with their numbers, and the records behind it."""

    verdict: str
    lines: tuple[str, ...]
    records: tuple[str, ...] = ()


Judge = Callable[[Store], Finding]
Pair = tuple[str, str, pd.DataFrame, pd.DataFrame]  # place, name of the other, rows of the one and of the other
Pairs = Callable[[str, pd.DataFrame], Iterable[Pair]]  # from the title and the rows of a data set


@dataclass(frozen=True)
class Outcome:
    """One comparison of a claim: its place, the other, the numbers (None: not run), and if better counts against it."""

    place: str
    against: str
    comparison: Comparison | None
    turned: bool = False

    @property
    def sign(self) -> str | None:
        """What it comes to for the claim."""
        sign = self.comparison.sign if self.comparison else None
        return {"+": "-", "-": "+"}.get(str(sign), sign) if self.turned else sign

    def __str__(self) -> str:
        head, c = f"{self.place}{f' against {self.against}' if self.against else ''}", self.comparison
        if c is None:
            return f"{head}: {NOT_RUN}"
        if self.sign is None:
            return f"{head}: {signed(c.difference)} in one seed so far"
        interval = f"95 % interval {signed(c.low)} to {signed(c.high)}"
        limit = f" or {signed(100 * c.relative, 1)} % ({interval}, limit {signed(c.limit)}, " if c.limit else " ("
        unsure = ""
        if c.sign == "0":
            above = f"{'above the limit' if c.limit else 'better'} in {sum(d > c.limit for d in c.by_seed)}"
            seeds = f", {above} of {len(c.by_seed)} seeds"
            unsure = seeds if c.seeds_disagree else f", detectable {c.detectable:.4f}"
        return f"{head}: {signed(c.difference)}{limit}{c.p_phrase}{unsure})"


def outcomes(
    pairs: Sequence[Pair], metric: str = "recall@20", share: float = 0.0, *, turned: bool = False
) -> list[Outcome]:
    """Each pair's outcome, all of them one family; `share`: better by that share of what the other has, or worse."""
    compared = compare_all({number: pair[2:] for number, pair in enumerate(pairs)}, metric, share)
    return [Outcome(*pair[:2], c, turned) for pair, c in zip(pairs, compared.values(), strict=True)]


def verdict(signs: Sequence[str | None]) -> str:
    """The verdict on a claim that should hold everywhere, from its outcomes."""
    signs_there = [sign for sign in signs if sign is not None]
    if not signs_there:
        return NOT_RUN
    if "+" in signs_there:
        return REPRODUCED if set(signs) == {"+"} else PARTLY
    return NOT_REPRODUCED if "-" in signs_there else INCONCLUSIVE_CAPPED if CAPPED in signs_there else INCONCLUSIVE


def records_of(*frames: pd.DataFrame) -> tuple[str, ...]:
    """The record files behind some rows, each once."""
    files = pd.concat([frame["record"] for frame in frames]).dropna() if frames else ()
    return tuple(dict.fromkeys(str(file) for file in files))


def per_dataset(rows: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of each data set."""
    return ((title_of_place(str(name)), own) for name, own in rows.groupby("dataset", sort=False))


def rows_of(rows: pd.DataFrame, by: str, *names: object) -> pd.DataFrame:
    """The rows whose column `by` is one of `names`."""
    return rows[rows[by].isin(names)]


def paired(cases: Cases, pairs: Pairs, metric: str = "recall@20", share: float = 0.0, *, turned: bool = False) -> Judge:
    """In each of the `pairs` of a data set the one is better than the other, by the share `share` at least.

    Of each data set the worst pair counts. `turned`: the claim is that it is not, so that better counts against it.
    """

    def judge(store: Store) -> Finding:
        compared = [pair for name, rows in per_dataset(store.rows(cases)) for pair in pairs(name, rows)]
        results = worst_of_each(outcomes(compared, metric, share, turned=turned))
        records = records_of(*(rows for pair in compared for rows in pair[2:]))
        return Finding(verdict([o.sign for o in results]), tuple(map(str, results)), records)

    return judge


def worst_of_each(results: Sequence[Outcome]) -> list[Outcome]:
    """Of the outcomes of each data set the worst: by sign, then by the difference as a share of the other's metric."""
    order: Mapping[Any, int] = {"-": 0, "0": 1, CAPPED: 2, None: 3, "+": 4}
    return [
        min(
            (o for o in results if o.place == place),
            key=lambda o: (order[o.sign], o.comparison.relative if o.comparison else 0.0),
        )
        for place in dict.fromkeys(o.place for o in results)
    ]


def better(cases: Cases, by: str, one: str, *others: str, metric: str = "recall@20", share: float = 0.0) -> Judge:
    """`one` is better than each of `others` on every data set on which both are planned; all values of the column `by`.

    By the share `share` of what the other has at least; a negative one is what `one` may lose.
    """

    def pairs(name: str, rows: pd.DataFrame) -> Iterable[Pair]:
        for other in others:
            if {one, other} <= set(rows[by]):
                yield name, other if len(others) > 1 else "", rows_of(rows, by, one), rows_of(rows, by, other)

    return paired(cases, pairs, metric, share)


def untestable(why: str) -> Judge:
    """A claim that nothing obtainable can decide."""
    return lambda store: Finding(UNTESTABLE, (why,))


Read = Callable[[Mapping[str, Any]], float]  # one number from the values of a measurement
Systems = Mapping[Any, Any]  # the values of measurements by system, then by seed (None where there is none)


def on_each_dataset(
    cases: Cases,
    what: str,
    read: Callable[[Systems], tuple[str | None, str]],
    *by: str,
    systems: Collection[str] | None = None,
) -> Judge:
    """`read` gives a sign and a text for what was measured on a data set, or at a shape: by the labels `by`.

    `systems` are those that it reads, if not all: the records behind the verdict are theirs.
    """

    def judge(store: Store) -> Finding:
        found = {title_of_place(dataset): read(own) for dataset, own in store.tree(cases, "dataset", *by).items()}
        lines = tuple(f"{dataset}, {what}: {text or NOT_RUN}" for dataset, (_, text) in found.items())
        behind = (str(path) for own, path in store.files_of(cases) if systems is None or own["system"] in systems)
        return Finding(verdict([sign for sign, _ in found.values()]), lines or (NOT_RUN,), tuple(behind))

    return judge


def every_seed(
    cases: Cases,
    one: str,
    others: Sequence[str],
    value: Read,
    *,
    what: str,
    lower: bool = False,
    capped: Callable[[Mapping[str, Any]], bool] = lambda values: False,
) -> Judge:
    """`value` of `one` is higher (or lower) than that of each of `others` in every seed, on every data set.

    A data set on which one of them is `capped`, as its values tell, decides nothing.
    """

    def read(systems: Systems) -> tuple[str | None, str]:
        pairs = _in_common(systems, one, others, value)
        seeds = min((len(ours) for ours, _ in pairs.values()), default=0)
        enough = seeds >= min(LEAST_SEEDS, len(systems.get(one, {})))
        worst = min((sign_of(*pair, lower=lower) for pair in pairs.values()), key="-0+".index, default=None)
        named = ((name, v) for other, pair in pairs.items() for name, v in zip((one, other), pair, strict=True))
        numbers = dict.fromkeys(f"{name} {np.mean(v):.4g}" for name, v in named)
        few = ", in one seed so far" if pairs and not enough else ""
        taken = [own for name in (one, *others) for own in systems.get(name, {}).values() if own]
        short = sum(map(capped, taken))
        told = f", {CAPPED}: {short} of {len(taken)} runs" if short else ""
        return (CAPPED if short else worst) if enough else None, ", ".join(numbers) + few + told

    return on_each_dataset(cases, what, read, "system", "seed", systems=(one, *others))


def within(cases: Cases, one: str, others: Sequence[str], value: Read, share: float, *, what: str) -> Judge:
    """`value` of the system `one` is at most `share` of that of each of `others`, on every data set or shape."""

    def read(systems: Systems) -> tuple[str | None, str]:
        pairs = _in_common(systems, one, others, value)
        ratios = {other: float(np.mean(ours) / np.mean(theirs)) for other, (ours, theirs) in pairs.items()}
        sign = None if not ratios else "+" if max(ratios.values()) <= share else "-"
        return sign, ", ".join(f"{100 * ratio:.1f} % of {other}'s" for other, ratio in ratios.items())

    return on_each_dataset(cases, what, read, "system", "seed", systems=(one, *others))


def _in_common(
    systems: Systems, one: str, others: Sequence[str], value: Read
) -> dict[str, tuple[list[float], list[float]]]:
    """The values of `one` and of each of `others` in the seeds that both have; without those that share none."""
    pairs = {}
    for other in others:
        both = [systems.get(name, {}) for name in (one, other)]
        seeds = [seed for seed, values in both[0].items() if values and both[1].get(seed)]
        if seeds:
            pairs[other] = tuple([float(value(system[seed])) for seed in seeds] for system in both)
    return pairs


def sign_of(ours: Sequence[float], theirs: Sequence[float], *, lower: bool = False) -> str:
    """Whether ours are higher (or lower) than theirs in every seed: "+", "-" or "0"."""
    differences = np.subtract(theirs, ours) if lower else np.subtract(ours, theirs)
    return "+" if (differences > 0).all() else "-" if (differences < 0).all() else "0"
