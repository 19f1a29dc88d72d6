"""Rules for claims about a trend: how an advantage or a metric moves as one quantity grows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
from scipy import stats

from mmkd_core import recipes
from mmkd_core.claims.rules import (
    GENERAL,
    MULTIMODAL,
    NOT_RUN,
    Evidence,
    Finding,
    Judge,
    Pair,
    finding,
    outcomes,
    per_dataset,
    records_of,
    row,
    row_in,
    verdict,
    worst_of_each,
)
from mmkd_core.compare import ALPHA, CAPPED, said
from mmkd_core.results import signed

TEACHER, STUDENT = recipes.NAMES["teacher"], recipes.NAMES["mmkd"]


def advantage_grows(trouble: str, one: str, other: str, metric: str = "recall@20") -> Judge:
    """On the demo, `one` minus `other` grows with the degree of `trouble` ("noise" or "redundancy").

    Spearman's correlation over (degree, seed) pairs: "+" where it is positive with p < 0.05, "-" where negative;
    "capped" where a run ended at its cap of epochs.
    """

    def judge(evidence: Evidence) -> Finding:
        rows = row_in(row(evidence.rows("table demo"), "trouble", trouble), "system", [one, other])
        both = rows.pivot_table(index=["value", "seed"], columns="system", values=metric)
        if not {one, other} <= set(both) or len(both.dropna()) < 4:
            return Finding(NOT_RUN, f"demo, {trouble}: {NOT_RUN}")
        gaps = (both[one] - both[other]).dropna()
        degrees = gaps.index.get_level_values("value").to_numpy(dtype=float)
        correlation = stats.spearmanr(degrees, gaps.to_numpy())
        rho, p = float(correlation.statistic), float(correlation.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
        capped = int((rows["capped"] == True).sum())  # noqa: E712, NaN where not run
        sign = CAPPED if capped else "0" if p >= ALPHA or np.isnan(p) else "+" if rho > 0 else "-"
        means = gaps.groupby("value").mean()
        steps = ", ".join(f"{signed(gap)} at {value:g}" for value, gap in means.items())
        sure = f"{CAPPED}: {capped} of {len(rows)} runs" if capped else said(p, 1)
        text = f"demo, {one} minus {other} by {trouble}: {steps} (Spearman {rho:+.2f}, {sure})"
        return Finding(verdict([sign]), text, records_of(rows))

    return judge


def setting_matters(setting: str, value: float | int, system: str = STUDENT, metric: str = "recall@20") -> Judge:
    """In Fig. 4 `system` with the setting in force is better than with `value`."""

    def judge(evidence: Evidence) -> Finding:
        pairs: list[Pair] = []
        for name, own in _panel(evidence, setting, system):
            pairs.append((name, f"{value:g}", own[own["in force"]], own[own["value"] == value]))
        return finding(outcomes(pairs, metric), records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def grows_with(setting: str, system: str, metric: str = "recall@20") -> Judge:
    """In Fig. 4 `system` is better at the largest value of a setting than at the smallest one."""

    def judge(evidence: Evidence) -> Finding:
        pairs: list[Pair] = []
        grid = recipes.GRIDS[setting][1]
        for name, own in _panel(evidence, setting, system):
            last, first = (own[own["value"] == end] for end in (grid[-1], grid[0]))
            pairs.append((f"{name}, {grid[-1]:g} minus {grid[0]:g}", "", last, first))
        return finding(outcomes(pairs, metric), records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def saturates(setting: str, at: float | int, beyond: float | int, margin: float, metric: str = "recall@20") -> Judge:
    """In Fig. 4 going from `at` to `beyond` gains MMKD less than the share `margin` of what it has: "-" where more."""

    def judge(evidence: Evidence) -> Finding:
        pairs: list[Pair] = []
        for name, own in _panel(evidence, setting, STUDENT):
            further, here = (own[own["value"] == end] for end in (beyond, at))
            pairs.append((f"{name}, {beyond:g} minus {at:g}", "", further, here))
        turned = {"+": "-", "-": "+"}  # to gain more than the margin is against the claim
        found = [replace(o, sign=turned.get(str(o.sign), o.sign)) for o in outcomes(pairs, metric, margin)]
        return finding(found, records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def equal_is_best(one: str, other: str, metric: str = "recall@20") -> Judge:
    """In Fig. 4 MMKD with the settings `one` and `other` in force is better than with any other value of either.

    They are equal where they are in force (the two widths), and unequal elsewhere. The worst comparison counts.
    """

    def judge(evidence: Evidence) -> Finding:
        pairs: list[Pair] = []
        for setting in (one, other):
            for name, own in _panel(evidence, setting, STUDENT):
                in_force = own[own["in force"]]
                for value, rows in own[~own["in force"].astype(bool)].groupby("value"):
                    pairs.append((name, f"{recipes.GRIDS[setting][0]} = {value:g}", in_force, rows))
        found = outcomes(pairs, metric)
        return finding(worst_of_each(found), records_of(*(frame for pair in pairs for frame in pair[2:])))

    return judge


def _panel(evidence: Evidence, setting: str, system: str) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of one curve of Fig. 4, a data set at a time."""
    rows = row(row(evidence.rows("figure 4"), "setting", setting), "system", system)
    return per_dataset(rows)


