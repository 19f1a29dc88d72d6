"""Which system recommends best (Table 4): all of them, on each data set, under one protocol."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from mmkd_core.evidence import paper, verdicts
from mmkd_core.evidence.cases import REAL, SEEDS, Asked, Case, Names, Seeds, Variant, title_of_place
from mmkd_core.evidence.compare import (
    CAPPED,
    DAGGER,
    NOT_RUN,
    Comparison,
    against_each,
    compare_all,
    compare_table,
    signed,
)
from mmkd_core.evidence.effort import studies
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.store import METRICS, Store
from mmkd_core.evidence.tables import DIFFERENCE, HEADS, Frames, lines, printed_pair
from mmkd_core.evidence.verdicts import Finding, per_dataset, records_of, rows_of, verdict
from mmkd_core.models import MODELS, VARIANTS

# The systems of the paper's table, the two that nothing trains, and MMKD's two stages. A new model is not among them.
GENERAL = ("bpr-mf", "ngcf", "lightgcn")
MULTIMODAL = ("vbpr", "mmgcn", "grcn", "lattice", "clcrec", "slmrec", "bm3")
SYSTEMS = ("popularity", "itemknn", *GENERAL, *MULTIMODAL, "teacher", "mmkd")
MMKD, TEACHER, START = "MMKD", "MMKD's teacher", "MMKD's student, untrained"
GENERAL_TITLES, MULTIMODAL_TITLES = ([MODELS[name].title for name in names] for names in (GENERAL, MULTIMODAL))
# MMKD and, by mean validation Recall@20 over seeds 0 to 2, the two best of the others but its own teacher.
FIVE_SEEDS = {
    "tiktok": ("mmkd", "lightgcn", "clcrec"),
    "lfm2k": ("mmkd", "grcn", "lattice"),
    "amazon-beauty": ("mmkd", "clcrec", "slmrec"),
}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """All systems: five seeds for MMKD and the two best of the others on validation, three for the rest."""
    asked = Asked(datasets, seeds, budget)
    rows = [({"system": MODELS[name].title}, Variant(name)) for name in SYSTEMS]
    rows.append(({"system": START}, Variant(fit={"epochs": 0})))
    planned = []
    for dataset in asked.datasets_or(REAL):
        for labels, variant in rows:
            usual = SEEDS[:1] if MODELS[variant.model].deterministic else SEEDS  # one seed says all
            if variant.model in FIVE_SEEDS.get(dataset, ()) and labels["system"] != START:
                usual = range(5)
            planned += asked.cases([(labels, variant)], [dataset], asked.seeds_or(usual))
    return planned


def systems(rows: pd.DataFrame, dataset: str, *, mark: bool = True) -> pd.DataFrame:
    """All systems of Table 4 on one data set; `rows` are those of `Store.rows(cases())`."""
    return lines(rows[rows["dataset"] == dataset], "system", mark=mark)


def overview(rows: pd.DataFrame, metric: str = "recall@20") -> pd.DataFrame:
    """One metric of `systems` on every data set, a column each, daggers as there."""
    columns = {}
    for dataset in rows["dataset"].unique():
        table = systems(rows, dataset)
        capped = table["seeds"].str.endswith(DAGGER)
        columns[title_of_place(dataset)] = table[HEADS[metric]] + capped.map({True: DAGGER, False: ""})
    return pd.concat(columns, axis=1, sort=False).fillna(NOT_RUN).rename_axis("system")


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """All systems on each data set, MMKD against each; then gains, searches, and the paper's table as printed."""
    rows = store.rows(cases)
    made = {}
    for dataset, own in rows.groupby("dataset", sort=False):
        compared = compare_table(against_each(own, "system", MMKD))
        table = lines(own, "system").join(compared.rename(columns=DIFFERENCE)).fillna("")
        if dataset == "tiktok":
            models = own.drop_duplicates("system")["model"]
            table["paper's Tiktok"] = [printed_pair(paper.TABLE_4["Tiktok"].get(model)) for model in models]
            table["DiffMM"] = [printed_pair(paper.DIFFMM_TIKTOK.get(model)) for model in models]
            table.loc[START, ["paper's Tiktok", "DiffMM"]] = ""
        made[f"{dataset}"] = table
    made["MMKD against the best other system"] = gains(rows)
    made["Trials of each search for settings, completed of started"] = trials(store)
    made["The paper's Table 4 (Recall@20/NDCG@20)"] = printed_table4()
    return made


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """MMKD's relative gain over the best system that is none of its parts, a line per data set, a column per metric.

    The best is the one over which the gain is least, over the seeds that both have; † where a run of either is capped.
    """
    parts, lines = (TEACHER, START), {}
    for dataset, own in rows.groupby("dataset", sort=False):
        pairs = against_each(own[~own["system"].isin(parts)], "system", MMKD)
        lines[title_of_place(str(dataset))] = {HEADS[metric]: _gain(compare_all(pairs, metric)) for metric in METRICS}
    return pd.DataFrame(lines).T.rename_axis("data set")


