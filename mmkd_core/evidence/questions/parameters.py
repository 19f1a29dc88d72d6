"""How many numbers the paper's models hold: its counts (Tables 6 and 8) redone, and those of this library's models."""

from collections.abc import Sequence
from math import prod

import pandas as pd

from mmkd_core.evidence import counts, paper
from mmkd_core.evidence.cases import Case, Names, Seeds, title_of_place
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.question import Question, notes
from mmkd_core.evidence.questions import consumption
from mmkd_core.evidence.shapes import SHAPES, Shape
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, as_table, percent


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The numbers of the teacher and of both students; the rest of the table is arithmetic."""
    rows = {name: consumption.SYSTEMS[name] for name in (consumption.TEACHER, consumption.MMKD)}
    rows["MMKD, GCN student"] = {"model": "mmkd", "settings": {"student": "gcn"}}
    return consumption.weighed(rows, datasets, ("netflix",), budget)


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Table 8 as printed and as it should be, what its teacher is made of, and the same counted in this library."""
    netflix = SHAPES["netflix"]
    weights = {"teacher": counts.teacher_weights(netflix)}
    weights |= {"LightGCN student": counts.student_weights(netflix), "GCN student": counts.gcn_weights()}
    made = {f"{name}, Netflix": weights8(name, own) for name, own in weights.items()}
    made["What the teacher's numbers are"] = made_of(netflix)
    lines, kinds = {}, ("trained", "frozen", "constants", "served")
    for labels, values in store.taken(cases):
        name = f"{title_of_place(labels['dataset'])}: {labels['system']}"
        lines[name] = [f"{values['numbers'][kind]:,}" if values else NOT_RUN for kind in kinds]
    return made | {"Counted in this library's models": as_table(lines, "model", *kinds)}


def weights8(name: str, weights: counts.Weights) -> pd.DataFrame:
    """The weights of a model of Table 8: shape and number as printed, and as they should be."""
    lines = {}
    for weight, (shape, number) in paper.TABLE_8[name].items():
        right = weights[weight]
        lines[weight] = [str([*shape]), f"{number:,}", str([*right]), f"{prod(right):,}", _same(shape, number, right)]
    printed, right = paper.TABLE_8_TOTALS[name], counts.total(weights)
    lines["total"] = ["", f"{printed:,}", "", f"{right:,}", "" if printed == right else "number"]
    columns = ("printed shape", "printed number", "right shape", "right number", "wrong in print")
    return as_table(lines, "weight", *columns)


def _same(shape: tuple[int, ...], number: int, right: tuple[int, ...]) -> str:
    return ", ".join(name for name, wrong in (("shape", shape != right), ("number", number != prod(right))) if wrong)


def made_of(shape: Shape) -> pd.DataFrame:
    """Parts of the teacher's numbers, and their share of the right total of Table 8, which leaves out the prompt."""
    whole, parts = counts.total(counts.teacher_weights(shape)), counts.trained_teacher(shape)
    trained = sum(parts.values())
    numbers = {
        "raw features": counts.raw_features(shape),
        "batch norm, not used in the released code": 2 * counts.DIM,
        **parts,
        "trained: reductions, embeddings, prompt": trained,
        "the student": counts.total(counts.student_weights(shape)),
    }
    lines = {
        name: [f"{number:,}", percent(number, whole), "" if number > trained else percent(number, trained)]
        for name, number in numbers.items()
    }
    return as_table(lines, "part", "numbers", "of the total", "of what is trained")


QUESTION = Question(cases, table="8", frames=frames, notes=notes("gcn_student"))
