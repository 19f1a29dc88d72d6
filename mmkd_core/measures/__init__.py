"""Measurements: what a table says that no training run's record holds, kept in the same way.

A measurement is a frozen value, its kind and arguments; its result is a file named by the hash of that value, so that
it is taken once. A kind is a function `(store, **arguments)` that returns what JSON can hold; `store` is where it finds
or leaves the trained models that it needs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmkd_core.cost import environment, measured
from mmkd_core.datasets import address
from mmkd_core.files import write_json
from mmkd_core.measures.footprint import footprint
from mmkd_core.measures.incremental import incremental
from mmkd_core.measures.mixing import mixing
from mmkd_core.measures.operations import operations
from mmkd_core.measures.overfitting import overfitting
from mmkd_core.measures.statistics import statistics
from mmkd_core.training import choose_device

KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "mixing": mixing,
    "footprint": footprint,
    "operations": operations,
    "statistics": statistics,
    "incremental": incremental,
    "overfitting": overfitting,
}


@dataclass(frozen=True)
class Measurement:
    """What to measure; a folder of data is the same however its path is written.

    Raises `ValueError` for an unknown kind, or arguments that its function does not take.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown measurement {self.kind!r}; one of {sorted(KINDS)}")
        parameters = inspect.signature(KINDS[self.kind]).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        for name in self.arguments:
            if name not in known:
                raise ValueError(f"unknown argument {name!r} of the measurement {self.kind}; one of {sorted(known)}")
        missing = [name for name in known if known[name] is inspect.Parameter.empty and name not in self.arguments]
        if missing:
            raise ValueError(f"the measurement {self.kind} needs the arguments {missing}")
        whole = {name: self.arguments.get(name, default) for name, default in known.items()}
        if "dataset" in whole:
            whole["dataset"] = address(whole["dataset"])
        object.__setattr__(self, "arguments", json.loads(json.dumps(whole)))  # (1, 2) and [1, 2] are the same

    @property
    def key(self) -> str:
        """16 hexadecimal digits of sha256 over the canonical JSON of kind and arguments."""
        text = json.dumps([self.kind, self.arguments], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def file(self, store: str | Path) -> Path:
        """Where its result lies in a store."""
        return Path(store) / "measured" / f"{self.kind}-{self.key}.json"


@dataclass(frozen=True)
class Measured:
    """What a measurement gave, at what cost, and where it ran."""

    measurement: Measurement
    values: dict[str, Any]
    cost: dict[str, Any]
    environment: dict[str, Any]

    @classmethod
    def read(cls, path: str | Path) -> Measured:
        """The result in a file; raises `ValueError` naming a file that is not one."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls(**{**values, "measurement": Measurement(**values["measurement"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: not a measurement ({error}); expected a file that `mmkd` wrote") from None


def measure(measurement: Measurement, store: str | Path) -> Measured:
    """The result of `measurement`: read if the store holds it, else taken and saved there."""
    path = measurement.file(store)
    if path.exists():
        return Measured.read(path)
    device = choose_device()
    with measured(device) as cost:
        values = KINDS[measurement.kind](Path(store), **measurement.arguments)
    result = {
        "measurement": {"kind": measurement.kind, "arguments": measurement.arguments},
        "values": values, "cost": cost, "environment": environment(device),
    }  # fmt: skip
    write_json(path, result)
    return Measured.read(path)
