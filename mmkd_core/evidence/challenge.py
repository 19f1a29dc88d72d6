"""A claim tried again by a reader: on other data, seeds and settings, judged by the rule that judged it in the ledger.

Which systems a claim compares is not written down twice: they are those whose records the ledger's verdict rests on.
"""

import difflib
import hashlib
import inspect
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmkd_core.cost import environment
from mmkd_core.evidence import engine
from mmkd_core.evidence.cases import BUDGETS, Case, Job, Names, Seeds, earlier, title_of_place
from mmkd_core.evidence.compare import LEAST_SEEDS
from mmkd_core.evidence.ledger import claims
from mmkd_core.evidence.measurement import Measurement
from mmkd_core.evidence.question import Claim
from mmkd_core.evidence.store import Store
from mmkd_core.evidence.verdicts import VERDICTS, Finding
from mmkd_core.experiment import Experiment, plan
from mmkd_core.files import read_json, write_json
from mmkd_core.models import MODELS, VARIANTS
from mmkd_core.settings import quoted

FORMAT = 1
Settings = Mapping[str, Mapping[str, Any]]  # by model; those of training under "fit"
Line = frozenset[tuple[str, Any]]  # of a table: labels without data set and seed


@dataclass(frozen=True)
class Result:
    """What a challenge gave; `write` makes the file that `mmkd claims --with` shows beside the ledger."""

    claim: str
    verdict: str
    lines: tuple[str, ...]
    datasets: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: dict[str, dict[str, Any]]
    budget: str
    environment: dict[str, Any]

    def write(self, folder: str | Path) -> Path:
        """Writes the result as JSON, whole or not at all, and returns the file; another question has another name."""
        asked = json.dumps([self.datasets, self.seeds, self.settings, self.budget], sort_keys=True)
        name = f"{self.claim}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}.json"
        write_json(Path(folder) / name, {"format": FORMAT, **asdict(self)})
        return Path(folder) / name

    @classmethod
    def read(cls, file: str | Path) -> "Result":
        """The result in a file; raises `ValueError` naming a file that holds none, or one of no claim of the ledger."""
        return read_json(Path(file), cls._made, "result of a challenge", "notebooks/challenge.ipynb")

    @classmethod
    def _made(cls, values: Any) -> "Result":
        if not isinstance(values, Mapping) or values["format"] != FORMAT:
            raise ValueError(f"got {quoted(values)}; expected format {FORMAT}")
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(values) - {"format", *names}):
            raise ValueError(f"got {quoted(unknown)}; expected {names}")
        for name, known in (("claim", claims()), ("verdict", VERDICTS), ("budget", BUDGETS)):
            if values[name] not in known:
                raise ValueError(f"{name} {quoted(values[name])}; expected one of {list(known)}")
        for name, kind in (("lines", str), ("datasets", str), ("seeds", int)):
            if not isinstance(values[name], list) or not all(type(value) is kind for value in values[name]):
                raise ValueError(
                    f"{name}={quoted(values[name])}; expected a list of values of the kind {kind.__name__}"
                )
        kinds: dict[str, type] = dict.fromkeys(MODELS | VARIANTS, Mapping)
        objects: dict[str, dict[str, type]] = {"settings": kinds, "environment": {"device": str, "torch": str}}
        for name, own_kinds in objects.items():
            own = values[name]
            if not isinstance(own, Mapping) or not all(isinstance(own[k], own_kinds[k]) for k in own_kinds if k in own):
                raise ValueError(f"{name}={quoted(own)}; expected an object of {list(own_kinds)}")
        if unknown := sorted(set(values["settings"]) - set(kinds)):
            raise ValueError(f"settings of {quoted(unknown)}; expected models, of {list(kinds)}")
        if missing := [name for name in ("device", "torch") if name not in values["environment"]]:
            raise ValueError(f"environment without {missing}; expected what it ran on")
        made: dict[str, Any] = {name: values[name] for name in names}
        made |= {name: tuple(made[name]) for name in ("lines", "datasets", "seeds")}
        return cls(**made)


