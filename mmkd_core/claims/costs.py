"""Rules for claims that measurements decide: costs, adaptation, mixing, gaps.

A measurement has no users to test over. One that was taken for several seeds comes out "+" where the one is better than
the other in every seed, "-" where it is worse in every seed, "0" otherwise. One that was taken once is judged by a
margin that the claim states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmkd_core import recipes
from mmkd_core.claims.rules import NOT_RUN, Evidence, Finding, Judge, per_dataset, records_of, row, verdict
from mmkd_core.compare import LEAST_SEEDS
from mmkd_core.datasets import title_of
from mmkd_core.measures import Measurement

Read = Callable[[Mapping[str, Any]], float]  # one number from the values of a measurement


def every_seed(recipe: str, one: str, others: Sequence[str], value: Read, *, what: str, lower: bool = False) -> Judge:
    """`value` of `one` is higher (or lower) than that of each of `others` in every seed, on every data set."""

    def judge(evidence: Evidence) -> Finding:
        signs, texts = [], []
        for dataset, systems in _by_dataset(evidence, recipe).items():
            known = _pairs(systems, one, others, value)
            seeds = min((len(ours) for ours, _ in known.values()), default=0)
            enough = seeds >= min(LEAST_SEEDS, _planned(evidence, recipe, dataset, one))
            signs.append(_worst([_sign(*pair, lower) for pair in known.values()]) if known and enough else None)
            named = ((name, v) for other, pair in known.items() for name, v in zip((one, other), pair, strict=True))
            numbers = dict.fromkeys(f"{name} {np.mean(v):.4g}" for name, v in named)
            few = ", in one seed so far" if known and not enough else ""
            texts.append(f"{dataset}, {what}: {', '.join(numbers) or NOT_RUN}{few}")
        return Finding(verdict(signs), "; ".join(texts) or NOT_RUN, _files(evidence, recipe))

    return judge


def within(recipe: str, one: str, others: Sequence[str], value: Read, share: float, *, what: str) -> Judge:
    """`value` of the system `one` is at most `share` of that of each of `others`, on every data set or shape."""

    def judge(evidence: Evidence) -> Finding:
        signs, texts = [], []
        for dataset, systems in _by_dataset(evidence, recipe).items():
            known = _pairs(systems, one, others, value)
            ratios = {other: float(np.mean(ours) / np.mean(theirs)) for other, (ours, theirs) in known.items()}
            signs.append(None if not ratios else "+" if max(ratios.values()) <= share else "-")
            numbers = ", ".join(f"{100 * ratio:.1f} % of {other}'s" for other, ratio in ratios.items())
            texts.append(f"{dataset}, {what}: {numbers or NOT_RUN}")
        return Finding(verdict(signs), "; ".join(texts) or NOT_RUN, _files(evidence, recipe))

    return judge


def more_mixed(one: str, other: str, metric: str = "cosine") -> Judge:
    """In Fig. 3 the representation `one` mixes modalities more than `other` in every seed, of two at least."""

    def judge(evidence: Evidence) -> Finding:
        signs, texts = [], []
        for dataset, found in _taken(evidence, "figure 3").items():
            shares = [[values["share"][name][metric] for _, values in found] for name in (one, other)]
            planned = sum(title_of(labels["dataset"]) == dataset for labels, _ in evidence.measured("figure 3"))
            enough = len(found) >= min(LEAST_SEEDS, planned)
            signs.append(_sign(*shares, lower=False) if found and enough else None)
            named = zip((one, other), shares, strict=True)
            text = ", ".join(f"{np.mean(share):.3f} ({name})" for name, share in named) if found else NOT_RUN
            texts.append(f"{dataset}, share of neighbours of another modality: {text}")
        return Finding(verdict(signs), "; ".join(texts) or NOT_RUN, _files(evidence, "figure 3"))

    return judge


def serves_by_edges() -> Judge:
    """MMKD's final tables take no operation in proportion to raw features, and others in proportion to the edges."""

    def judge(evidence: Evidence) -> Finding:
        found = [
            (labels["size"], values)
            for known in _taken(evidence, "table 1").values()
            for labels, values in known
            if labels["model"] == "mmkd"
        ]
        if not {"edges", "dim", "items"} <= {size for size, _ in found}:
            return Finding(NOT_RUN, NOT_RUN)
        features = max(max(values["serve"]["features"]) for _, values in found)
        growth = {size: values["serve"]["edges"][-1] / values["serve"]["edges"][-2] for size, values in found}
        right = features == 0 and all(abs(growth[size] - 2) < 0.1 for size in ("edges", "dim"))
        text = (
            f"operations in proportion to raw features: {features}; doubling |E|, d, |I| multiplies the others by "
            f"{growth['edges']:.2f}, {growth['dim']:.2f}, {growth['items']:.2f}"
        )
        return Finding(verdict(["+" if right else "-"]), text, _files(evidence, "table 1"))

    return judge


