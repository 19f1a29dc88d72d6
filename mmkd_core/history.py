"""What happened in a training, in memory and as a record's file has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class History:
    """What happened: mean loss terms per epoch, the metrics of each evaluation, and the epoch that was kept.

    `losses[e]` maps each named (weighted) term of epoch e + 1 to its mean over the batches. `validation` has one row
    per evaluation, with its `epoch`. `best_epoch` is 0 when the untrained state was never beaten or nothing is trained.
    """

    losses: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, int | float]] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def pack_history(history: Mapping[str, Any]) -> dict[str, Any]:
    """A history as a file has it: one row per evaluation, with the loss terms of the epochs that led to it."""
    rows, losses, last = [], history["losses"], 0
    for row in history["validation"]:
        epochs, last = losses[last : row["epoch"]], row["epoch"]
        rows.append(
            {**row, "losses": {term: [epoch[term] for epoch in epochs] for term in epochs[0]} if epochs else {}}
        )
    return {**{name: part for name, part in history.items() if name not in ("losses", "validation")}, "rows": rows}


def unpack_history(history: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_history`."""
    losses, validation = [], []
    for row in history["rows"]:
        terms = row["losses"]
        losses += [dict(zip(terms, epoch, strict=True)) for epoch in zip(*terms.values(), strict=True)]
        validation.append({name: value for name, value in row.items() if name != "losses"})
    others = {name: part for name, part in history.items() if name != "rows"}
    return {"losses": losses, "validation": validation, **others}