@dataclass(frozen=True)
class Challenge:
    """A claim of the ledger in `store`, on the data sets and seeds of the one who doubts it.

    None of either: those of the question. `settings` are changes by model, `{"mmkd": {"pair": 0.1}}`, those of training
    under "fit", `{"lightgcn": {"fit": {"epochs": 20}}}`. Of a setting in which the sides of the claim differ, the value
    in force is changed, and what a side has in its place stays. Raises `ValueError` for what is no claim, for one that
    nothing can decide, for settings that it has not, and for fewer seeds than a verdict needs.
    """

    name: str
    store: Store
    datasets: Names = None
    seeds: Seeds = None
    settings: Settings | None = None
    budget: str = "paper"

    def __post_init__(self) -> None:
        if self.name not in claims():
            near = difflib.get_close_matches(str(self.name).lower(), claims(), cutoff=0.7)
            meant = f"; did you mean {' or '.join(map(repr, near))}?" * bool(near)
            raise ValueError(f"unknown claim {quoted(self.name)}{meant}; one of {list(claims())}")
        for what, asked in (("datasets", self.datasets), ("seeds", self.seeds)):
            if asked is not None and not isinstance(asked, str | int) and not len(asked):
                raise ValueError(f"{what}={quoted(asked)}; expected some, or None for those of the ledger")
        if not self._asked:
            raise ValueError(f"the claim {self.name!r} rests on no records: {self.ours.lines[0]}; nothing can be run")
        models = {stage.model for case in self.cases for stage in _stages(case.job)}
        for model in self.settings or {}:
            if model not in models:
                raise ValueError(f"settings of {quoted(model)}, which this claim has not; one of {sorted(models)}")
        given = {labels["seed"] for labels, _ in self.cases if "seed" in labels}
        usual = {labels["seed"] for cases in self._asked for labels, _ in cases() if "seed" in labels}
        if len(given) < min(LEAST_SEEDS, len(usual)):
            raise ValueError(
                f"got the seeds {sorted(given)}; expected {LEAST_SEEDS} different ones, as a verdict needs"
            )

    @property
    def claim(self) -> Claim:
        return claims()[self.name]

    @cached_property
    def ours(self) -> Finding:
        """The ledger's own finding."""
        self.store.requested.clear()
        return self.claim.judge(self.store)

    @cached_property
    def _asked(self) -> dict[Callable[..., Sequence[Case]], list[Case]]:
        """For each function that the rule asks for cases: those of the systems that its verdict rests on."""
        finding, chosen = self.ours, {}
        for cases in list(self.store.requested):
            there = [labels for labels, path in self.store.files_of(cases) if str(path) in finding.records]
            varied = {_line(labels, "value") for labels in there if not labels.get("in force")}
            wanted = {
                name
                for labels in there
                if not labels.get("in force") or _line(labels, "value") in varied  # one run stands in all of its lines
                for name in _systems(labels)
            }
            asked = cases(self.datasets, self.seeds, self.budget)
            asked = [case for case in asked if wanted.intersection(_systems(case.labels))]
            if asked:
                chosen[cases] = self._changed(asked)
        return chosen

    def _changed(self, cases: Sequence[Case]) -> list[Case]:
        differing = _differing(cases)
        return [Case(labels, changed(job, self.settings or {}, differing)) for labels, job in cases]

    @cached_property
    def cases(self) -> list[Case]:
        """What is to be run, each job once; of its labels, where it has several, those that most others share."""
        every = [case for cases in self._asked.values() for case in cases]
        shared = Counter(label for case in every for label in case.labels.items())
        common = [sum(shared[label] for label in case.labels.items()) for case in every]
        chosen: dict[str, tuple[int, Case]] = {}
        for case, weight in zip(every, common, strict=True):
            if weight >= chosen.get(case.job.canonical, (0, case))[0]:
                chosen[case.job.canonical] = weight, case
        return [case for _, case in chosen.values()]

    @property
    def rule(self) -> str:
        """The ledger's rule in words and code: the function that judges, or that makes the function that does."""
        judge = self.claim.judge
        return inspect.getsource(getattr(sys.modules[judge.__module__], judge.__qualname__.split(".")[0]))

    @property
    def sides(self) -> pd.DataFrame:
        """A line per system that is compared: how many runs, and the settings in which the systems differ."""
        lines: dict[str, dict[str, Any]] = {}
        differing = _differing(self.cases)
        for case in self.cases:
            labels = [str(value) for name, value in case.labels.items() if name not in ("dataset", "seed", "in force")]
            line = lines.setdefault(", ".join(labels), {"runs": 0})
            line["runs"] += 1
            for stage in _stages(case.job):
                line |= {f"{stage.model}: {name}": stage.hparams[name] for name in sorted(differing[stage.model])}
        return pd.DataFrame.from_dict(lines, orient="index").fillna("").rename_axis("system")

    def run(self, folder: str | Path, on_progress: Callable[[engine.Progress], None] | None = None) -> Result:
        """Runs what `folder` lacks, judges it, and returns the result; what was run before is not run again."""
        engine.run_all(self.cases, folder, on_progress=on_progress)
        finding = self.claim.judge(Store(folder, new=True, asked=self._asked))
        labels = [case.labels for case in self.cases]
        return Result(
            claim=self.name,
            verdict=finding.verdict,
            lines=finding.lines,
            datasets=tuple(dict.fromkeys(str(own["dataset"]) for own in labels)),
            seeds=tuple(sorted({own["seed"] for own in labels if "seed" in own})),
            settings={model: dict(own) for model, own in (self.settings or {}).items()},
            budget=self.budget,
            environment=environment(torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        )


def changed(job: Job, settings: Settings, differing: Mapping[str, set[str]]) -> Job:
    """A job with the `settings` of each model in all its stages; of those `differing`, only where in force.

    Raises `ValueError` for what is no setting of a model, or no value of one.
    """
    if isinstance(job, Measurement):
        arguments = {
            name: changed(value, settings, differing) if isinstance(value, Experiment) else value
            for name, value in job.arguments.items()
        }
        return replace(job, arguments=arguments)
    own = dict(settings.get(job.model, {}))
    training = own.pop("fit", {})
    if own:
        usual = plan(job.model, job.dataset).hparams
        held = earlier(job.dataset, job.model).get("hparams", {})
        own = {
            name: value
            for name, value in own.items()
            if name not in differing[job.model] or job.hparams[name] in (usual[name], held.get(name))
        }
    teachers: dict[str, Any] = {name: changed(teacher, settings, differing) for name, teacher in job.teachers.items()}
    return plan(
        job.model, job.dataset, seed=job.seed, options=job.options,
        hparams={**job.hparams, **own},
        fit={**{n: v for n, v in asdict(job.fit).items() if n != "seed"}, **training}, **teachers,
    )  # fmt: skip


def _differing(cases: Sequence[Case]) -> dict[str, set[str]]:
    """By model, the settings in which its experiments among `cases` differ on one data set and seed."""
    seen: dict[tuple[str, str, int], list[Experiment]] = {}
    for case in cases:
        for stage in _stages(case.job):
            seen.setdefault((stage.model, stage.dataset, stage.seed), []).append(stage)
    differing: dict[str, set[str]] = {}
    for (model, _, _), alike in seen.items():
        first = alike[0].hparams
        names = {name for one in alike for name, value in one.hparams.items() if value != first[name]}
        differing.setdefault(model, set()).update(names)
    return differing


def _stages(job: Job) -> list[Experiment]:
    experiments = [job] if isinstance(job, Experiment) else job.arguments.values()
    return [stage for one in experiments if isinstance(one, Experiment) for stage in one.stages]


def _systems(labels: Mapping[str, Any]) -> list[Line]:
    """What labels say beside data set and seed; where a setting is in force, also that alone, whatever its value."""
    return [_line(labels), *([_line(labels, "value")] if labels.get("in force") else [])]


def _line(labels: Mapping[str, Any], *without: str) -> Line:
    return frozenset((k, v) for k, v in labels.items() if k not in ("dataset", "seed", "in force", *without))


def differences(ours: Finding, theirs: Result, store: Store) -> list[str]:
    """What differs between the ledger's verdict and a result, a sentence each: what may explain another verdict."""
    trained = [store.trainings(file)[-1] for file in ours.records if Path(file) in store.records]
    told = []
    for what, own, other in (
        ("data sets", {r.experiment.dataset for r in trained}, set(theirs.datasets)),
        ("seeds", {r.experiment.seed for r in trained}, set(theirs.seeds)),
        ("devices", {r.environment["device"] for r in trained}, {theirs.environment["device"]}),
        ("versions of torch", {r.environment["torch"] for r in trained}, {theirs.environment["torch"]}),
    ):
        if trained and own != other:
            told.append(f"{what}: {_listed(own)} in the ledger, {_listed(other)} here")
    for model, own in theirs.settings.items():
        told.append(f"settings of {(MODELS | VARIANTS)[model].title}: {quoted(dict(own))} here")
    if theirs.budget != "paper":
        told.append(f"the budget here is {theirs.budget!r}")
    return told


def _listed(values: set[Any]) -> str:
    return ", ".join(title_of_place(value) if isinstance(value, str) else str(value) for value in sorted(values))
