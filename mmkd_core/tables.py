"""Tables for people: records beside what others published, as frames, and frames as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from numbers import Real

import pandas as pd

from mmkd_core import paper
from mmkd_core.datasets import CATALOGUE
from mmkd_core.models import MODELS, settings_of
from mmkd_core.results import METRICS

NAMES = {
    "popularity": "Popularity", "itemknn": "ItemKNN", "bpr-mf": "BPR-MF", "ngcf": "NGCF", "lightgcn": "LightGCN",
    "vbpr": "VBPR", "mmgcn": "MMGCN", "grcn": "GRCN", "lattice": "LATTICE", "clcrec": "CLCRec", "slmrec": "SLMRec",
    "bm3": "BM3", "teacher": "MMKD's teacher", "mmkd": "MMKD",
}  # fmt: skip
HEADS = [metric.replace("recall", "Recall").replace("ndcg", "NDCG") for metric in METRICS]
SWITCHES = ("student", "init", "prompt_mode")
NOT_RUN, DAGGER = "not run", " †"
DIFFERENT_DATA = (
    "The data differ: none of the paper's three data sets can be had (its Tiktok has 14,343 users and 276,637 "
    "interactions), so its figures stand beside ours for orientation, not for comparison. DiffMM's are for the TikTok "
    "files used here, with its authors' own budgets and selection."
)


def systems(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Test metrics of one data set, a line a system in the order of `MODELS`: mean ± standard deviation over seeds.

    `rows` is `results.frame(...)`. The deviation (n - 1) needs two seeds. A system without a record is "not run"; a
    dagger marks one of whose runs ended at its cap of epochs. MMKD with unusual switches is a line of its own.
    """
    lines = {name: cells for _, name, cells in _lines(rows, dataset)}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["seeds", *HEADS]).rename_axis("system")


def overview(rows: pd.DataFrame, metric: str = "Recall@20") -> pd.DataFrame:
    """One metric of `systems` on every data set that there are records of, a column each, daggers as there."""
    columns = {}
    for dataset in recorded(rows):
        lines = systems(rows, dataset)
        columns[dataset] = lines[metric] + lines["seeds"].map(lambda seeds: DAGGER if seeds.endswith(DAGGER) else "")
    return pd.concat(columns, axis=1, sort=False).fillna(NOT_RUN).rename_axis("system")


def recorded(rows: pd.DataFrame) -> list[str]:
    """The data sets that there are records of, in the order of the catalogue."""
    return [name for name in CATALOGUE if name in set(rows["dataset"])]


def _lines(rows: pd.DataFrame, dataset: str) -> Iterator[tuple[str, str, list[str]]]:
    for model in MODELS:
        own = rows.query("dataset == @dataset and model == @model")
        if own.empty:
            yield model, NAMES[model], ["0", *[NOT_RUN] * len(METRICS)]
        for _, runs in own.groupby([*SWITCHES], dropna=False):
            seeds = str(len(runs)) + (DAGGER if runs["capped"].to_numpy().any() else "")
            name = _name(model, runs.iloc[0].to_dict())
            yield model, name, [seeds, *(_cell(runs[metric].tolist()) for metric in METRICS)]


def _name(model: str, run: Mapping[str, object]) -> str:
    usual = settings_of(model)
    other = [str(run[name]) for name in SWITCHES if name in usual and run[name] != usual[name]]
    return f"{NAMES[model]} ({', '.join(other)})" if other else NAMES[model]


def _cell(values: list[float]) -> str:
    mean = statistics.fmean(values)
    return f"{mean:.4f} ± {statistics.stdev(values):.4f}" if len(values) > 1 else f"{mean:.4f}"


def table4(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """`systems`; on TikTok with what the paper printed for its Tiktok, and DiffMM for these files, beside it."""
    ours = systems(rows, dataset)
    if dataset == "tiktok":
        models = [model for model, _, _ in _lines(rows, dataset)]
        ours["paper's Tiktok"] = [_pair(paper.TABLE_4["Tiktok"].get(model)) for model in models]
        ours["DiffMM"] = [_pair(paper.DIFFMM_TIKTOK.get(model)) for model in models]
    return ours


def _pair(values: tuple[float, ...] | None) -> str:
    return "/".join(f"{value:.4f}" for value in values[:2]) if values else ""


def printed_table4() -> pd.DataFrame:
    """The paper's Table 4 as printed: a line a system, for each of its data sets Recall and NDCG @20 and @50."""
    heads = [metric.replace("recall", "R").replace("ndcg", "N") for metric in paper.METRICS]
    columns = pd.MultiIndex.from_product([paper.TABLE_4, heads])
    systems = next(iter(paper.TABLE_4.values()))
    values = [[value for table in paper.TABLE_4.values() for value in table[model]] for model in systems]
    return pd.DataFrame(values, index=[NAMES[model] for model in systems], columns=columns)


def markdown(frame: pd.DataFrame) -> str:
    """`frame` with its index as a Markdown table; floats to four decimals, numbers to the right."""
    head = [frame.index.name or "", *frame.columns]
    ruler = ["---"] + ["--:" if all(isinstance(x, Real) for x in frame[column]) else "---" for column in frame]
    body = [[index, *values] for index, values in zip(frame.index, frame.itertuples(index=False), strict=True)]
    cells = [[f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row] for row in [head, ruler, *body]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def numbered(frame: pd.DataFrame, *, name: str, caption: str) -> str:
    """`frame` as a numbered MyST table that `{numref}` reaches by `name`."""
    return f":::{{table}} {caption}\n:name: {name}\n\n{markdown(frame)}\n:::"
