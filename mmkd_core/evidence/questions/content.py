"""Does content help at all? Every multi-modal model with content permuted across items, as noise, and removed."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mmkd_core.evidence.cases import REAL, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import DAGGER, NOT_RUN, Comparison, compare, compare_table, signed
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.questions.comparison import SYSTEMS
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, spread
from mmkd_core.models import MODELS

KINDS = ("real", "permuted", "noise", "removed")


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The systems of Table 4 that read content, for each kind of it; settings stay those in force.

    Three seeds of real and permuted content, one of the others.
    """
    asked, planned = Asked(datasets, seeds, budget), []
    readers = [name for name in SYSTEMS if MODELS[name].reads_content]
    for kind in KINDS:
        options = {} if kind == "real" else {"content": kind}
        rows = [({"system": MODELS[name].title, "content": kind}, Variant(name, options=options)) for name in readers]
        usual = SEEDS if kind in ("real", "permuted") else SEEDS[:1]
        planned += asked.cases(rows, asked.datasets_or(REAL), asked.seeds_or(usual))
    return planned


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Recall@20 with real, permuted, random and no content, and what the real one is worth over the permuted.

    Beside a cell of the other three stands its difference to real content in the seeds that both have.
    """
    made = {}
    for dataset, own in store.rows(cases).groupby("dataset", sort=False):
        table = spread(own, "system", "content")
        groups = own.groupby("system", sort=False)
        kinds: dict[Any, dict[Any, pd.DataFrame]] = {name: dict(list(g.groupby("content"))) for name, g in groups}
        for kind in (kind for kind in table if kind != "real"):
            runs = zip(table[kind], kinds.values(), strict=True)
            table[kind] = [_changed(text, compare(by[kind], by["real"])) for text, by in runs]
        tested = compare_table({system: (runs["real"], runs["permuted"]) for system, runs in kinds.items()})
        table[["real minus permuted", "p"]] = tested[["difference", "p"]].replace({"difference": {"": NOT_RUN}})
        made[f"{dataset}"] = table
    return made


def _changed(text: str, change: Comparison | None) -> str:
    """A cell with a difference in brackets, before its dagger; it has one where either side of the difference does."""
    if change is None:
        return text
    dagger = DAGGER if change.capped or text.endswith(DAGGER) else ""
    return f"{text.removesuffix(DAGGER)} ({signed(change.difference)}){dagger}"


QUESTION = Question(
    cases, table="content", frames=frames, notes=notes("how_to_read", "how_tested", "settings_of_content")
)