def most_pairs(metric: str = "recall@20") -> Judge:
    """Multi-modal baselines beat general CF models: more than half of all pairs significantly won, on every data set.

    "-" where more than half are significantly lost, "capped" where capped pairs could make more than half of either,
    "0" otherwise; p corrected over all decided pairs of all data sets.
    """

    def judge(evidence: Evidence) -> Finding:
        rows = row_in(evidence.rows("table 4"), "system", [*GENERAL, *MULTIMODAL])
        pairs: list[Pair] = [
            (name, f"{one} against {other}", row(own, "system", one), row(own, "system", other))
            for name, own in per_dataset(rows)
            for one, other in product(MULTIMODAL, GENERAL)
        ]
        found, signs, texts = outcomes(pairs, metric), [], []
        for name, _ in per_dataset(rows):
            own = [o.sign for o in found if o.where == name]
            won, lost, capped, missing = (own.count(sign) for sign in ("+", "-", CAPPED, None))
            known = "+" if 2 * won > len(own) else "-" if 2 * lost > len(own) else "0"
            open_still = known == "0" and 2 * (max(won, lost) + capped) > len(own)
            signs.append(None if missing else CAPPED if open_still else known)
            text = f"{name}: {won} of {len(own)} pairs won, {lost} lost" + f", {capped} {CAPPED}" * (capped > 0)
            texts.append(text + f", {missing} {NOT_RUN}" * (missing > 0))
        return Finding(verdict(signs), "; ".join(texts), records_of(rows))

    return judge


def ranks_move_more(metric: str = "recall@20") -> Judge:
    """Ranks of multi-modal baselines spread more over the data sets than those of general CF models (mean range).

    Means are over the seeds that all of a data set have; with a capped run among them nothing is decided.
    """

    def judge(evidence: Evidence) -> Finding:
        rows = row_in(evidence.rows("table 4"), "system", [*GENERAL, *MULTIMODAL]).dropna(subset=["record"])
        systems = rows.groupby("dataset")["system"].transform("nunique")
        rows = rows[rows.groupby(["dataset", "seed"])["system"].transform("nunique") == systems]
        means = rows.pivot_table(index="system", columns="dataset", values=metric, sort=False)
        if means.shape[1] < 2 or means.isna().any(axis=None) or len(means) < len(GENERAL) + len(MULTIMODAL):
            return Finding(NOT_RUN, f"a system lacks a data set: {NOT_RUN}")
        ranges = pd.DataFrame(means.rank(ascending=False)).agg(lambda r: r.max() - r.min(), axis=1)
        multi, general = float(ranges[list(MULTIMODAL)].mean()), float(ranges[list(GENERAL)].mean())
        text = f"mean range of ranks over {means.shape[1]} data sets: multi-modal {multi:.1f}, general {general:.1f}"
        capped = [name for name, own in per_dataset(rows) if own["capped"].any()]
        if capped:
            return Finding(verdict([CAPPED]), f"{text} ({CAPPED}: {', '.join(capped)})", records_of(rows))
        return Finding(verdict(["+" if multi > general else "-"]), text, records_of(rows))

    return judge
