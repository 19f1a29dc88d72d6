"""Tables of how well systems recommend: 3, 4, 5, and what content is worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import paper, recipes
from mmkd_core.datasets import title_of
from mmkd_core.recipes import NAMES, Case
from mmkd_core.results import METRICS, collect, compare_all, measurements, signed
from mmkd_core.tables.text import DAGGER, HEADS, NOT_RUN, Frames, difference, lines, spread, with_differences

DIFFERENT_DATA = (
    "The data differ: none of the paper's three data sets can be had (its Tiktok has 14,343 users and 276,637 "
    "interactions), so its figures stand beside ours for orientation, not for comparison. DiffMM's are for the TikTok "
    "files used here, with its authors' own budgets and selection."
)


def systems(rows: pd.DataFrame, dataset: str, *, mark: bool = True) -> pd.DataFrame:
    """All systems of Table 4 on one data set; `rows` are those of `collect(recipes.table4(), ...)`."""
    return lines(rows[rows["dataset"] == dataset], "system", mark=mark)


def overview(rows: pd.DataFrame, metric: str = "recall@20") -> pd.DataFrame:
    """One metric of `systems` on every data set, a column each, daggers as there."""
    columns = {}
    for dataset in rows["dataset"].unique():
        table = systems(rows, dataset)
        daggers = [DAGGER if str(seeds).endswith(DAGGER) else "" for seeds in table["seeds"]]
        columns[title_of(dataset)] = table[HEADS[metric]] + pd.Series(daggers, index=table.index)
    return pd.concat(columns, axis=1, sort=False).fillna(NOT_RUN).rename_axis("system")


def table3(cases: Sequence[Case], store: Path) -> Frames:
    """The paper's data sets beside ours."""
    printed = {f"{name} (paper)": values for name, values in paper.TABLE_3.items()}
    ours = {title_of(labels["dataset"]): _statistics(values) for labels, values in measurements(cases, store)}
    return {"Data sets": pd.DataFrame(printed | ours).T.rename_axis("data set")}


def _statistics(values: dict[str, Any] | None) -> dict[str, str]:
    if values is None:
        return dict.fromkeys(paper.STATISTICS, NOT_RUN)
    counts = [values[split] for split in ("train", "val", "test")]
    features = ", ".join(f"{name} {width}" for name, width in values["features"].items()) or "none"
    numbers = [f"{values['users']:,}", f"{values['items']:,}", f"{sum(counts):,}", f"{100 * values['sparsity']:.3f} %"]
    return dict(zip(paper.STATISTICS, [*numbers, features, " / ".join(f"{n:,}" for n in counts)], strict=True))


def table4(cases: Sequence[Case], store: Path) -> Frames:
    """All systems on each data set, MMKD against each; then the relative gains, and the paper's table as printed."""
    rows = collect(cases, store)
    frames = {}
    for dataset, own in rows.groupby("dataset", sort=False):
        table = with_differences(lines(own, "system"), own, "system", NAMES["mmkd"], "MMKD minus it, Recall@20")
        if dataset == "tiktok":
            models = own.drop_duplicates("system")["model"]
            table["paper's Tiktok"] = [_pair(paper.TABLE_4["Tiktok"].get(model)) for model in models]
            table["DiffMM"] = [_pair(paper.DIFFMM_TIKTOK.get(model)) for model in models]
            table.loc[recipes.START, ["paper's Tiktok", "DiffMM"]] = ""
        frames[f"{dataset}"] = table
    frames["MMKD against the best other system"] = gains(rows)
    frames["The paper's Table 4 (Recall@20/NDCG@20)"] = printed_table4()
    return frames


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Relative gain of MMKD over the best system that is none of its parts, a line a data set, a column a metric."""
    parts = (NAMES["mmkd"], NAMES["teacher"], recipes.START)
    found = {}
    for dataset, own in rows.groupby("dataset", sort=False):
        means = own.groupby("system", sort=False)[METRICS].mean()
        others, ours = means.drop(index=[*parts], errors="ignore").dropna(), means.loc[NAMES["mmkd"]].to_dict()
        found[title_of(str(dataset))] = {HEADS[metric]: _gain(ours[metric], others[metric]) for metric in METRICS}
    return pd.DataFrame(found).T.rename_axis("data set")


def _gain(ours: float, others: pd.Series) -> str:
    if not ours > 0 or others.empty:
        return NOT_RUN
    return f"{100 * (ours / others.max() - 1):+.1f} % ({others.idxmax()})"


def _pair(values: tuple[float, ...] | None) -> str:
    return "/".join(f"{value:.4f}" for value in values[:2]) if values else ""


def printed_table4() -> pd.DataFrame:
    """The paper's Table 4 as printed, Recall@20 and NDCG@20: a line a system, a column a data set."""
    systems = next(iter(paper.TABLE_4.values()))
    columns = {name: [_pair(table[model]) for model in systems] for name, table in paper.TABLE_4.items()}
    return pd.DataFrame(columns, index=pd.Index([NAMES[model] for model in systems], name="system"))


def table5(cases: Sequence[Case], store: Path) -> Frames:
    """Each variant and its difference to MMKD, on each data set; the paper's ablations beside those of TikTok."""
    rows = collect(cases, store)
    frames = {}
    for dataset, own in rows.groupby("dataset", sort=False):
        table = lines(own, "variant", METRICS[:2], mark=False)
        table = with_differences(table, own, "variant", "MMKD", "MMKD minus it, Recall@20")
        if dataset == "tiktok":
            printed = paper.TABLE_5["Tiktok"]
            table["paper's Tiktok"] = [_pair(printed.get(str(name))) for name in table.index]
        frames[f"{dataset}"] = table
    return frames


def content(cases: Sequence[Case], store: Path) -> Frames:
    """Recall@20 with real, permuted, random and no content, and what the real one is worth over the permuted.

    Beside a cell of the other three stands its difference to real content in the seeds that both have.
    """
    rows = collect(cases, store)
    frames = {}
    for dataset, own in rows.groupby("dataset", sort=False):
        table = spread(own, "system", "content")
        runs = own.pivot(index=["system", "seed"], columns="content", values="recall@20")
        for kind in (kind for kind in table if kind != "real"):
            changes = (runs[kind] - runs["real"]).groupby("system").mean()[table.index]
            table[kind] += ["" if pd.isna(change) else f" ({signed(change)})" for change in changes]
        pairs = {}
        for system, group in own.groupby("system", sort=False):
            kinds = dict(list(group.groupby("content")))
            pairs[system] = (kinds["real"], kinds["permuted"])
        texts = {system: difference(comparison) for system, comparison in compare_all(pairs).items()}
        table["real minus permuted"], table["p"] = zip(*(texts.get(s, (NOT_RUN, "")) for s in table.index), strict=True)
        frames[f"{dataset}"] = table
    return frames


def demo(cases: Sequence[Case], store: Path) -> Frames:
    """Recall@20 of each system as content misleads (noise) or is diluted (redundancy), a column a degree."""
    rows = collect(cases, store)
    return {f"{trouble}": spread(own, "system", "value") for trouble, own in rows.groupby("trouble", sort=False)}
