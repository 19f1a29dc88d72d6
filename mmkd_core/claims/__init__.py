"""The claim ledger: what the paper claims, and what was found. `mmkd claims` prints it.

Each claim has a rule (`rules`, `trends`, `costs`) that turns records into a verdict. They were committed before the
runs that they judge, with the exceptions that the chapter on the claims lists, and no run was tuned to move one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import recipes
from mmkd_core.claims import costs, rules, trends
from mmkd_core.claims.rules import BASELINES, VERDICTS, Evidence, Judge
from mmkd_core.recipes import NAMES

__all__ = ["CLAIMS", "TOPICS", "VERDICTS", "Claim", "ledger", "of_chapter", "page", "summary"]

ABLATED = "table 5"


@dataclass(frozen=True)
class Claim:
    """What the paper says, in our words, where it says it, the rule that judges it, and where to read on."""

    says: str
    where: str
    judge: Judge
    notebook: str


def _ablation(variant: str) -> Judge:
    return rules.better(ABLATED, "variant", "MMKD", variant)


def _gap_at_end(values: Mapping[str, Any]) -> float:
    return values["gap"]["end"]["auc"]


RIVALS = (costs.TEACHER, costs.LATTICE, costs.BM3)
TOPICS: dict[str, dict[str, Claim]] = {}

TOPICS["Accuracy"] = {
    "best": Claim(
        "MMKD beats all ten baselines on every data set", "Abstract; Sec. 1; Sec. 4.2",
        rules.better_than_all(NAMES["mmkd"], BASELINES), "comparison",
    ),
    "margin": Claim(
        "by 9.75 % or more of NDCG@50 over the best of them", "Sec. 4.2",
        rules.better_than_all(NAMES["mmkd"], BASELINES, "ndcg@50", 0.0975), "comparison",
    ),
    "multi-modal": Claim(
        "multi-modal recommenders do better than general ones (collaborative filtering)", "Sec. 4.2",
        trends.most_pairs(), "comparison",
    ),
    "fluctuation": Claim(
        "multi-modal methods fluctuate between data sets", "Sec. 4.2",
        trends.ranks_move_more(), "comparison",
    ),
    "implicit feedback": Claim(
        "BM3 and CLCRec, GRCN and LATTICE differ on Netflix for the reasons given", "Sec. 4.2",
        rules.untestable("the paper's Netflix cannot be had; no other data here has its density"), "comparison",
    ),
    "student and teacher": Claim(
        "the student keeps the teacher's accuracy (loses at most 2 % of its Recall@20)", "Sec. 1; Sec. 6",
        rules.not_worse("table 4", "system", NAMES["mmkd"], NAMES["teacher"], 0.02), "serving",
    ),
}  # fmt: skip

TOPICS["Components"] = {
    "prompt": Claim("without the prompt MMKD is worse", "Sec. 4.3.1 (1)", _ablation("w/o-Prompt"), "ablations"),
    "pair": Claim("without PairKD it is worse", "Sec. 4.3.1 (2)", _ablation("w/o-PairKD"), "ablations"),
    "list": Claim("without ListKD it is worse", "Sec. 4.3.1 (3)", _ablation("w/o-ListKD"), "ablations"),
    "disentangling": Claim(
        "without disentangling and re-weighting it is worse", "Sec. 4.3.1 (4)",
        _ablation("w/o-disentangle"), "ablations",
    ),
    "embedding": Claim(
        "embedding distillation adds to it (a component that the paper does not ablate)", "Sec. 3.2.3",
        _ablation("w/o-EmbKD"), "ablations",
    ),
    "distillation": Claim(
        "what is distilled makes the student better than the same start trained by BPR alone", "Abstract; Sec. 3.2",
        _ablation("w/o any KD"), "ablations",
    ),
    "SCE": Claim("SCE does better than MSE", "Sec. 3.2.3", _ablation("MSE in place of SCE"), "ablations"),
    "semantic start": Claim(
        "a prompt made from content does better than one that starts at random", "Sec. 3.1.2",
        _ablation("Xavier prompt"), "ablations",
    ),
    "tuned prompt": Claim(
        "tuning the prompt with the student helps", "Sec. 1; Sec. 3.1.2",
        _ablation("prompt frozen in stage 2"), "ablations",
    ),
    "prompt in stage 2": Claim(
        "the prompt makes the teacher hand on more helpful knowledge", "Sec. 3.1.2; Sec. 4.5",
        _ablation("prompt removed in stage 2"), "ablations",
    ),
}  # fmt: skip

TOPICS["Noise and redundancy"] = {
    "noise": Claim(
        "disentangling and re-weighting guard against misleading content: worth more the more of it is wrong",
        "Sec. 1 (I2); Sec. 3.2.2", trends.advantage_grows("noise", "MMKD", "w/o-disentangle"), "demo",
    ),
    "redundancy": Claim(
        "the prompt guards against redundant content: worth more the more there is",
        "Abstract; Sec. 1 (I2); Sec. 3.1.2",
        trends.advantage_grows("redundancy", "MMKD", "w/o-Prompt"), "demo",
    ),
}  # fmt: skip

TOPICS["Settings"] = {
    "d saturates": Claim(
        "the student's d saturates at about 64 (128 gains less than 2 %)", "Sec. 4.5",
        trends.saturates("dim", 64, 128, 0.02), "hyperparameters",
    ),
    "equal d": Claim(
        "equal d of teacher and student does better than any unequal pair", "Sec. 4.5",
        trends.equal_is_best("teacher.dim", "dim"), "hyperparameters",
    ),
    "teacher's depth": Claim(
        "the teacher improves with its depth", "Sec. 4.5",
        trends.grows_with("teacher.layers", NAMES["teacher"]), "hyperparameters",
    ),
    "dropout": Claim(
        "without dropout the teacher drops sharply", "Sec. 4.5",
        trends.setting_matters("teacher.dropout", 0.0, NAMES["teacher"]), "hyperparameters",
    ),
    "pair weight": Claim(
        "without pair-wise weight (λ₂ = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("pair", 0.0), "hyperparameters",
    ),
    "list weight": Claim(
        "without list-wise weight (λ₃ = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("list", 0.0), "hyperparameters",
    ),
    "prompt rate": Claim(
        "without a prompt rate (λ₁ = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("teacher.prompt_rate", 0.0), "hyperparameters",
    ),
}  # fmt: skip


TOPICS["Cost"] = {
    "complexity": Claim(
        "serving needs no feature reduction and takes O(L |E| d)", "Sec. 3.3; Table 1",
        costs.serves_by_edges(), "complexity",
    ),
    "compression": Claim(
        "the student is a tenth or less of the teacher (of the numbers that are trained)", "Sec. 4.4; Table 6",
        costs.within("table 6", costs.MMKD, [costs.TEACHER], lambda v: v["numbers"]["trained"], 0.1, what="trained"),
        "complexity",
    ),
    "serving": Claim(
        "the student serves with less than the teacher (whose final tables are kept)", "Abstract; Sec. 1; Sec. 4.4",
        costs.within("table 6", costs.MMKD, [costs.TEACHER], lambda v: v["numbers"]["served"], 0.9, what="served"),
        "serving",
    ),
    "training time": Claim(
        "an epoch of the student with a live prompt takes at most 0.8 of the teacher's, LATTICE's and BM3's",
        "Sec. 4.4; Table 6",
        costs.within("table 6", costs.MMKD, RIVALS, lambda v: v["seconds"]["epoch"], 0.8, what="CPU seconds an epoch"),
        "complexity",
    ),
    "memory": Claim(
        "training it takes less memory than theirs (at most 0.9)", "Sec. 4.4; Table 6",
        costs.within(
            "table 6", costs.MMKD, RIVALS, lambda v: v["memory"]["train"]["resident"], 0.9, what="peak memory",
        ),
        "complexity",
    ),
    "cost of KL": Claim(
        "the KL divergences, with all that they need, do not significantly add to its time (10 % at most)", "Sec. 4.4",
        costs.cheap_to_distil(0.1), "complexity",
    ),
    "new data": Claim(
        "fine-tuned on new interactions MMKD is better than LATTICE and BM3", "Sec. 7.3.1; Table 7",
        costs.every_seed(
            "table 7", costs.MMKD, [costs.LATTICE, costs.BM3], lambda v: v["metrics"]["fine-tuned"]["recall@20"],
            what="Recall@20",
        ),
        "incremental",
    ),
    "new data, time": Claim(
        "and takes less time, to train an epoch and to recommend", "Sec. 7.3.1; Table 7",
        costs.every_seed(
            "table 7", costs.MMKD, [costs.LATTICE, costs.BM3], lambda v: sum(v["cpu_ms"].values()),
            what="CPU ms", lower=True,
        ),
        "incremental",
    ),
}  # fmt: skip

TOPICS["Overfitting and mixing"] = {
    "reduction overfits": Claim(
        "what reduces features aggravates overfitting (the gap of AUC at the end of a long training)", "Sec. 1 (I1)",
        costs.every_seed("table overfitting", "teacher", [recipes.BODY], _gap_at_end, what="gap"), "overfitting",
    ),
    "student overfits less": Claim(
        "distilling into the student prevents overfitting", "Sec. 1 (I1)",
        costs.every_seed("table overfitting", "student", ["teacher"], _gap_at_end, what="gap", lower=True),
        "overfitting",
    ),
    "prompt mixes": Claim(
        "with the prompt the densified features of the modalities overlap more (f, as the text has it)", "Sec. 4.3.2",
        costs.more_mixed("f, prompt tuned", "f, w/o-Prompt"), "tsne",
    ),
    "prompt mixes, caption": Claim(
        "the same of the embeddings that the graph makes of them (F, as the caption has it)", "Sec. 4.3.2; Fig. 3",
        costs.more_mixed("F, prompt tuned", "F, w/o-Prompt"), "tsne",
    ),
}  # fmt: skip

CLAIMS = {name: claim for claims in TOPICS.values() for name, claim in claims.items()}


def ledger(store: str | Path, notebook: str | None = None) -> pd.DataFrame:
    """One row a claim: topic, what it says, where, the verdict, what was measured, its records and the notebook.

    With `notebook`, the claims that lead to it alone; the others are not judged.
    """
    evidence = Evidence(store)
    rows = {}
    for topic, claims in TOPICS.items():
        for name, claim in claims.items():
            if notebook not in (None, claim.notebook):
                continue
            found = claim.judge(evidence)
            rows[name] = {
                "topic": topic, "claim": claim.says, "where": claim.where, "verdict": found.verdict,
                "measured": found.measured, "records": found.records, "notebook": claim.notebook,
            }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")


def of_chapter(store: str | Path, notebook: str) -> pd.DataFrame:
    """The claims that a chapter is about, for its own table: where, verdict and what was measured, by claim."""
    return _a_line_each(ledger(store, notebook)).set_index("claim")[["where", "verdict", "measured"]]


def _a_line_each(found: pd.DataFrame) -> pd.DataFrame:
    """The ledger with what was measured broken into lines, one a data set, as Markdown has them."""
    return found.assign(measured=found["measured"].str.replace("; ", "<br>"))


def page(found: pd.DataFrame) -> str:
    """The ledger as Markdown: a table a topic, each claim with its place, its verdict and what was measured."""
    parts = []
    found = _a_line_each(found).replace(r"\|", r"\\|", regex=True)  # the bars of |E| are not those of the table
    for topic, claims in found.groupby("topic", sort=False):
        rows = [
            f"| {row['claim']} ({row['where']}) | **{row['verdict']}** | {row['measured']} "
            f"| [read]({row['notebook']}.ipynb) |"
            for _, row in claims.iterrows()
        ]
        parts.append(
            "\n".join([f"### {topic}\n", "| claim | verdict | measured | |", "| --- | --- | --- | --- |", *rows])
        )
    return "\n\n".join(parts)


def summary(found: pd.DataFrame) -> str:
    """How many claims came out how, in words."""
    counts = found["verdict"].value_counts()
    return f"{len(found)} claims: " + ", ".join(f"{counts[v]} {v}" for v in VERDICTS if v in counts)
