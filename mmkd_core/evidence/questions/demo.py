"""Do the prompt and the re-weighting earn their place where content misleads or is diluted (both I2)?

On the demo, whose content was made to matter: the share of items with another's content grows ("noise"), or the number
of columns that say nothing ("redundancy").
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from mmkd_core.evidence.cases import Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import ALPHA, CAPPED, LEAST_SEEDS, NOT_RUN, p_in_words, paired, signed
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.questions.ablations import ABLATIONS
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, spread
from mmkd_core.evidence.verdicts import Finding, Judge, records_of, rows_of, verdict

SEEDS = tuple(range(8))  # a trend that the first three seemed to have was not there in the next five
DEGREES = {"noise": (0.0, 0.2, 0.4, 0.6, 0.8), "redundancy": (0, 32, 128, 512)}
SYSTEMS: dict[str, Variant] = {
    "LightGCN": Variant("lightgcn"),
    "MMKD's teacher": Variant("teacher"),
    **{name: ABLATIONS[name] for name in ("MMKD", "w/o-Prompt", "w/o-ListKD", "w/o-disentangle", "w/o any KD")},
}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """Each system at each degree of either change; LightGCN, which reads no content, is trained once."""
    asked = Asked(datasets, seeds, budget)
    rows = [
        (
            {"change": change, "value": value, "system": system},
            replace(variant, options={change: value} if value and system != "LightGCN" else {}),
        )
        for change, values in DEGREES.items()
        for value in values
        for system, variant in SYSTEMS.items()
    ]
    return asked.cases(rows, asked.datasets_or(("demo",)), asked.seeds_or(SEEDS))


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Recall@20 of each system as content misleads (noise) or is diluted (redundancy), a column per degree."""
    by_change = store.rows(cases).groupby("change", sort=False)
    return {f"{change}": spread(rows, "system", "value") for change, rows in by_change}


def advantage_grows(change: str, one: str, other: str, metric: str = "recall@20") -> Judge:
    """On the demo, `one` minus `other` grows with the degree of `change` ("noise" or "redundancy").

    Spearman's correlation over the degrees in each seed, and a t-test over the seeds, which are what was drawn: "+"
    where their mean is positive with p < 0.05, "-" where negative; "capped" where a run ended at its cap of epochs.
    """

    def judge(store: Store) -> Finding:
        rows = rows_of(rows_of(store.rows(cases), "change", change), "system", one, other)
        both = rows.pivot_table(index=["value", "seed"], columns="system", values=metric)
        if not {one, other} <= set(both):
            return Finding(NOT_RUN, (f"demo, {change}: {NOT_RUN}",))
        gaps = (both[one] - both[other]).dropna()
        trends = [trend for _, own in gaps.groupby("seed") if not np.isnan(trend := _trend(own))]
        if len(trends) < LEAST_SEEDS:
            return Finding(NOT_RUN, (f"demo, {change}: {NOT_RUN} for {LEAST_SEEDS} seeds",))
        mean = paired(np.array(trends), np.zeros(len(trends)))
        rho, p = mean.difference, mean.p_users
        capped = int((rows["capped"] == True).sum())  # noqa: E712, NaN where not run
        sign = CAPPED if capped else "0" if p >= ALPHA or np.isnan(p) else "+" if rho > 0 else "-"
        means = gaps.groupby("value").mean()
        steps = ", ".join(f"{signed(gap)} at {value:g}" for value, gap in means.items())
        sure = f"{CAPPED}: {capped} of {len(rows)} runs" if capped else p_in_words(p, 1)
        text = f"demo, {one} minus {other} by {change}: {steps} (Spearman {rho:+.2f} in {len(trends)} seeds, {sure})"
        return Finding(verdict([sign]), (text,), records_of(rows))

    return judge


def _trend(gaps: pd.Series) -> float:
    """Spearman's correlation of the advantage of one seed with the degree; NaN where all are alike."""
    degrees = gaps.index.get_level_values("value").to_numpy(dtype=float)
    found = stats.spearmanr(degrees, gaps.to_numpy()) if len(gaps) > 2 and gaps.nunique() > 1 else None
    return float(found.statistic) if found else float("nan")  # pyright: ignore[reportAttributeAccessIssue]


RULES = {
    "noise": advantage_grows("noise", "MMKD", "w/o-disentangle"),
    "redundancy": advantage_grows("redundancy", "MMKD", "w/o-Prompt"),
}
QUESTION = Question(
    cases, table="demo", frames=frames, notes=notes("how_to_read", "content_of_the_demo"), claims=claims(RULES)
)
