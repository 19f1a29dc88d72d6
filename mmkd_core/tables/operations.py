"""Table 1: how the operations of each model grow, counted, beside the complexities that the paper gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mmkd_core import paper
from mmkd_core.measures.operations import PARTS, SIZES
from mmkd_core.recipes import NAMES, Case
from mmkd_core.results import measurements
from mmkd_core.tables.text import NOT_RUN, Frames

HOW_COUNTED = (
    "Multiplications and additions of dense and sparse products, counted while a small model runs; |U| users, |I| "
    "items, |E| interactions, d_m raw width, d width, L layers, B pairs of a batch, k neighbours, r routings; Σ over "
    "modalities. Work on single elements, sorting and the PCA of the prompt are not counted. The step is the first of "
    "an epoch, the one in which LATTICE mines its item graph."
)
HOW_FITTED = (
    "A power is the k of a + b x^k through the last three values of x, each twice the one before: a constant part "
    "cannot hide it. '0': less than a tenth more over all doublings."
)
SYMBOLS: dict[str, str] = dict(zip(SIZES, ("|U|", "|I|", "|E|", "d_m", "d", "L"), strict=True))
TITLES = {"step": "A training step", "serve": "The tables that serve", "build": "Once, before training"}
PART_TITLES = {"features": "in proportion to d_m", "edges": "sparse products", "dense": "dense products"}

# What this library's models do, by phase and part; what is left out is not done. B, k and r are no sizes here.
FORMS: dict[str, dict[tuple[str, str], str]] = {
    "mmgcn": {
        ("step", "features"): "Σ |I| d_m d", ("step", "edges"): "Σ L |E| d",
        ("step", "dense"): "Σ (L-1) (|U|+|I|) d² + B d²",
        ("serve", "features"): "Σ |I| d_m d", ("serve", "edges"): "Σ L |E| d", ("serve", "dense"): "Σ L (|U|+|I|) d²",
    },
    "grcn": {
        ("step", "features"): "Σ |I| d_m d", ("step", "edges"): "Σ r |E| d + L |E| d",
        ("serve", "features"): "Σ |I| d_m d", ("serve", "edges"): "Σ r |E| d + L |E| d",
    },
    "lattice": {
        ("build", "features"): "Σ |I|² d_m",
        ("step", "features"): "Σ |I| d_m d", ("step", "edges"): "Σ k |I| d + L |E| d", ("step", "dense"): "Σ |I|² d",
        ("serve", "features"): "Σ |I| d_m d", ("serve", "edges"): "Σ k |I| d + L |E| d", ("serve", "dense"): "Σ |I|² d",
    },
    "slmrec": {
        ("build", "features"): "Σ L |E| d_m", ("build", "edges"): "Σ L |E|",
        ("step", "features"): "Σ B d_m d", ("step", "edges"): "L |E| d", ("step", "dense"): "Σ B d² + B² d",
        ("serve", "features"): "Σ (|U|+|I|) d_m d", ("serve", "edges"): "L |E| d",
        ("serve", "dense"): "Σ (|U|+|I|) d²",
    },
    "bm3": {
        ("step", "features"): "Σ B d_m d", ("step", "edges"): "L |E| d", ("step", "dense"): "Σ B d²",
        ("serve", "edges"): "L |E| d", ("serve", "dense"): "(|U|+|I|) d²",
    },
    "teacher": {
        ("step", "features"): "Σ |I| d_m d", ("step", "edges"): "Σ |E| d + L |E| d", ("step", "dense"): "Σ |I| d²",
        ("serve", "features"): "Σ |I| d_m d", ("serve", "edges"): "Σ |E| d + L |E| d", ("serve", "dense"): "Σ |I| d²",
    },
    "mmkd": {
        ("build", "features"): "Σ |I| d_m d", ("build", "edges"): "Σ |E| d + L |E| d", ("build", "dense"): "Σ |I| d²",
        ("step", "edges"): "Σ |E| d + L |E| d", ("step", "dense"): "Σ |I| d²",
        ("serve", "edges"): "L |E| d",
    },
}  # fmt: skip


class Judged(NamedTuple):
    """What answers to an entry of the paper: parts by phase; what to say when it is right and when it is not."""

    parts: tuple[tuple[str, str], ...]
    right: str = ""
    wrong: str = ""


STEP_FEATURES, STEP_EDGES, STEP_DENSE = (("step", part) for part in PARTS)
BATCH_ALONE = "here less: a step projects the items of its batch; the published code projects all"
JUDGED: dict[tuple[str, str], Judged] = {
    ("mmgcn", "R"): Judged((STEP_FEATURES,)),
    ("mmgcn", "GNN"): Judged((STEP_EDGES, STEP_DENSE), wrong="wrong: |E| d and (|U|+|I|) d² are added up"),
    ("grcn", "R"): Judged((STEP_FEATURES,)),
    ("grcn", "GNN"): Judged((STEP_EDGES, STEP_DENSE), wrong="wrong: routing runs along edges"),
    ("lattice", "R"): Judged((STEP_FEATURES,)),
    ("lattice", "GNN"): Judged(
        (STEP_EDGES, STEP_DENSE, ("build", "features")), right="|I|² d_m once, |I|² d once an epoch"
    ),
    ("slmrec", "R"): Judged((STEP_FEATURES,), wrong=BATCH_ALONE),
    ("slmrec", "GNN"): Judged((STEP_EDGES,), right="one table for all modalities here"),
    ("bm3", "R"): Judged((STEP_FEATURES,), wrong=BATCH_ALONE),
    ("bm3", "GNN"): Judged((STEP_EDGES,)),
    ("mmkd", "R"): Judged((("serve", "features"),), right="when serving"),
    ("mmkd", "GNN"): Judged((("serve", "edges"), ("serve", "dense")), right="when serving"),
}
MISSING = "missing, with its prompt: Σ |I| d², or Σ |I| d d_m as Eq. 4 is written, and the PCA"

SUPERSCRIPTS = "⁰¹²³"
# A word of a formula as FORMS and the paper's entries write them, and a term of such words.
FACTOR = rf"[(O]*(?:(?:\|[UIE]\||d_[mh]|[dLBkr1])[{SUPERSCRIPTS}]?[+-]?)+\)*[{SUPERSCRIPTS}]?\)*"
WORD = rf"{FACTOR}(?=[;,]?(?:\s|$))"
TERM = re.compile(rf"(?<!\S)(?:\+ )?(?:Σ )?{WORD}(?: {WORD})*")

Counts = Mapping[str, Mapping[str, Any] | None]  # what `operations` gave for each size that was varied


def growth(sizes: Sequence[int], counts: Sequence[int]) -> float:
    """k of a + b x^k through the last three points, whose x are in geometric progression; a constant part is no matter.

    0 when the counts grow by less than a tenth of the last: LATTICE's item graph has a few per cent more or fewer
    entries from one draw of the weights to another.
    """
    if counts[-1] - counts[0] < 0.1 * counts[-1] or counts[-1] == 0:
        return 0.0
    before, last = counts[-2] - counts[-3], counts[-1] - counts[-2]
    if min(before, last) <= 0:
        raise ValueError(f"counts {[*counts]} at sizes {[*sizes]}; expected what grows, or stays as it is")
    return log(last / before) / log(sizes[-1] / sizes[-2])


def powers(counts: Counts, parts: Iterable[tuple[str, str]], sizes: Iterable[str] = SIZES) -> dict[str, float] | None:
    """The power of each size, the highest over `parts` (phase, part); None where a size was not counted."""
    parts, found = tuple(parts), {}
    for size in sizes:
        values = counts[size]
        if values is None:
            return None
        found[size] = max(growth(values["sizes"], values[phase][part]) for phase, part in parts)
    return found


def table1(cases: Sequence[Case], store: Path) -> Frames:
    """The paper's entries and what was counted for them; then each model's parts in each phase."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for labels, values in measurements(cases, store):
        found.setdefault(labels["dataset"], {}).setdefault(labels["model"], {})[labels["size"]] = values
    frames: Frames = {}
    for dataset, models in found.items():
        frames[f"The paper's Table 1, counted ({dataset})"] = verdicts(models)
        for phase, title in TITLES.items():
            frames[f"{title} ({dataset})"] = parts_of(models, phase)
    return frames


