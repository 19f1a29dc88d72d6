"""Tables 6 and 8: what a model holds, keeps and costs, measured here, and the paper's counts of parameters redone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd

from mmkd_core import paper
from mmkd_core.datasets import title_of
from mmkd_core.datasets.shapes import SHAPES, Shape
from mmkd_core.measures import Measured, Measurement
from mmkd_core.recipes import NAMES, Case
from mmkd_core.results import measurements
from mmkd_core.tables.text import NOT_RUN, Frames

HOW_MEASURED = (
    "Generated data of the paper's shapes, d = 32, batches of 2,048 pairs, four fifths of the interactions trained on. "
    "CPU seconds on the machine that the records name, on a GPU those that pass: an epoch is its first step and the "
    "mean of five others, scaled. Peaks of resident memory, imports and data included, on a GPU of what was allocated "
    "there, each model in a process of its own. 'kept': frozen weights and constants. The paper's are a GPU's."
)
HOW_COUNTED = (
    "The paper counts raw features as parameters of whatever reads them, and of MMKD the student alone; so do 'behind "
    "it' and 'right'."
)
WHAT_A_GCN_NEEDS = "The GCN student reads the teacher's tables, which its count of 2,048 leaves out."
DIM = 32  # of Tables 6 and 8
MODEL_OF = {title: model for model, title in NAMES.items()}
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
    a modality, and BM3 a linear predictor.
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


MEMORY = ("build, MiB", "train, MiB", "serve, MiB")


def table6(cases: Sequence[Case], store: Path) -> Frames:
    """What each model cost here, a frame a shape; then the paper's parameters, as printed and as they should be."""
    found: dict[str, dict[str, Any]] = {}
    for labels, values in measurements(cases, store):
        found.setdefault(labels["dataset"], {})[labels["system"]] = values
    frames = {f"{dataset}: measured here": consumption(systems, dataset) for dataset, systems in found.items()}
    return frames | on_gpus(cases, store) | {"Parameters as the paper counts them": parameters6()}


def on_gpus(cases: Sequence[Case], store: Path) -> Frames:
    """The same taken on GPUs, a frame a shape and card: from the folders of `store` that are stores themselves.

    Seconds are those that passed, memory is what was allocated on the card; beside them the paper's.
    """
    columns = ["epoch, s", "step, s", "tables, s", *MEMORY, "paper, s", "paper, GB"]
    frames: dict[str, dict[str, list[str]]] = {}
    for folder in sorted(path.parent for path in store.glob("*/measured")):
        for labels, job in cases:
            if isinstance(job, Measurement) and job.file(folder).exists():
                found = Measured.read(job.file(folder))
                seconds, memory = found.values["seconds"], found.values["memory"]
                peaks = [f"{p['gpu']:,}" for p in (memory["build"], memory["train"], found.values["serving"]["memory"])]
                printed = paper.TABLE_6[labels["dataset"]].get(MODEL_OF.get(labels["system"], ""))
                beside = [str(printed.seconds), str(printed.gigabytes)] if printed else ["", ""]
                title = f"{labels['dataset']}: measured on a GPU, {found.environment['device']}"
                frames.setdefault(title, {})[labels["system"]] = [
                    f"{seconds['epoch']:.2f}", f"{seconds['other step']:.4f}", f"{seconds['tables']:.4f}",
                    *peaks, *beside,
                ]  # fmt: skip
    return {
        title: pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("system")
        for title, lines in frames.items()
    }


def consumption(systems: Mapping[str, Any], dataset: str) -> pd.DataFrame:
    """A line a system: seconds, MiB, numbers, ratios to the teacher's; beside the paper's seconds and gigabytes."""
    columns = [
        "epoch, s", "first step, s", "tables, s", "ranking all users, s", *MEMORY,
        "trained", "kept", "served", "trained / teacher's", "served / teacher's", "paper, s", "paper, GB",
    ]  # fmt: skip
    teacher = systems.get(NAMES["teacher"])
    printed = {NAMES[model]: line for model, line in paper.TABLE_6.get(dataset, {}).items()}
    lines = {}
    for system, values in systems.items():
        own = _cells(values, teacher) if values is not None else [NOT_RUN] * (len(columns) - 2)
        beside = [printed[system].seconds, printed[system].gigabytes] if system in printed else ["", ""]
        lines[system] = [*own, *map(str, beside)]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("system")


def _cells(values: Mapping[str, Any], teacher: Mapping[str, Any] | None) -> list[str]:
    seconds, memory, numbers, serving = (values[name] for name in ("seconds", "memory", "numbers", "serving"))
    peaks = [memory["build"], memory["train"], serving["memory"]]
    mebibytes = [f"{p['resident']:,}" + (f" (GPU {p['gpu']:,})" if "gpu" in p else "") for p in peaks]
    ratios = [percent(numbers[n], teacher["numbers"][n]) if teacher else NOT_RUN for n in ("trained", "served")]
    return [
        f"{seconds['epoch']:.1f}", f"{seconds['first step']:.2f}", f"{seconds['tables']:.3f}",
        f"{serving['seconds']:.2f}", *mebibytes,
        f"{numbers['trained']:,}", f"{numbers['frozen'] + numbers['constants']:,}", f"{numbers['served']:,}", *ratios,
    ]  # fmt: skip


def percent(part: int, whole: int) -> str:
    """A share in per cent, to two decimals as the paper prints it."""
    return f"{100 * part / whole:.2f} %"


def parameters6() -> pd.DataFrame:
    """Each count of Table 6: as printed, the number behind it, the right one, and the ratios to the teacher's."""
    lines = {}
    for dataset, systems in paper.TABLE_6.items():
        shape, behind = counted_shape(dataset), as_printed(dataset)
        right, stated = counts(shape), counts(SHAPES[dataset])
        for model, line in systems.items():
            printed = f"{line.ratio!s} %" if line.ratio.text != "-" else ""
            lines[f"{title_of(dataset)}: {NAMES[model]}"] = [
                f"{line.millions!s}M", f"{behind[model]:,}", f"{right[model]:,}", f"{stated[model]:,}",
                printed, percent(right[model], right["teacher"]),
            ]  # fmt: skip
    columns = ["printed", "behind it", "right", "right, stated widths", "printed ratio", "right ratio"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("model")


def table8(cases: Sequence[Case], store: Path) -> Frames:
    """Table 8 as printed and as it should be, what its teacher is made of, and the same counted in this library."""
    netflix = SHAPES["netflix"]
    weights = {"teacher": teacher_weights(netflix)}
    weights |= {"LightGCN student": student_weights(netflix), "GCN student": gcn_weights()}
    frames = {f"{name}, Netflix": weights8(name, own) for name, own in weights.items()}
    frames["What the teacher's numbers are"] = made_of(netflix)
    lines = {}
    for labels, values in measurements(cases, store):
        numbers = values["numbers"] if values is not None else None
        kinds = ("trained", "frozen", "constants", "served")
        name = f"{title_of(labels['dataset'])}: {labels['system']}"
        lines[name] = [f"{numbers[kind]:,}" if numbers else NOT_RUN for kind in kinds]
    frames["Counted in this library's models"] = pd.DataFrame.from_dict(
        lines, orient="index", columns=["trained", "frozen", "constants", "served"]
    ).rename_axis("model")
    return frames


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
