"""What makes a student lead (no table of the paper's): one loss, two teachers that know content, long lists."""

from collections.abc import Sequence

import pandas as pd

from mmkd_core.evidence.cases import REAL, SEEDS, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import NOT_RUN, against_each, compare_table
from mmkd_core.evidence.question import Question, claims, notes
from mmkd_core.evidence.questions import comparison
from mmkd_core.evidence.store import METRICS, Store
from mmkd_core.evidence.tables import Frames, lines
from mmkd_core.evidence.verdicts import better, per_dataset
from mmkd_core.models import MODELS, VARIANTS

STUDENT, BOTH = MODELS["mmkd-lists"].title, MODELS["ensemble"].title
START = "its start, untrained"
MINUS = f"{STUDENT} minus it, Recall@20"
COMPARED = ("LightGCN", "CLCRec", "MMKD", BOTH, STUDENT)  # by what they cost
TEACHERS = ("softmax-teacher", "softmax-factors")
BARE, WIDTH = {"content_weight": 0.0}, {"dim": 64}  # without content; the columns of every baseline and of the student
# The teachers without content are LightGCN and BPR-MF with their loss.
SAME_LOSS = {
    f"{name}, softmax{wider}": Variant(teacher, hparams=BARE | width)
    for wider, width in (("", WIDTH), (", 128 columns", {}))
    for name, teacher in zip(("LightGCN", "BPR-MF"), TEACHERS, strict=True)
} | {VARIANTS["vbpr+softmax"].title: Variant("vbpr+softmax")}
# Baselines with the teachers' loss; the teachers, both as one, the student as it starts, and trained.
SYSTEMS = SAME_LOSS | {
    MODELS["softmax-teacher"].title: Variant("softmax-teacher"),
    MODELS["softmax-factors"].title: Variant("softmax-factors"),
    BOTH: Variant("ensemble"),
    START: Variant("mmkd-lists", fit={"epochs": 0}),
    STUDENT: Variant("mmkd-lists"),
}


def _of(teacher: Variant, second: Variant) -> Variant:
    """The student of two other teachers."""
    return Variant("mmkd-lists", teacher=Variant("ensemble", teacher=teacher, second=second))


NO_CONTENT, PERMUTED, RANDOM = "w/o content", "another item's content", "random start"
NARROW = "teachers of 64 columns"
ONE_TEACHER = {
    f"{MODELS[name].title} alone": Variant("mmkd-lists", teacher=Variant("ensemble", hparams={"share": share}))
    for name, share in zip(TEACHERS, (0.0, 1.0), strict=True)
}
# What differs from the student in one thing, its teachers' own training included.
ABLATIONS = {
    "teachers by BPR, w/o content": _of(Variant("lightgcn"), Variant("bpr-mf")),
    NARROW: _of(*(Variant(name, hparams=WIDTH) for name in TEACHERS)),
    NO_CONTENT: _of(*(Variant(name, hparams=BARE) for name in TEACHERS)),
    PERMUTED: Variant("mmkd-lists", options={"content": "permuted"}),
    "MMKD's teacher in place of both": Variant("mmkd-lists", teacher=Variant("teacher")),
    **ONE_TEACHER,
    RANDOM: Variant("mmkd-lists", hparams={"init": "random"}),
    "lists of 16": Variant("mmkd-lists", hparams={"candidates": 16}),
    "lists of 128": Variant("mmkd-lists", hparams={"candidates": 128}),
    "temperature 0.1": Variant("mmkd-lists", hparams={"temperature": 0.1}),
    "temperature 1": Variant("mmkd-lists", hparams={"temperature": 1.0}),
}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The systems of Table 4, five seeds of each of ours, and three of each ablation."""
    asked = Asked(datasets, seeds, budget)
    planned = comparison.cases(datasets, seeds, budget)
    for systems, usual in ((SYSTEMS, range(5)), (ABLATIONS, SEEDS)):
        rows = [({"system": title}, variant) for title, variant in systems.items()]
        planned += asked.cases(rows, asked.datasets_or(REAL), asked.seeds_or(usual))
    return planned


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """On each data set all systems, then what the student is without each of its parts; the student against each."""
    made: Frames = {}
    for dataset, own in store.rows(cases).groupby("dataset", sort=False):
        ablated = own["system"].isin(ABLATIONS)
        for title, rows, metrics in (
            (f"{dataset}", own[~ablated], METRICS),
            (f"{dataset}, one part changed", own[ablated | (own["system"] == STUDENT)], METRICS[:2]),
        ):
            compared = compare_table(against_each(rows, "system", STUDENT))
            table = lines(rows, "system", metrics).join(compared.rename(columns={"difference": MINUS}))
            made[title] = table.fillna("")
    return made


def costs(rows: pd.DataFrame, store: Store) -> pd.DataFrame:
    """What seed 0 took on each data set, all stages together, in CPU seconds, and the numbers that are served.

    `rows` are those of `Store.rows`; a line per system of `COMPARED`.
    """
    columns = {}
    there = rows[(rows["seed"] == 0) & rows["system"].isin(COMPARED)].dropna(subset=["record"])
    for name, group in per_dataset(there):
        own = group.set_index("system")
        spent = own["record"].map(lambda file: sum(run.cost["cpu_seconds"] for run in store.trainings(str(file))))
        columns[f"{name}, CPU s"] = spent.map("{:,.0f}".format)
        columns[f"{name}, served"] = own["served"].map("{:,.0f}".format)
    return pd.DataFrame(columns, index=pd.Index(COMPARED, name="system")).fillna(NOT_RUN)


RULES = {
    "student leads": better(cases, "system", STUDENT, *comparison.BASELINES),
    "student leads, order": better(cases, "system", STUDENT, *comparison.BASELINES, metric="ndcg@20"),
    "not the loss alone": better(cases, "system", STUDENT, *SAME_LOSS),
    "teachers with content": better(cases, "system", STUDENT, NO_CONTENT, PERMUTED),
    "two teachers": better(cases, "system", STUDENT, *ONE_TEACHER),
    "start": better(cases, "system", STUDENT, RANDOM),
    "long lists": better(cases, "system", STUDENT, START),
    "two small tables": better(cases, "system", STUDENT, BOTH, share=-0.02),
}
QUESTION = Question(
    cases, table="leading", frames=frames, notes=notes("how_to_read", "how_tested", "student_that_leads"),
    claims=claims(RULES),
)  # fmt: skip
