"""Whether two systems differ: over the seeds that both have, paired over users, corrected for what is compared at once.

Every comparison of test metrics in tables, figures, chapters and the ledger is made here. One of a family comes out as

    "+"       better: p < 0.05 over users after Holm's correction over the family, and better in every common seed
    "-"       worse, by the same two conditions
    "0"       neither: the test finds nothing, and the smallest difference that it would find four times in five is
              stated; or it finds one that is not of one sign in all seeds, and in how many it is better is stated
    "capped"  not decided: a run of either side, or of its teacher, ended at its cap of epochs while it could improve
    None      one seed in common so far

Better and worse are meant beyond a limit where a claim states one: a share of what the other system has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mmkd_core.hits import read_hits
from mmkd_core.models import MODELS

ALPHA, POWER, LEAST_SEEDS = 0.05, 0.8, 2
CAPPED, NOT_RUN, DAGGER = "capped", "not run", " †"
BETTER, WORSE, NOT_TOLD_APART, DISAGREE = "better", "worse", "not told apart", "seeds disagree"
SAME, ONE_SEED, UNPAIRED = "identical", "one seed so far", "not paired"
READINGS = {"+": BETTER, "-": WORSE, "0": NOT_TOLD_APART, CAPPED: CAPPED, None: ONE_SEED}


@dataclass(frozen=True)
class Comparison:
    """The mean difference of a metric between two systems over the users of a test set, and how sure it is.

    It is over the seeds that both have: one system's lucky seed beside the other's mean would be no comparison. A
    system without chance in it stands beside every seed of the other. `low` and `high` bound the difference with 95 %
    confidence over users, whatever else is compared; `error` is its standard error. `p_users` is of the paired t-test
    over users, of values that are means over seeds first, that the difference is `limit`; after Holm's correction if
    `family`, the number of comparisons made together, is above one. The test finds a difference where the uncorrected
    p is below `level`, given what the others of the family came to. `p_seeds` is of the uncorrected t-test over the
    means of seeds (None with fewer than two), `by_seed` the difference in each seed, `relative` the difference as a
    share of what the other system has. `capped`: a run of either side ended at its cap of epochs.
    """

    difference: float
    low: float
    high: float
    p_users: float
    error: float
    users: int
    relative: float = 0.0
    limit: float = 0.0
    p_seeds: float | None = None
    by_seed: tuple[float, ...] = ()
    capped: bool = False
    family: int = 1
    level: float = ALPHA

    @property
    def detectable(self) -> float:
        """The difference beyond the limit that the test over users, as used in its family, finds four times in five.

        That a difference must have one sign in every seed comes on top of the test and is no part of this.
        """
        freedom = self.users - 1
        return float(stats.t.ppf(1 - self.level / 2, freedom) + stats.t.ppf(POWER, freedom)) * self.error

    @property
    def sign(self) -> str | None:
        """What it comes to, by the rule at the head of this file."""
        if len(self.by_seed) < LEAST_SEEDS:
            return None
        if self.capped:
            return CAPPED
        if self.p_users < ALPHA:
            if self.difference > self.limit and all(seed > self.limit for seed in self.by_seed):
                return "+"
            if self.difference < self.limit and all(seed < self.limit for seed in self.by_seed):
                return "-"
        return "0"

    @property
    def seeds_disagree(self) -> bool:
        """Users tell the two apart, but not the same way in every seed."""
        return self.sign == "0" and self.p_users < ALPHA

    @property
    def p_phrase(self) -> str:
        """p over users within a sentence: "p = 0.041 of 14", "p < .001 of 14", "capped"."""
        return CAPPED if self.capped else p_in_words(self.p_users, self.family)


def signed(value: float, digits: int = 4) -> str:
    """A difference as text, with its sign; without one where it rounds to zero."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]


def format_p(p: float) -> str:
    """An uncorrected p-value as text, to three decimals."""
    return f"{p:.3f}" if p >= 0.001 else "<.001"


def p_of_family(p: float, family: int) -> str:
    """A p-value with the number of tests that it was corrected for, the one form in which the book gives it."""
    return f"{format_p(p)} of {family}"