def verdicts(models: Mapping[str, Counts]) -> pd.DataFrame:
    """A line an entry: as printed, the operations here, the powers counted of the sizes that it names, the verdict."""
    lines = {}
    for (model, component), judged in JUDGED.items():
        if model in models:
            printed = paper.TABLE_1[model][component]
            form = "; ".join(FORMS[model].get(part, "0") for part in judged.parts)
            counted = powers(models[model], judged.parts, printed.powers)
            verdict = NOT_RUN if counted is None else _verdict(printed, counted, judged)
            lines[f"{NAMES[model]}, {component}"] = [printed.text, form, _text(counted), verdict]
    if "teacher" in models:
        form = "; ".join(FORMS["teacher"][part] for part in (STEP_EDGES, STEP_DENSE, STEP_FEATURES))  # as in JUDGED
        counted = powers(models["teacher"], [("step", part) for part in PARTS])
        lines[NAMES["teacher"]] = ["", form, _text(counted), MISSING]
    columns = ["printed", "here", "counted", "verdict"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("entry")


def _verdict(printed: paper.Order, counted: Mapping[str, float], judged: Judged) -> str:
    if all(abs(counted[size] - power) < 0.5 for size, power in printed.powers.items()):
        return f"right ({judged.right})" if judged.right else "right"
    return judged.wrong or "not as counted"


def _text(counted: Mapping[str, float] | None) -> str:
    if counted is None:
        return NOT_RUN
    return " ".join(SYMBOLS[size] + SUPERSCRIPTS[round(power)] for size, power in counted.items())


def typeset(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with its formulas as mathematics for a page, one a term: lines break between terms alone."""
    return frame.map(as_math).rename(columns=as_math, index=as_math)


def as_math(text: str) -> str:
    """Text in which "Σ |I| d_m d + L |E| d" and the like stand as `$...$`, term by term; other words as they are."""
    return TERM.sub(lambda found: f"${_tex(found[0])}$" if re.search(r"[|dLBkr]", found[0]) else found[0], text)


def _tex(term: str) -> str:
    term = re.sub(r"\|([UIE])\|", r"\\lvert\\mathcal{\1}\\rvert", term).replace("Σ", r"\sum")
    term = re.sub(r"^\+", "{}+", term)  # a plus between two terms, not a sign
    return re.sub(rf"[{SUPERSCRIPTS}]", lambda found: f"^{SUPERSCRIPTS.index(found[0])}", term)


def parts_of(models: Mapping[str, Counts], phase: str) -> pd.DataFrame:
    """A line a part of a model that does something in `phase`: its operations, and the power of each size."""
    lines = {}
    for model, counts in models.items():
        for place, form in FORMS[model].items():
            if place[0] == phase:
                found = powers(counts, [place])
                cells = [NOT_RUN if found is None else f"{found[size]:.1f}".removesuffix(".0") for size in SIZES]
                lines[f"{NAMES[model]}: {PART_TITLES[place[1]]}"] = [form, *cells]
    columns = ["operations", *SYMBOLS.values()]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("part")
