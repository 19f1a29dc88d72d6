"""Measurements: what a table says that no training run's record holds, kept in the same way.

A measurement is a frozen value: the question that it belongs to, and the arguments of that question's function, which
returns what JSON can hold. Its result is a file named by the hash of that value and of the data, so that it is taken
once.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from mmkd_core.cost import environment, metered
from mmkd_core.datasets import canonical_name, load
from mmkd_core.evidence.shapes import shape_of
from mmkd_core.experiment import Experiment
from mmkd_core.files import check_named, read_json, write_json
from mmkd_core.training import choose_device

Measure = Callable[..., dict[str, Any]]  # (store, **arguments): `store` is where trained models are found or left


@dataclass(frozen=True)
class Measurement:
    """What to measure: the arguments of a question's function, each a plain value or an experiment."""

    question: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    depth: ClassVar[int] = 0  # no training must come before it

    @classmethod
    def of(cls, function: Measure, **given: Any) -> "Measurement":
        """The call of `function` with what is given, its defaults filled in.

        A folder of data is the same however its path is written. Raises `ValueError` for arguments that the function
        does not take, and for missing ones.
        """
        question = function.__module__.rpartition(".")[2]
        parameters = inspect.signature(function).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        for name in given:
            if name not in known:
                raise ValueError(f"unknown argument {name!r} of the measurement {question}; one of {sorted(known)}")
        missing = [name for name, default in known.items() if default is inspect.Parameter.empty and name not in given]
        if missing:
            raise ValueError(f"the measurement {question} needs the arguments {missing}")
        arguments = {name: given.get(name, default) for name, default in known.items()}
        if "dataset" in arguments:
            arguments["dataset"] = canonical_name(arguments["dataset"])
        # as JSON has them, so that (1, 2) and [1, 2] are the same
        plain = {n: v if isinstance(v, Experiment) else json.loads(json.dumps(v)) for n, v in arguments.items()}
        return cls(question, plain)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Measurement":
        """The inverse of `as_dict`."""
        arguments = {
            name: Experiment.from_dict(value) if isinstance(value, Mapping) and "hparams" in value else value
            for name, value in values["arguments"].items()
        }
        return cls(values["question"], arguments)

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold of it."""
        return {"question": self.question, "arguments": self._with(Experiment.as_dict)}

    @cached_property
    def canonical(self) -> str:
        """JSON that two equal measurements share."""
        return json.dumps([self.question, self._with(lambda job: json.loads(job.canonical))], sort_keys=True)

    def _with(self, told: Callable[[Experiment], Any]) -> dict[str, Any]:
        """The arguments, experiments as they are `told`."""
        return {n: told(value) if isinstance(value, Experiment) else value for n, value in self.arguments.items()}

    @property
    def data(self) -> tuple[str, Mapping[str, Any]]:
        """The data set that it is about with the options of `load`, or a shape's name."""
        for value in self.arguments.values():
            if isinstance(value, Experiment):
                return value.dataset, value.options
        return self.arguments["dataset" if "dataset" in self.arguments else "shape"], {}

    def fingerprint(self) -> str:
        """What the data are: their fingerprint, or the sizes of a shape."""
        name, options = self.data
        return repr(shape_of(name)) if "shape" in self.arguments else load(name, **options).fingerprint

    def key(self, fingerprint: str) -> str:
        """16 hexadecimal digits of sha256 over its canonical JSON and the data's fingerprint."""
        return hashlib.sha256((self.canonical + fingerprint).encode()).hexdigest()[:16]

    def file(self, store: str | Path, fingerprint: str) -> Path:
        """Where its result lies in a store: `<question>/<what it is about>-<key>.json`."""
        names = []
        for value in self.arguments.values():
            if isinstance(value, Experiment) and not names:
                names = [Path(value.dataset).name, value.model, f"s{value.seed}"]
            elif isinstance(value, str):
                names.append(Path(value).name)
        return Path(store) / self.question / f"{'-'.join([*names, self.key(fingerprint)])}.json"


@dataclass(frozen=True)
class MeasurementRecord:
    """What a measurement gave, at what cost, and where it ran."""

    measurement: Measurement
    values: dict[str, Any]
    cost: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> "MeasurementRecord":
        """The result in a file; raises `ValueError` naming a file that is none, or that does not fit its name."""
        result = read_json(path, cls._made, "measurement")
        check_named(path, result.measurement.key(result.data["fingerprint"]))
        return result

    @classmethod
    def _made(cls, values: Mapping[str, Any]) -> "MeasurementRecord":
        result = cls(**{**values, "measurement": Measurement.from_dict(values["measurement"])})
        result.measurement.key(result.data["fingerprint"])
        return result

    def save(self, store: str | Path) -> Path:
        """Writes its file, whole or not at all."""
        path = self.measurement.file(store, self.data["fingerprint"])
        write_json(path, {**vars(self), "measurement": self.measurement.as_dict()})
        return path


def find_or_take(measurement: Measurement, function: Measure, store: str | Path) -> MeasurementRecord:
    """The result of `measurement`, by its question's `function`: read if the store holds it, else taken and saved."""
    fingerprint = measurement.fingerprint()
    path = measurement.file(store, fingerprint)
    if path.exists():
        return MeasurementRecord.read(path)
    device = choose_device()
    with metered(device) as cost:
        values = function(Path(store), **measurement.arguments)
    result = MeasurementRecord(measurement, values, cost, environment(device), {"fingerprint": fingerprint})
    return MeasurementRecord.read(result.save(store))