def p_in_words(p: float, family: int) -> str:
    """`p_of_family` within a sentence: "p = 0.041 of 14", "p < .001 of 14"."""
    return f"p = {p_of_family(p, family)}".replace("= <", "< ")


def compare(one: pd.DataFrame, other: pd.DataFrame, metric: str = "recall@20", share: float = 0.0) -> Comparison | None:
    """`one` minus `other`, each the rows of one system on one data set as `Store.rows` gives them, a row a seed.

    With `share`, what is tested is that the difference is that share of the mean of `other` (in the common seeds),
    taken as given; else that there is none. None when either lacks records, or the places of hits beside them.
    """
    one, other = common_seeds(one, other)
    ours, theirs = (_mean_over_seeds(rows, metric) for rows in (one, other))
    if ours is None or theirs is None or len(ours) < 2:
        return None
    return replace(
        paired(ours, theirs, share), p_seeds=_p_over_seeds(one, other, metric), by_seed=_by_seed(one, other, metric),
        capped=bool(one["capped"].any() or other["capped"].any()),
    )  # fmt: skip


def paired(ours: np.ndarray, theirs: np.ndarray, share: float = 0.0) -> Comparison:
    """`ours` minus `theirs`, a value per user each, of the same users in the same order; seeds are not known of.

    `share` is that of `compare`. There must be two users at least.
    """
    differences = ours - theirs
    mean, base, users = float(differences.mean()), float(theirs.mean()), len(differences)
    error = float(differences.std(ddof=1)) / users**0.5
    reach, limit = float(stats.t.ppf(0.975, users - 1)) * error, share * base
    p = float(2 * stats.t.sf(abs(mean - limit) / error, users - 1)) if error else float(mean == limit)
    relative = mean / base if base else float("nan")
    return Comparison(mean, mean - reach, mean + reach, p, error, users, relative=relative, limit=limit)


def compare_all(
    pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20", share: float = 0.0
) -> dict[Any, Comparison | None]:
    """`compare` of each pair, as a family: p over users after Holm's correction over those that are decided.

    None where a pair cannot be compared. A capped one is not decided and counts in no family.
    """
    found = {name: compare(*pair, metric, share) for name, pair in pairs.items()}
    decided = {name: c for name, c in found.items() if c is not None and not c.capped}
    p_values = [c.p_users for c in decided.values()]
    corrected = zip(decided.items(), holm(p_values), rejection_levels(p_values), strict=True)
    return found | {name: replace(c, p_users=p, family=len(decided), level=level) for (name, c), p, level in corrected}


def against_each(rows: pd.DataFrame, by: str, name: str) -> dict[Any, tuple[pd.DataFrame, pd.DataFrame]]:
    """The rows of `name` beside those of each other value of the column `by`; `rows` are those of one data set."""
    groups: Mapping[Any, pd.DataFrame] = dict(list(rows.groupby(by, sort=False)))
    return {other: (groups[name], group) for other, group in groups.items() if other != name}