def _gain(against: Mapping[Any, Comparison | None]) -> str:
    compared = {name: comparison for name, comparison in against.items() if comparison is not None}
    if not compared:
        return NOT_RUN
    name, least = min(compared.items(), key=lambda pair: pair[1].relative)
    return f"{signed(100 * least.relative, 1)} % ({name}){DAGGER if least.capped else ''}"


def trials(store: Store) -> pd.DataFrame:
    """Trials of the searches for settings, completed of started ("3 of 10"): a line per model, a column per data set.

    The others were broken off where they fell behind. Read from the studies in the folder `searches`; "none" where
    there is no study. Raises `ValueError` for a file there that is none.
    """
    titles = {name: model.title for name, model in (MODELS | VARIANTS).items()}
    frame = pd.DataFrame(
        "none", index=list(dict.fromkeys(titles.values())), columns=[title_of_place(name) for name in REAL]
    )
    for (dataset, model), study in studies(store).items():
        frame.loc[titles.get(model, model), title_of_place(dataset)] = f"{study.completed} of {study.started}"
    return frame[(frame != "none").any(axis=1)].rename_axis("system")


def printed_table4() -> pd.DataFrame:
    """The paper's Table 4 as printed, Recall@20 and NDCG@20: a line per system, a column per data set."""
    systems = next(iter(paper.TABLE_4.values()))
    columns = {name: [printed_pair(table[model]) for model in systems] for name, table in paper.TABLE_4.items()}
    return pd.DataFrame(columns, index=pd.Index([MODELS[model].title for model in systems], name="system"))


def most_pairs(store: Store) -> Finding:
    """Multi-modal baselines beat general CF models: more than half of all pairs significantly won, on every data set.

    "-" where more than half are significantly lost, "capped" where capped pairs could make more than half of either,
    "0" otherwise; p corrected over all decided pairs of all data sets.
    """
    rows = rows_of(store.rows(cases), "system", *GENERAL_TITLES, *MULTIMODAL_TITLES)
    pairs = [
        (name, f"{one} against {other}", rows_of(own, "system", one), rows_of(own, "system", other))
        for name, own in per_dataset(rows)
        for one, other in product(MULTIMODAL_TITLES, GENERAL_TITLES)
    ]
    results, signs, texts = verdicts.outcomes(pairs), [], []
    for name, _ in per_dataset(rows):
        of_pairs = [o.sign for o in results if o.place == name]
        won, lost, capped, missing = (of_pairs.count(sign) for sign in ("+", "-", CAPPED, None))
        settled = "+" if 2 * won > len(of_pairs) else "-" if 2 * lost > len(of_pairs) else "0"
        open_still = settled == "0" and 2 * (max(won, lost) + capped) > len(of_pairs)
        signs.append(None if missing else CAPPED if open_still else settled)
        text = f"{name}: {won} of {len(of_pairs)} pairs won, {lost} lost" + f", {capped} {CAPPED}" * (capped > 0)
        texts.append(text + f", {missing} {NOT_RUN}" * (missing > 0))
    return Finding(verdict(signs), tuple(texts), records_of(rows))


def ranks_move_more(store: Store) -> Finding:
    """Ranks of multi-modal baselines spread more over the data sets than those of general CF models (mean range).

    Means are over the seeds that all of a data set have; with a capped run among them nothing is decided.
    """
    rows = rows_of(store.rows(cases), "system", *GENERAL_TITLES, *MULTIMODAL_TITLES).dropna(subset=["record"])
    systems = rows.groupby("dataset")["system"].transform("nunique")
    rows = rows[rows.groupby(["dataset", "seed"])["system"].transform("nunique") == systems]
    means = rows.pivot_table(index="system", columns="dataset", values="recall@20", sort=False)
    if means.shape[1] < 2 or means.isna().any(axis=None) or len(means) < len(GENERAL) + len(MULTIMODAL):
        return Finding(NOT_RUN, (f"a system lacks a data set: {NOT_RUN}",))
    ranges = pd.DataFrame(means.rank(ascending=False)).agg(lambda r: r.max() - r.min(), axis=1)
    multi, general = float(ranges[MULTIMODAL_TITLES].mean()), float(ranges[GENERAL_TITLES].mean())
    text = f"mean range of ranks over {means.shape[1]} data sets: multi-modal {multi:.1f}, general {general:.1f}"
    capped = [name for name, own in per_dataset(rows) if own["capped"].any()]
    if capped:
        return Finding(verdict([CAPPED]), (f"{text} ({CAPPED}: {', '.join(capped)})",), records_of(rows))
    return Finding(verdict(["+" if multi > general else "-"]), (text,), records_of(rows))


BASELINES = (*GENERAL_TITLES, *MULTIMODAL_TITLES)
RULES = {
    "best": verdicts.better(cases, "system", MMKD, *BASELINES),
    "margin": verdicts.better(cases, "system", MMKD, *BASELINES, metric="ndcg@50", share=paper.TEXT["gain"] / 100),
    "multi-modal": most_pairs,
    "fluctuation": ranks_move_more,
    "implicit feedback": verdicts.untestable("the paper's Netflix cannot be had; no other data here has its density"),
}
QUESTION = Question(
    cases, table="4", frames=frames, notes=notes("how_to_read", "how_tested", "different_data"), claims=claims(RULES)
)
