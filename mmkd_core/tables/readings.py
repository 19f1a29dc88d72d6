"""Pairs of systems as a frame to read: the difference, how sure it is, what could have been found, and the reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mmkd_core.claims.rules import NOT_RUN, Outcome, outcomes
from mmkd_core.results import p_value
from mmkd_core.tables.text import difference

BETTER, WORSE, UNTOLD, DISAGREE = "better", "worse", "not told apart", "seeds disagree"
SAME, ONE_SEED, UNPAIRED = "identical", "one seed so far", "not paired"
READINGS = {"+": BETTER, "-": WORSE, "0": UNTOLD}


def against_each(rows: pd.DataFrame, by: str, name: str) -> dict[Any, tuple[pd.DataFrame, pd.DataFrame]]:
    """The rows of `name` beside those of each other value of the column `by`; `rows` are those of one data set."""
    groups = dict(list(rows.groupby(by, sort=False)))
    return {other: (groups[name], group) for other, group in groups.items() if other != name}


def judged(pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20") -> dict[Any, Outcome]:
    """The outcome of each pair by the rule at the head of `claims.rules`, p corrected over all of them."""
    found = outcomes([(str(name), "", *pair) for name, pair in pairs.items()], metric)
    return dict(zip(pairs, found, strict=True))


def read(pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20") -> pd.DataFrame:
    """One line a pair: the first of its systems less the second, each given by its rows of `results.collect`.

    Columns: the `reading` of the first, by the rule at the head of `claims.rules`: better, worse or not told apart;
    "seeds disagree" where the users tell them apart, but not the same way in every seed; "identical" where no user's
    value differs; the mean `difference` over users with its 95 % interval; `p` of the paired t-test over users, after
    Holm's correction over the pairs given; `p over seeds` of the one over the means of common seeds; the `detectable`
    effect, which the test over users would find four times in five. A pair that has one seed in common is "one seed so
    far", one that lacks a run "not run"; "not paired" if it ran, but the places of its hits were not kept.
    """
    lines = {}
    for name, outcome in judged(pairs, metric).items():
        (one, other), c = pairs[name], outcome.comparison
        if c is None:
            ran = one["record"].notna().any() and other["record"].notna().any()
            lines[name] = [UNPAIRED if ran else NOT_RUN, "", "", "", ""]
            continue
        seeds = "" if c.p_seeds is None else p_value(c.p_seeds)
        reading = READINGS.get(str(outcome.sign), ONE_SEED) if c.detectable else SAME
        if reading == UNTOLD and outcome.seeds_disagree:
            reading = DISAGREE
        lines[name] = [reading, *difference(c), seeds, f"{c.detectable:.4f}"]
    columns = ["reading", "difference", "p", "p over seeds", "detectable"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def sentences(frame: pd.DataFrame, name: str) -> list[str]:
    """What a frame of `read` says about the system `name`, a sentence for each reading that occurs."""
    said = {
        BETTER: f"{name} is better than", WORSE: f"{name} is worse than", UNTOLD: f"{name} is not told apart from",
        DISAGREE: f"{name} differs, but not the same way in every seed, from",
        SAME: f"{name} has every hit in common with",
        ONE_SEED: f"{name} is compared in one seed so far with",
        UNPAIRED: "ran, but not comparable user by user:", NOT_RUN: "not run:",
    }  # fmt: skip
    groups = {reading: frame.index[frame["reading"] == reading] for reading in said}
    return [f"{said[reading]} {'; '.join(map(str, names))}" for reading, names in groups.items() if len(names)]