def cheap_to_distil(share: float) -> Judge:
    """In Table 5 an epoch of MMKD takes at most 1 + `share` times the CPU seconds of one without distillation."""

    def judge(evidence: Evidence) -> Finding:
        signs, texts, used = [], [], []
        for dataset, own in per_dataset(evidence.rows("table 5")):
            both = [row(own, "variant", name).dropna(subset=["record"]) for name in ("MMKD", "w/o any KD")]
            seeds = set.intersection(*(set(rows["seed"]) for rows in both))
            both = [rows[rows["seed"].isin(seeds)] for rows in both]
            used += both
            if not seeds:
                signs.append(None)
                texts.append(f"{dataset}: {NOT_RUN}")
                continue
            ours, plain = (float((rows["cpu_seconds"] / rows["epochs"]).mean()) for rows in both)
            signs.append("+" if ours <= (1 + share) * plain else "-")
            texts.append(f"{dataset}, CPU seconds an epoch: {ours:.2f} with, {plain:.2f} without")
        return Finding(verdict(signs), "; ".join(texts), records_of(*used))

    return judge


def _taken(evidence: Evidence, recipe: str) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """By data set's title, labels and values of the measurements that there are; an empty list where there are none."""
    found: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for labels, values in evidence.measured(recipe):
        own = found.setdefault(title_of(labels["dataset"]), [])
        if values is not None:
            own.append((labels, values))
    return found


def _by_dataset(evidence: Evidence, recipe: str) -> dict[str, dict[str, dict[Any, dict[str, Any]]]]:
    """By data set, system and seed (None where the recipe has none), the values of a measurement."""
    found: dict[str, dict[str, dict[Any, dict[str, Any]]]] = {}
    for dataset, taken in _taken(evidence, recipe).items():
        systems = found.setdefault(dataset, {})
        for labels, values in taken:
            systems.setdefault(labels["system"], {})[labels.get("seed")] = values
    return found


def _planned(evidence: Evidence, recipe: str, dataset: str, system: str) -> int:
    """How many seeds of a system a recipe plans on a data set."""
    labels = (labels for labels, _ in evidence.measured(recipe))
    return sum(title_of(own["dataset"]) == dataset and own["system"] == system for own in labels)


def _pairs(
    systems: Mapping[str, Mapping[Any, Any]], one: str, others: Sequence[str], value: Read
) -> dict[str, tuple[list[float], list[float]]]:
    """The values of `one` and of each of `others` in the seeds that both have; without those that share none."""
    found = {}
    for other in others:
        seeds = [seed for seed in systems.get(one, {}) if seed in systems.get(other, {})]
        if seeds:
            found[other] = tuple([float(value(systems[name][seed])) for seed in seeds] for name in (one, other))
    return found


def _sign(ours: Sequence[float], theirs: Sequence[float], lower: bool) -> str:
    differences = np.subtract(theirs, ours) if lower else np.subtract(ours, theirs)
    return "+" if (differences > 0).all() else "-" if (differences < 0).all() else "0"


def _worst(signs: Sequence[str]) -> str:
    return min(signs, key="-0+".index)


def _files(evidence: Evidence, recipe: str) -> tuple[str, ...]:
    jobs = (case.job for case in evidence.cases(recipe))
    files = [job.file(evidence.store) for job in jobs if isinstance(job, Measurement)]
    return tuple(str(file) for file in files if file.exists())


MMKD, TEACHER, LATTICE, BM3 = (recipes.NAMES[model] for model in ("mmkd", "teacher", "lattice", "bm3"))
