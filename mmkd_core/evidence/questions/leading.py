"""What makes a student lead (no table of the paper's): one loss, two teachers that know content, long lists."""

from collections.abc import Sequence

from mmkd_core.evidence.cases import REAL, Asked, Case, Names, Seeds, Variant
from mmkd_core.evidence.compare import against_each, compare_table
from mmkd_core.evidence.question import Question
from mmkd_core.evidence.questions import comparison
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import DIFFERENCE, Frames, lines
from mmkd_core.models import MODELS

STUDENT = MODELS["mmkd-lists"].title
# Baselines with the teachers' loss; the teachers, both as one, what of that fits into the student's tables; the student.
SYSTEMS = {
    "LightGCN, softmax": Variant("lightgcn+softmax"),
    "BPR-MF, softmax": Variant("bpr-mf+softmax"),
    "VBPR, softmax": Variant("vbpr+softmax"),
    MODELS["softmax-teacher"].title: Variant("softmax-teacher"),
    MODELS["softmax-factors"].title: Variant("softmax-factors"),
    MODELS["ensemble"].title: Variant("ensemble"),
    "its best tables of 64": Variant("mmkd-lists", fit={"epochs": 0}),
    STUDENT: Variant("mmkd-lists"),
}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The systems of Table 4, and five seeds of each of ours."""
    asked = Asked(datasets, seeds, budget)
    own = [({"system": title}, variant) for title, variant in SYSTEMS.items()]
    ours = asked.cases(own, asked.datasets_or(REAL), asked.seeds_or(range(5)))
    return [*comparison.cases(datasets, seeds, budget), *ours]


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """All systems on each data set, and the student against each."""
    made: Frames = {}
    for dataset, own in store.rows(cases).groupby("dataset", sort=False):
        compared = compare_table(against_each(own, "system", STUDENT))
        made[f"{dataset}"] = lines(own, "system").join(compared.rename(columns=DIFFERENCE)).fillna("")
    return made


QUESTION = Question(cases, table="leading", frames=frames)
