"""The paper's counts of parameters (Tables 6 and 8) redone: arithmetic on the shapes of its data."""

from dataclasses import replace
from math import prod

from mmkd_core.evidence.shapes import SHAPES, Shape

DIM = 32  # of Tables 6 and 8
TEXT_WIDTH = 384  # that Table 6's counts on Electronics imply; Table 3 says 1,024

Weights = dict[str, tuple[int, ...]]  # shapes by name


def teacher_weights(shape: Shape, dim: int = DIM) -> Weights:
    """The weights that Table 8 lists for the teacher, each in the shape that its name and place ask for."""
    weights: Weights = {}
    for modality, width in zip(("image", "text"), shape.widths, strict=True):
        weights |= {f"{modality}_trans.weight": (dim, width), f"{modality}_trans.bias": (dim,)}
    weights |= student_weights(shape, dim)
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