def common_seeds(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both whose seeds both have hits of; all rows where one of the systems is deterministic."""
    one, other = one.dropna(subset=["hits"]), other.dropna(subset=["hits"])
    if _deterministic(one) or _deterministic(other):
        return one, other
    return one[one["seed"].isin(other["seed"])], other[other["seed"].isin(one["seed"])]


def _mean_over_seeds(rows: pd.DataFrame, metric: str) -> np.ndarray | None:
    values = [of_users[metric] for path in rows["hits"] if (of_users := _of_users(path, _version(path))) is not None]
    return np.mean(values, axis=0) if values else None


@lru_cache(maxsize=128)  # a claim compares one system with many, and other claims the same systems
def _of_users(path: str, version: tuple[int, ...]) -> dict[str, np.ndarray] | None:
    hits = read_hits(path)
    return None if hits is None else {metric: values.numpy() for metric, values in hits.items()}


def _version(path: str) -> tuple[int, ...]:
    """What changes when the hits of a record are written anew."""
    file = Path(path).with_suffix(".npz")
    if not file.exists():
        return ()
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _p_over_seeds(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> float | None:
    first, second = pd.merge(one, other, on="seed")[[f"{metric}_x", f"{metric}_y"]].dropna().to_numpy().T
    if len(first) < 2 or (first == second).all():
        return None
    p = float(stats.ttest_rel(first, second).pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    return None if np.isnan(p) else p


def _by_seed(one: pd.DataFrame, other: pd.DataFrame, metric: str) -> tuple[float, ...]:
    """The difference of the means in each seed that both have; a deterministic system stands beside each seed."""
    ours, theirs = (rows.set_index("seed")[metric] for rows in (one, other))
    if _deterministic(other):
        return tuple((ours - theirs.iloc[0]).tolist())
    if _deterministic(one):
        return tuple((ours.iloc[0] - theirs).tolist())
    return tuple((ours - theirs).dropna().tolist())


def _deterministic(rows: pd.DataFrame) -> bool:
    return any(MODELS[model].deterministic for model in {*rows["model"]} & {*MODELS})


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that keep the family's error rate, in the order given."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return corrected.tolist()


def rejection_levels(p_values: Sequence[float]) -> list[float]:
    """For each test of a family, the p below which Holm's procedure at 5 % rejects it, the others being as they are.

    That is 5 % over the number of tests less the others that are rejected whatever this one gives (its own p at 1).
    """
    levels = []
    for place in range(len(p_values)):
        others = holm([1.0 if other == place else p for other, p in enumerate(p_values)])
        rejected = sum(p < ALPHA for other, p in enumerate(others) if other != place)
        levels.append(ALPHA / (len(p_values) - rejected))
    return levels


def difference_text(comparison: Comparison) -> tuple[str, str]:
    """A difference with its 95 % interval, and its p-value with its family ("capped": nothing is decided), as text."""
    p = CAPPED if comparison.capped else p_of_family(comparison.p_users, comparison.family)
    interval = f"[{signed(comparison.low)}, {signed(comparison.high)}]"
    return f"{signed(comparison.difference)} {interval}{DAGGER if comparison.capped else ''}", p


def reading(comparison: Comparison) -> str:
    """What a comparison shows of its first system, in words."""
    if comparison.difference == 0 == comparison.error:
        return SAME
    return DISAGREE if comparison.seeds_disagree else READINGS[comparison.sign]


def compare_table(pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20") -> pd.DataFrame:
    """One line per pair: the first of its systems less the second, each given by its rows of `Store.rows`.

    Columns: the `reading` of the first, by the rule at the head of this file, or "identical" where no user's value
    differs; the mean `difference` over users with its 95 % interval; `p`, with the size of its family, `p over seeds`
    and the `detectable` effect, as `Comparison` has them. A pair that has one seed in common is "one seed so far", one
    that lacks a run "not run"; "not paired" if it ran, but the places of its hits were not kept.
    """
    compared, lines = compare_all(pairs, metric), {}
    for name, (one, other) in pairs.items():
        c = compared[name]
        if c is None:
            ran = one["record"].notna().any() and other["record"].notna().any()
            lines[name] = [UNPAIRED if ran else NOT_RUN, "", "", "", ""]
            continue
        tested = not c.capped
        seeds = format_p(c.p_seeds) if tested and c.p_seeds is not None else ""
        lines[name] = [reading(c), *difference_text(c), seeds, f"{c.detectable:.4f}" if tested else ""]
    columns = ["reading", "difference", "p", "p over seeds", "detectable"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def sentences(frame: pd.DataFrame, name: str) -> list[str]:
    """What a frame of `compare_table` says about the system `name`, a sentence for each reading that occurs."""
    said = {
        BETTER: f"{name} is better than", WORSE: f"{name} is worse than",
        NOT_TOLD_APART: f"{name} is not told apart from",
        DISAGREE: f"{name} differs, but not the same way in every seed, from",
        SAME: f"{name} has every hit in common with",
        CAPPED: f"not decided, a run having ended at its cap of epochs: {name} and",
        ONE_SEED: f"{name} is compared in one seed so far with",
        UNPAIRED: "ran, but not comparable user by user:", NOT_RUN: "not run:",
    }  # fmt: skip
    groups = {reading: frame.index[frame["reading"] == reading] for reading in said}
    return [f"{said[reading]} {'; '.join(map(str, names))}" for reading, names in groups.items() if len(names)]
