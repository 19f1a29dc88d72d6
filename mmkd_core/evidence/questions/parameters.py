"""How many numbers the paper's models hold: its counts (Tables 6 and 8) redone, and those of this library's models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import pandas as pd

from mmkd_core.evidence import paper
from mmkd_core.evidence.cases import Case, Names, Seeds, title_of
from mmkd_core.evidence.compare import NOT_RUN
from mmkd_core.evidence.question import Question
from mmkd_core.evidence.questions import consumption
from mmkd_core.evidence.shapes import SHAPES, Shape
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.tables import Frames, percent
from mmkd_core.models import MODELS

WHAT_A_GCN_NEEDS = "The GCN student reads the teacher's tables, which its count of 2,048 leaves out."
DIM = 32  # of Tables 6 and 8
TEXT_WIDTH = 384  # that Table 6's counts on Electronics imply; Table 3 says 1,024

Weights = dict[str, tuple[int, ...]]  # shapes by name


def teacher_weights(shape: Shape, dim: int = DIM) -> Weights:
    """The weights that Table 8 lists for the teacher, each in the shape that its name and place ask for."""
    weights: Weights = {}
    for modality, width in zip(("image", "text"), shape.widths, strict=True):
        weights |= {f"{modality}_trans.weight": (dim, width), f"{modality}_trans.bias": (dim,)}
    weights |= {"user_id_embedding.weight": (shape.users, dim), "item_id_embedding.weight": (shape.items, dim)}
    for modality, width in zip(("image", "text"), shape.widths, strict=True):
        weights[f"{modality}_embedding.weight"] = (shape.items, width)
    return weights | {"batch_norm.weight": (dim,), "batch_norm.bias": (dim,)}


def student_weights(shape: Shape, dim: int = DIM) -> Weights:
    """The weights of the LightGCN student."""
    return {"user_id_embedding.weight": (shape.users, dim), "item_id_embedding.weight": (shape.items, dim)}


def gcn_weights(dim: int = DIM) -> Weights:
    """The weights of the GCN student, without the teacher's tables that it reads."""
    return {f"layer_list.0.{side}_weight": (dim, dim) for side in ("user", "item")}


def total(weights: Weights) -> int:
    """All numbers of the weights."""
    return sum(map(prod, weights.values()))


def raw_features(shape: Shape) -> int:
    """Numbers of the raw feature tables."""
    return shape.items * sum(shape.widths)


def counts(shape: Shape, dim: int = DIM) -> dict[str, int]:
    """Parameters of Table 6's models in the paper's way: raw features are parameters, and MMKD is its student.

    The teacher is Table 8's, with its batch norm and without a prompt. In place of the batch norm LATTICE has a weight
    per modality, and BM3 a linear predictor.
    """
    teacher, norm = total(teacher_weights(shape, dim)), 2 * dim
    return {
        "teacher": teacher,
        "lattice": teacher - norm + len(shape.widths),
        "bm3": teacher - norm + dim * dim + dim,
        "mmkd": total(student_weights(shape, dim)),
    }


def trained_teacher(shape: Shape, dim: int = DIM, prompts: int = 2) -> dict[str, int]:
    """What the teacher trains, by part; the released code has a prompt layer for users and one for items."""
    return {
        "reductions": dim * sum(shape.widths) + dim * len(shape.widths),
        "embeddings": total(student_weights(shape, dim)),
        "prompt": prompts * (dim * dim + dim),
    }


def counted_shape(dataset: str) -> Shape:
    """The shape that Table 6's counts are of: on Electronics text of 384 numbers (errata B23)."""
    shape = SHAPES[dataset]
    return replace(shape, widths=(shape.widths[0], TEXT_WIDTH)) if dataset == "electronics" else shape


def as_printed(dataset: str) -> dict[str, int]:
    """The counts that Table 6 rounds: item tables with as many rows as there are users where the paper has them so.

    That is the teacher's (errata B18) and, on Electronics, the student's (B22).
    """
    shape = counted_shape(dataset)
    wrong = ("teacher", "mmkd") if dataset == "electronics" else ("teacher",)
    surplus = (shape.users - shape.items) * DIM
    return {model: count + surplus * (model in wrong) for model, count in counts(shape).items()}


