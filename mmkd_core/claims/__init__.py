"""The claim ledger: what the paper claims, and what was found. `mmkd claims` prints it.

Each claim has a rule (`rules`, `trends`, `costs`) that turns records into a verdict. The rules were committed before
the runs that they judge, and no run was tuned to move one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mmkd_core.claims import rules, trends
from mmkd_core.claims.rules import BASELINES, VERDICTS, Evidence, Judge
from mmkd_core.recipes import NAMES

__all__ = ["CLAIMS", "VERDICTS", "Claim", "ledger"]

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


CLAIMS: dict[str, Claim] = {
    # --- accuracy ---
    "best": Claim(
        "MMKD beats all ten baselines on every data set", "Abstract; Sec. 1; Sec. 4.2",
        rules.better_than_all(NAMES["mmkd"], BASELINES), "05_comparison",
    ),
    "margin": Claim(
        "by 9.75 % or more of NDCG@50 over the best of them", "Sec. 4.2",
        rules.gain("ndcg@50", 0.0975), "05_comparison",
    ),
    "multi-modal": Claim(
        "multi-modal recommenders do better than general CF models", "Sec. 4.2",
        trends.most_pairs(), "05_comparison",
    ),
    "fluctuation": Claim(
        "multi-modal methods fluctuate between data sets", "Sec. 4.2",
        trends.ranks_move_more(), "05_comparison",
    ),
    "implicit feedback": Claim(
        "BM3 and CLCRec, GRCN and LATTICE differ on Netflix for the reasons given", "Sec. 4.2",
        rules.untestable("the paper's Netflix cannot be had; no other data here has its density"), "05_comparison",
    ),
    "student and teacher": Claim(
        "the student keeps the teacher's accuracy (loses at most 2 % of its Recall@20)", "Sec. 1; Sec. 6",
        rules.not_worse("table 4", "system", NAMES["mmkd"], NAMES["teacher"], 0.02), "09_serving",
    ),
    # --- components ---
    "prompt": Claim("without the prompt MMKD is worse", "Sec. 4.3.1 (1)", _ablation("w/o-Prompt"), "06_ablations"),
    "pair": Claim("without PairKD it is worse", "Sec. 4.3.1 (2)", _ablation("w/o-PairKD"), "06_ablations"),
    "list": Claim("without ListKD it is worse", "Sec. 4.3.1 (3)", _ablation("w/o-ListKD"), "06_ablations"),
    "disentangling": Claim(
        "without disentangling and re-weighting it is worse", "Sec. 4.3.1 (4)",
        _ablation("w/o-disentangle"), "06_ablations",
    ),
    "embedding": Claim(
        "embedding distillation adds to it (a component that the paper does not ablate)", "Sec. 3.2.3",
        _ablation("w/o-EmbKD"), "06_ablations",
    ),
    "distillation": Claim(
        "what is distilled makes the student better than the same start trained by BPR alone", "Abstract; Sec. 3.2",
        _ablation("w/o any KD"), "06_ablations",
    ),
    "SCE": Claim("SCE does better than MSE", "Sec. 3.2.3", _ablation("MSE in place of SCE"), "06_ablations"),
    "semantic start": Claim(
        "a prompt made from content does better than one that starts at random", "Sec. 3.1.2",
        _ablation("Xavier prompt"), "06_ablations",
    ),
    "tuned prompt": Claim(
        "tuning the prompt with the student helps", "Sec. 1; Sec. 3.1.2",
        _ablation("prompt frozen in stage 2"), "06_ablations",
    ),
    "prompt in stage 2": Claim(
        "the prompt makes the teacher hand on more helpful knowledge", "Sec. 3.1.2; Sec. 4.5",
        _ablation("prompt removed in stage 2"), "06_ablations",
    ),
    # --- noise and redundancy ---
    "noise": Claim(
        "disentangling and re-weighting guard against misleading content: worth more the more of it is wrong",
        "Sec. 1 (I2); Sec. 3.2.2", trends.advantage_grows("noise", "MMKD", "w/o-disentangle"), "08_demo",
    ),
    "redundancy": Claim(
        "the prompt guards against redundant content: worth more the more there is", "Abstract; Sec. 3.1.2",
        trends.advantage_grows("redundancy", "MMKD", "w/o-Prompt"), "08_demo",
    ),
    # --- settings ---
    "d saturates": Claim(
        "the student's d saturates at about 64 (128 gains less than 2 %)", "Sec. 4.5",
        trends.saturates("dim", 64, 128, 0.02), "14_hyperparameters",
    ),
    "equal d": Claim(
        "equal d of teacher and student does better than a smaller teacher (16)", "Sec. 4.5",
        trends.setting_matters("teacher.dim", 16), "14_hyperparameters",
    ),
    "teacher's depth": Claim(
        "the teacher improves with its depth", "Sec. 4.5",
        trends.grows_with("teacher.layers", NAMES["teacher"]), "14_hyperparameters",
    ),
    "dropout": Claim(
        "without dropout the teacher drops sharply", "Sec. 4.5",
        trends.setting_matters("teacher.dropout", 0.0, NAMES["teacher"]), "14_hyperparameters",
    ),
    "pair weight": Claim(
        "without pair-wise weight (λ2 = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("pair", 0.0), "14_hyperparameters",
    ),
    "list weight": Claim(
        "without list-wise weight (λ3 = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("list", 0.0), "14_hyperparameters",
    ),
    "prompt rate": Claim(
        "without a prompt rate (λ1 = 0) it is significantly worse", "Sec. 4.5",
        trends.setting_matters("teacher.prompt_rate", 0.0), "14_hyperparameters",
    ),
}  # fmt: skip


def ledger(store: str | Path) -> pd.DataFrame:
    """One row a claim: what it says, where, what was measured, the verdict, its records and the notebook."""
    evidence = Evidence(store)
    rows = {}
    for name, claim in CLAIMS.items():
        found = claim.judge(evidence)
        rows[name] = {
            "claim": claim.says, "where": claim.where, "verdict": found.verdict, "measured": found.measured,
            "records": found.records, "notebook": claim.notebook,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("name")
