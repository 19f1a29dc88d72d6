"""Pairs of systems as a frame to read: the difference, how sure it is, what could have been found, and the reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mmkd_core.compare import CAPPED, Comparison, compare_all, p_value
from mmkd_core.tables.text import NOT_RUN, difference

BETTER, WORSE, UNTOLD, DISAGREE = "better", "worse", "not told apart", "seeds disagree"
SAME, ONE_SEED, UNPAIRED = "identical", "one seed so far", "not paired"
READINGS = {"+": BETTER, "-": WORSE, "0": UNTOLD, CAPPED: CAPPED, None: ONE_SEED}


def reading(comparison: Comparison) -> str:
    """What a comparison shows of its first system, in words."""
    if comparison.identical:
        return SAME
    return DISAGREE if comparison.seeds_disagree else READINGS[comparison.sign]


def read(pairs: Mapping[Any, tuple[pd.DataFrame, pd.DataFrame]], metric: str = "recall@20") -> pd.DataFrame:
    """One line a pair: the first of its systems less the second, each given by its rows of `results.collect`.

    Columns: the `reading` of the first, by the rule at the head of `compare`: better, worse or not told apart; "seeds
    disagree" where the users tell them apart, but not the same way in every seed; "capped" where a run of either
    ended at its cap of epochs, so that nothing is decided; "identical" where no user's value differs; the mean
    `difference` over users with its 95 % interval; `p` of the paired t-test over users, after Holm's correction over
    the pairs that are decided, whose number stands beside it; `p over seeds` of the uncorrected one over the means of
    common seeds; the `detectable` effect, which the test over users would find four times in five. A pair that has one
    seed in common is "one seed so far", one that lacks a run "not run"; "not paired" if it ran, but the places of its
    hits were not kept.
    """
    known, lines = compare_all(pairs, metric), {}
    for name, (one, other) in pairs.items():
        c = known[name]
        if c is None:
            ran = one["record"].notna().any() and other["record"].notna().any()
            lines[name] = [UNPAIRED if ran else NOT_RUN, "", "", "", ""]
            continue
        tested = not c.capped
        seeds = p_value(c.p_seeds) if tested and c.p_seeds is not None else ""
        lines[name] = [reading(c), *difference(c), seeds, f"{c.detectable:.4f}" if tested else ""]
    columns = ["reading", "difference", "p", "p over seeds", "detectable"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def sentences(frame: pd.DataFrame, name: str) -> list[str]:
    """What a frame of `read` says about the system `name`, a sentence for each reading that occurs."""
    said = {
        BETTER: f"{name} is better than", WORSE: f"{name} is worse than", UNTOLD: f"{name} is not told apart from",
        DISAGREE: f"{name} differs, but not the same way in every seed, from",
        SAME: f"{name} has every hit in common with",
        CAPPED: f"not decided, a run having ended at its cap of epochs: {name} and",
        ONE_SEED: f"{name} is compared in one seed so far with",
        UNPAIRED: "ran, but not comparable user by user:", NOT_RUN: "not run:",
    }  # fmt: skip
    groups = {reading: frame.index[frame["reading"] == reading] for reading in said}
    return [f"{said[reading]} {'; '.join(map(str, names))}" for reading, names in groups.items() if len(names)]