def cases(datasets: Names = None, seeds: Seeds = None, budget: str = "paper") -> list[Case]:
    """The numbers of the teacher and of both students; the rest of the table is arithmetic."""
    rows = {name: consumption.SYSTEMS[name] for name in (consumption.TEACHER, consumption.MMKD)}
    rows["MMKD, GCN student"] = {"model": "mmkd", "settings": {"student": "gcn"}}
    return consumption.weighed(rows, datasets, ("netflix",), budget)


def frames(cases: Sequence[Case], store: Store) -> Frames:
    """Table 8 as printed and as it should be, what its teacher is made of, and the same counted in this library."""
    netflix = SHAPES["netflix"]
    weights = {"teacher": teacher_weights(netflix)}
    weights |= {"LightGCN student": student_weights(netflix), "GCN student": gcn_weights()}
    made = {f"{name}, Netflix": weights8(name, own) for name, own in weights.items()}
    made["What the teacher's numbers are"] = made_of(netflix)
    lines = {}
    for labels, values in store.taken(cases):
        numbers = values["numbers"] if values is not None else None
        kinds = ("trained", "frozen", "constants", "served")
        name = f"{title_of(labels['dataset'])}: {labels['system']}"
        lines[name] = [f"{numbers[kind]:,}" if numbers else NOT_RUN for kind in kinds]
    made["Counted in this library's models"] = pd.DataFrame.from_dict(
        lines, orient="index", columns=["trained", "frozen", "constants", "served"]
    ).rename_axis("model")
    return made


def weights8(name: str, weights: Weights) -> pd.DataFrame:
    """The weights of a model of Table 8: shape and number as printed, and as they should be."""
    lines = {}
    for weight, (shape, number) in paper.TABLE_8[name].items():
        right = weights[weight]
        lines[weight] = [str([*shape]), f"{number:,}", str([*right]), f"{prod(right):,}", _same(shape, number, right)]
    printed, right = paper.TABLE_8_TOTALS[name], total(weights)
    lines["total"] = ["", f"{printed:,}", "", f"{right:,}", "" if printed == right else "number"]
    columns = ["printed shape", "printed number", "right shape", "right number", "wrong in print"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("weight")


def _same(shape: tuple[int, ...], number: int, right: tuple[int, ...]) -> str:
    return ", ".join(name for name, wrong in (("shape", shape != right), ("number", number != prod(right))) if wrong)


def made_of(shape: Shape) -> pd.DataFrame:
    """Parts of the teacher's numbers, and their share of the right total of Table 8, which leaves out the prompt."""
    whole, parts = total(teacher_weights(shape)), trained_teacher(shape)
    trained = sum(parts.values())
    lines = {"raw features": raw_features(shape), "batch norm, not used in the released code": 2 * DIM} | parts
    lines |= {"trained: reductions, embeddings, prompt": trained, "the student": total(student_weights(shape))}
    shares = {
        name: [f"{number:,}", percent(number, whole), "" if number > trained else percent(number, trained)]
        for name, number in lines.items()
    }
    columns = ["numbers", "of the total", "of what is trained"]
    return pd.DataFrame.from_dict(shares, orient="index", columns=columns).rename_axis("part")


def counts6() -> pd.DataFrame:
    """Each count of Table 6: as printed, the number behind it, the right one, and the ratios to the teacher's."""
    lines = {}
    for dataset, systems in paper.TABLE_6.items():
        shape, behind = counted_shape(dataset), as_printed(dataset)
        right, stated = counts(shape), counts(SHAPES[dataset])
        for model, line in systems.items():
            printed = f"{line.ratio!s} %" if line.ratio.text != "-" else ""
            lines[f"{title_of(dataset)}: {MODELS[model].title}"] = [
                f"{line.millions!s}M", f"{behind[model]:,}", f"{right[model]:,}", f"{stated[model]:,}",
                printed, percent(right[model], right["teacher"]),
            ]  # fmt: skip
    columns = ["printed", "behind it", "right", "right, stated widths", "printed ratio", "right ratio"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("model")


QUESTION = Question(cases, table="8", frames=frames, notes=(WHAT_A_GCN_NEEDS,))
