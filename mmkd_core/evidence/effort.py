"""What stands behind a verdict: how many records, how many seeds of each system, how many trials chose its settings."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmkd_core.evidence.cases import earlier
from mmkd_core.evidence.store import Store
from mmkd_core.experiment import Experiment


class Trials(NamedTuple):
    """Of a search for settings: what early stopping ended, and what was begun."""

    completed: int
    started: int


def studies(store: Store) -> dict[tuple[str, str], Trials]:
    """The search for each data set and model, from the folder `searches`.

    Raises `ValueError` for a file there that is none.
    """
    found = {}
    for path in sorted((store.folder / "searches").glob("*.json")):
        try:
            study = json.loads(path.read_text(encoding="utf-8"))
            states = [trial["state"] for trial in study["trials"]]
            found[study["dataset"], study["model"]] = Trials(states.count("complete"), len(states))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: no study ({error}); expected a file of benchmarks/search.py") from None
    return found


def behind(store: Store, files: Iterable[str], trials: Mapping[tuple[str, str], Trials]) -> str:
    """One line on the records in `files`: "26 records, 3 to 5 seeds, settings from 3 to 6 completed trials".

    Seeds are those of each system on each data set. Trials are of the searches that chose what is trained, teachers
    included; what was set by hand, or not at all, has none. Measurements are records without either. Settings that a
    newer study has replaced are told apart by those of the training, which no case varies.
    """
    files = list(files)
    seeds: defaultdict[str, set[int]] = defaultdict(set)
    chosen: set[tuple[bool, int]] = set()
    for file in files:
        if Path(file) in store.records:
            stages = [record.experiment for record in store.trainings(file)]
            seeds[_seedless(json.loads(stages[-1].canonical))].add(stages[-1].seed)
            chosen |= {one for stage in stages if (one := _chosen(stage, trials))}
    told = [f"{len(files):,} record{'s' * (len(files) != 1)}"]
    if seeds:
        told.append(_range(map(len, seeds.values()), "seed"))
    for replaced in sorted({replaced for replaced, _ in chosen}):
        completed = _range((number for which, number in chosen if which == replaced), "completed trial")
        told.append(f"settings from {completed}{' of earlier studies' * replaced}")
    return ", ".join(told)


def _chosen(stage: Experiment, trials: Mapping[tuple[str, str], Trials]) -> tuple[bool, int] | None:
    """Whether an earlier study chose the settings of a training, and from how many whole trials; None: no study."""
    held = earlier(stage.dataset, stage.model)
    if held and all(getattr(stage.fit, name) == value for name, value in held["fit"].items()):
        return True, held["trials"]
    study = trials.get((stage.dataset, stage.model))
    return study and (False, study.completed)


def _seedless(values: Any) -> str:
    """What is trained, whatever the seed: canonical JSON without the seeds of all stages."""
    if not isinstance(values, dict):
        return json.dumps(values)
    return json.dumps({name: _seedless(value) for name, value in sorted(values.items()) if name != "seed"})


def _range(numbers: Iterable[int], what: str) -> str:
    numbers = sorted(numbers)
    low, high = numbers[0], numbers[-1]
    return f"{low if low == high else f'{low} to {high}'} {what}{'s' * (high != 1)}"
