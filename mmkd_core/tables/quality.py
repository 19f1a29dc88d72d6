"""Tables of how well systems recommend: 3, 4, 5, and what content is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import paper, recipes
from mmkd_core.compare import Comparison, against_each, compare, compare_all
from mmkd_core.datasets import title_of
from mmkd_core.recipes import NAMES, Case
from mmkd_core.results import METRICS, collect, measurements, signed
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
    """All systems on each data set, MMKD against each; then gains, searches, and the paper's table as printed."""
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
    frames["Trials of each search for settings, completed of started"] = trials(store)
    frames["The paper's Table 4 (Recall@20/NDCG@20)"] = printed_table4()
    return frames


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """MMKD's relative gain over the best system that is none of its parts, a line a data set, a column a metric.

    The best is the one over which the gain is least, over the seeds that both have; † where a run of either is capped.
    """
    parts, found = (NAMES["teacher"], recipes.START), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        pairs = against_each(own[~own["system"].isin(parts)], "system", NAMES["mmkd"])
        found[title_of(str(dataset))] = {HEADS[metric]: _gain(compare_all(pairs, metric)) for metric in METRICS}
    return pd.DataFrame(found).T.rename_axis("data set")


def _gain(against: Mapping[Any, Comparison | None]) -> str:
    known = {name: comparison for name, comparison in against.items() if comparison is not None}
    if not known:
        return NOT_RUN
    name, least = min(known.items(), key=lambda pair: pair[1].relative)
    return f"{signed(100 * least.relative, 1)} % ({name}){DAGGER if least.capped else ''}"


def _pair(values: Sequence[paper.Printed] | None) -> str:
    return "/".join(map(str, values[:2])) if values else ""


def trials(store: str | Path) -> pd.DataFrame:
    """Trials of the searches for settings, completed of started ("3 of 10"): a line a model, a column a data set.

    The others were broken off where they fell behind. Read from the studies in `store/searches`; "none" where there is
    no study. Raises `ValueError` for a file there that is none.
    """
    frame = pd.DataFrame("none", index=[*NAMES.values()], columns=[title_of(name) for name in recipes.REAL])
    for path in sorted((Path(store) / "searches").glob("*.json")):
        try:
            study = json.loads(path.read_text(encoding="utf-8"))
            states = [trial["state"] for trial in study["trials"]]
            column, line = title_of(study["dataset"]), NAMES[study["model"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no study ({error}); expected a file of benchmarks/search.py") from None
        frame.loc[line, column] = f"{states.count('complete')} of {len(states)}"
    return frame[(frame != "none").any(axis=1)].rename_axis("system")


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
        groups: dict[Any, pd.DataFrame] = dict(list(own.groupby("system", sort=False)))
        kinds: dict[Any, dict[Any, pd.DataFrame]] = {
            name: dict(list(g.groupby("content"))) for name, g in groups.items()
        }
        for kind in (kind for kind in table if kind != "real"):
            changes = [compare(runs[kind], runs["real"]) for runs in kinds.values()]
            table[kind] = [_changed(text, change) for text, change in zip(table[kind], changes, strict=True)]
        tested = compare_all({system: (runs["real"], runs["permuted"]) for system, runs in kinds.items()})
        texts = [difference(comparison) if comparison else (NOT_RUN, "") for comparison in tested.values()]
        table["real minus permuted"], table["p"] = zip(*texts, strict=True)
        frames[f"{dataset}"] = table
    return frames


def _changed(text: str, change: Comparison | None) -> str:
    """A cell with a difference in brackets, before its dagger; it has one where either side of the difference does."""
    if change is None:
        return text
    dagger = DAGGER if change.capped or text.endswith(DAGGER) else ""
    return f"{text.removesuffix(DAGGER)} ({signed(change.difference)}){dagger}"


def demo(cases: Sequence[Case], store: Path) -> Frames:
    """Recall@20 of each system as content misleads (noise) or is diluted (redundancy), a column a degree."""
    rows = collect(cases, store)
    return {f"{trouble}": spread(own, "system", "value") for trouble, own in rows.groupby("trouble", sort=False)}
