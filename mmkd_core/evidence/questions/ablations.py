"""Which parts of MMKD earn their place (Table 5): the paper's ablations, those it leaves out, and the released code.

Each variant changes one thing; those of the released code are told in `models/variants.py`.
"""

from collections.abc import Sequence

import pandas as pd

from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import against_each, compare_table
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.store import METRICS, Store
from mmkd_core.evidence.tables import DIFFERENCE, Frames, lines, printed_pair
from mmkd_core.evidence.verdicts import better

ABLATIONS: dict[str, Variant] = {
    "MMKD": Variant(),
    "w/o-Prompt": Variant(teacher=Variant("teacher", hparams={"prompt_rate": 0.0})),  # retrains its own teacher
    "w/o-PairKD": Variant(hparams={"pair": 0.0}),
    "w/o-ListKD": Variant(hparams={"list": 0.0}),
    "w/o-disentangle": Variant(hparams={"alpha": 1.0, "beta": 1.0}),  # the same lambda_3
    "w/o-EmbKD": Variant(hparams={"embed": 0.0}),
    "w/o any KD": Variant(hparams={"pair": 0.0, "list": 0.0, "embed": 0.0}),
    "MSE in place of SCE": Variant("mmkd+mse"),
    "prompt removed in stage 2": Variant(hparams={"prompt_mode": "off"}),
    "prompt frozen in stage 2": Variant(hparams={"prompt_mode": "frozen"}),
    "Xavier prompt": Variant(teacher=Variant("teacher+xavier")),
    "random start": Variant(hparams={"init": "random"}),
    "student, untrained": Variant(fit={"epochs": 0}),
    "teacher, as it is": Variant("teacher"),
}
RELEASED: dict[str, Variant] = {
    "released: no gradient to the prompt": ABLATIONS["prompt frozen in stage 2"],
    "released: mis-ordered graph": Variant("mmkd+released-graph"),
    "released: pair loss": Variant("mmkd+released-pair"),
    "released: list loss": Variant("mmkd+released-list"),
    "released: shared tables": Variant("mmkd+released-tables"),
    "released: selected on test": Variant(options={"swap": True}),
}
DATASETS = ("tiktok", "lfm2k")
PRINTED = [name for name in paper.TABLE_5["Tiktok"] if name != "MMKD"]
# What is held against MMKD together, so that p is corrected within it.
GROUPS: dict[str, tuple[str, list[str]]] = {
    "paper": ("the paper's ablations", PRINTED),
    "further": ("further ablations", [name for name in ABLATIONS if name not in (*PRINTED, "MMKD")]),
    "released": ("the released code", list(RELEASED)),
}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """A case for each variant; those of the released code not on LFM-2K."""
    asked = Asked(datasets, seeds, budget)
    planned = []
    for dataset in asked.datasets_or(DATASETS):
        variants = ABLATIONS if dataset == "lfm2k" else ABLATIONS | RELEASED
        rows = [({"variant": name}, variant) for name, variant in variants.items()]
        planned += asked.cases(rows, [dataset], asked.seeds_or(SEEDS))
    return planned


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Each variant and its difference to MMKD, each of `GROUPS` a family; the paper's beside those of TikTok."""
    made = {}
    for dataset, rows in store.rows(cases).groupby("dataset", sort=False):
        pairs = against_each(rows, "variant", "MMKD")
        families = [compare_table({n: pairs[n] for n in names if n in pairs}) for _, names in GROUPS.values()]
        compared = pd.concat(families).rename(columns=DIFFERENCE)
        table = lines(rows, "variant", METRICS[:2], mark=False).join(compared).fillna("")
        if dataset == "tiktok":
            printed = paper.TABLE_5["Tiktok"]
            table["paper's Tiktok"] = [printed_pair(printed.get(str(name))) for name in table.index]
        made[f"{dataset}"] = table
    return made


WORSE = {  # what is claimed of each: MMKD is better than the variant
    "prompt": "w/o-Prompt",
    "pair": "w/o-PairKD",
    "list": "w/o-ListKD",
    "disentangling": "w/o-disentangle",
    "embedding": "w/o-EmbKD",
    "distillation": "w/o any KD",
    "SCE": "MSE in place of SCE",
    "semantic start": "Xavier prompt",
    "tuned prompt": "prompt frozen in stage 2",
    "prompt in stage 2": "prompt removed in stage 2",
}
QUESTION = Question(
    cases, table="5", frames=frames, notes=notes("how_to_read", "how_tested", "different_data"),
    claims=claims({name: better(cases, "variant", "MMKD", variant) for name, variant in WORSE.items()}),
)  # fmt: skip
